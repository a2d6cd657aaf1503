public import Qwen2

/// Mean rewards of a model over a dataset: what a run is judged by before and after.
public struct Evaluation: Sendable {
    /// What the rewards said of every completion.
    public let rewards: WeightedRewards.Table
    /// Every completion, in the order of the rows.
    public let rollouts: [Rollout]

    /// Prompts that are continued together.
    private static let batch = 64

    /// One completion a row, each with random numbers of its own.
    /// - Throws: an error naming the row whose prompt cannot be used, or a `RewardError`.
    public init(
        _ model: TextModel, dataset: PromptDataset, rewards: WeightedRewards, parameters: SamplingParameters,
        progress: (_ done: Int, _ of: Int) -> Void = { _, _ in }
    ) throws {
        try rewards.check(dataset)
        var parameters = parameters
        parameters.endTokens = model.endTokens
        var rollouts: [Rollout] = []
        for first in stride(from: 0, to: dataset.rows.count, by: Self.batch) {
            let rows = Array(first..<min(first + Self.batch, dataset.rows.count))
            let prompts = try rows.map { row in
                do { return try model.ids(of: dataset.rows[row].prompt) } catch { throw dataset.failure(row: row, error) }
            }
            let requests = zip(rows, prompts).map { GenerationRequest(prompt: $1, stream: UInt64($0)) }
            for (index, completions) in model.model.generate(requests, parameters).enumerated() {
                let completion = completions[0]
                rollouts.append(
                    Rollout(
                        step: 0, group: rows[index], prompt: dataset.rows[rows[index]].prompt, promptIDs: prompts[index], ids: completion.ids,
                        logprobs: completion.logprobs, text: model.text(of: completion.ids), finishReason: completion.finishReason.rawValue,
                        rewards: []))
            }
            progress(rollouts.count, dataset.rows.count)
        }
        let table = try rewards.evaluate(
            RewardBatch(
                prompts: rollouts.compactMap(\.prompt), completions: rollouts.map { $0.text ?? "" }, completionIDs: rollouts.map(\.ids),
                columns: dataset.rows.map(\.columns)))
        for index in rollouts.indices {
            rollouts[index].rewards = table.rewards(of: index)
            rollouts[index].reward = table.totals[index]
        }
        self.rewards = table
        self.rollouts = rollouts
    }
}
