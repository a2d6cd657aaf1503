internal import JSON

/// Prompts chosen by how an earlier run, or a recording of any other model, did on them (`prompt_selection_from`).
public struct PromptSelection: Sendable {
    /// The mean reward of each prompt, by its JSON text.
    private let rates: [String: Double]
    /// Recorded completions.
    public let completions: Int

    /// Reads recorded rollouts: a directory of them, as a run leaves it under `completions/`.
    /// - Parameter reward: whose mean counts; the whole reward when nil.
    /// - Throws: a `FileError` for a directory without records, or a reward that they do not have.
    public init(contentsOf directory: String, reward: String? = nil) throws {
        var sums: [String: (sum: Double, count: Int)] = [:]
        var found = false
        var completions = 0
        for (step, path) in try CompletionsLog.files(in: directory) {
            for rollout in try Rollout.read(contentsOf: path, step: step) {
                completions += 1
                let value = reward.map { name in rollout.rewards.first { $0.name == name }?.value } ?? rollout.reward
                guard let prompt = rollout.prompt, let value else { continue }
                found = true
                let key = prompt.json.serialized()
                let old = sums[key] ?? (0, 0)
                sums[key] = (old.sum + value, old.count + 1)
            }
        }
        guard found else {
            let what = reward.map { "reward \"\($0)\"" } ?? "\"prompt\" and \"reward\""
            throw FileError(path: directory, message: "its records have no \(what), by which prompts are selected")
        }
        rates = sums.mapValues { $0.sum / Double($0.count) }
        self.completions = completions
    }

    /// The rows whose mean reward lies in a range, and those that were never tried; in the order of the dataset, or the easiest first.
    /// - Throws: `ConfigurationError` when none is left.
    public func select(from dataset: PromptDataset, rates range: ClosedRange<Double>, easiestFirst: Bool) throws(ConfigurationError) -> PromptDataset
    {
        let rated = dataset.rows.map { row in (row: row, rate: rates[row.prompt.json.serialized()]) }
        var kept = rated.filter { $0.rate.map(range.contains) ?? true }
        guard !kept.isEmpty else {
            throw ConfigurationError(
                message:
                    "no prompt of the dataset has a recorded mean reward from \(range.lowerBound) to \(range.upperBound): widen min_pass_rate ... max_pass_rate"
            )
        }
        if easiestFirst {
            // What was never tried comes last; equal rates keep their order.
            kept = kept.enumerated().sorted { a, b in
                let (x, y) = (a.element.rate ?? -.infinity, b.element.rate ?? -.infinity)
                return x == y ? a.offset < b.offset : x > y
            }.map(\.element)
        }
        return PromptDataset(rows: kept.map(\.row))
    }
}

extension PromptDataset {
    /// The rows that `prompt_selection_from` leaves, and a line that says how many.
    public func selected(by configuration: GRPOConfiguration) throws -> (dataset: PromptDataset, summary: String?) {
        guard let directory = configuration.promptSelection else { return (self, nil) }
        let selection = try PromptSelection(contentsOf: directory, reward: configuration.passRateReward)
        let left = try selection.select(
            from: self, rates: (configuration.minPassRate ?? -.infinity)...(configuration.maxPassRate ?? .infinity),
            easiestFirst: configuration.easiestFirst)
        return (left, "\(left.rows.count) of \(rows.count) prompts are selected by \(selection.completions) completions in \(directory)")
    }
}
