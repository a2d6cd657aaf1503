public import Qwen2

/// Mean rewards of a model over a dataset: what a run is judged by before and after.
public struct Evaluation: Sendable {
    /// What the rewards said of every completion.
    public let rewards: WeightedRewards.Table
    /// Every completion, in the order of the rows; those of one row stand together.
    public let rollouts: [Rollout]
    /// Completions a row.
    public let completionsPerRow: Int

    /// Completions that are decoded together.
    private static let batch = 64

    /// Some completions a row, each with random numbers of its own.
    /// - Throws: an error naming the row whose prompt cannot be used, or a `RewardError`.
    public init(
        _ model: TextModel, dataset: PromptDataset, rewards: WeightedRewards, parameters: SamplingParameters, completionsPerRow: Int = 1,
        progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) throws {
        try rewards.check(dataset)
        var parameters = parameters
        parameters.endTokens = model.endTokens
        var rollouts: [Rollout] = []
        let together = max(Self.batch / completionsPerRow, 1)
        for first in stride(from: 0, to: dataset.rows.count, by: together) {
            let rows = Array(first..<min(first + together, dataset.rows.count))
            let prompts = try rows.map { row in
                do { return try model.ids(of: dataset.rows[row].prompt) } catch { throw dataset.failure(row: row, error) }
            }
            let requests = zip(rows, prompts).map {
                GenerationRequest(prompt: $1, count: completionsPerRow, stream: UInt64($0 * completionsPerRow))
            }
            for (index, completions) in model.model.generate(requests, parameters).enumerated() {
                for completion in completions {
                    rollouts.append(
                        Rollout(
                            step: 0, group: rows[index], prompt: dataset.rows[rows[index]].prompt, promptIDs: prompts[index], ids: completion.ids,
                            logprobs: completion.logprobs, text: model.text(of: completion.ids), finishReason: completion.finishReason.rawValue,
                            rewards: []))
                }
            }
            progress(rows.count + first, dataset.rows.count)
        }
        let table = try rewards.evaluate(
            RewardBatch(
                prompts: rollouts.compactMap(\.prompt), completions: rollouts.map { $0.text ?? "" }, completionIDs: rollouts.map(\.ids),
                columns: rollouts.map { dataset.rows[$0.group].columns }))
        for index in rollouts.indices {
            rollouts[index].rewards = table.rewards(of: index)
            rollouts[index].reward = table.totals[index]
        }
        self.rewards = table
        self.rollouts = rollouts
        self.completionsPerRow = completionsPerRow
    }

    /// pass@k, a completion being right where the first reward function gives at least `threshold`.
    public func pass(at k: Int, threshold: Double = 1) -> PassAtK {
        let right = rollouts.map { $0.rewards.first?.value.map { $0 >= threshold } ?? false }
        return PassAtK(
            k: k, right: stride(from: 0, to: right.count, by: completionsPerRow).map { Array(right[$0..<$0 + completionsPerRow]) })
    }
}
