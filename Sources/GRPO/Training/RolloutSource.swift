internal import Qwen2

/// Where a trainer's completions come from: a dataset and the policy, or a recording.
public final class RolloutSource {
    enum Kind {
        case sampling(PromptDataset, promptIDs: [[Int32]], WeightedRewards)
        case replay([[Rollout]], names: [String], weights: [Double])
    }

    let kind: Kind
    /// The batch arithmetic, known before the first token.
    public let plan: BatchPlan
    /// Tokens of the longest prompt.
    public let longestPrompt: Int
    /// Chunks of dataset rows (of recorded batches) that the current epoch has left.
    private var chunks: [[Int]] = []
    private var sampler: RepeatSampler

    /// Samples completions for the rows of a dataset, in TRL's order, and judges them.
    /// - Throws: an error naming the row whose prompt is empty or does not fit the model's context, a missing column, batches that do not fit.
    public init(_ configuration: GRPOConfiguration, dataset: PromptDataset, rewards: WeightedRewards, policy: TextModel) throws {
        plan = try BatchPlan(configuration, rows: dataset.rows.count)
        try rewards.check(dataset)
        let promptIDs = try dataset.promptIDs(configuration, policy)
        longestPrompt = promptIDs.map(\.count).max() ?? 0
        kind = .sampling(dataset, promptIDs: promptIDs, rewards)
        sampler = RepeatSampler(
            rows: dataset.rows.count, prompts: plan.promptsPerGeneration, generations: plan.generations,
            shuffle: configuration.shuffleDataset && !(configuration.easiestFirst && configuration.promptSelection != nil),
            seed: UInt64(configuration.seed))
    }

    /// Replays recorded rollouts, a file of `directory` a generation batch; their rewards are the recorded ones.
    ///
    /// `reward_funcs` says which rewards count and in what order; when it is empty, all of them do.
    /// - Throws: a `FileError` naming the file and what does not fit: batch sizes, groups, rewards, ids.
    public init(_ configuration: GRPOConfiguration, replaying directory: String, policy: TextModel) throws {
        var batches: [[Rollout]] = []
        let files = try CompletionsLog.files(in: directory)
        for (step, path) in files { batches.append(try Rollout.read(contentsOf: path, step: step)) }
        let names = configuration.rewardFunctions.isEmpty ? batches[0][0].rewards.map(\.name) : configuration.rewardNames
        let weights = configuration.rewardWeights ?? names.map { _ in 1 }
        guard !names.isEmpty, weights.count == names.count else {
            throw ConfigurationError(message: "reward_weights has \(weights.count) numbers, expected \(names.count), one for each reward")
        }
        // A recorded batch is one generation over its own prompts: as many rows as all of them have.
        plan = try BatchPlan(
            configuration, rows: configuration.generations == 0 ? 0 : batches.reduce(0) { $0 + $1.count } / configuration.generations)
        let vocabulary = Int32(clamping: policy.model.configuration.vocabularySize)
        for ((_, path), batch) in zip(files, batches) {
            guard batch.count == plan.generationBatchSize else {
                throw FileError(path: path, message: "has \(batch.count) completions, expected \(plan.generationBatchSize), one generation batch")
            }
            for (line, rollout) in batch.enumerated() {
                if let id = (rollout.promptIDs + rollout.ids).first(where: { $0 >= vocabulary }) {
                    throw FileError(path: path, line: line + 1, message: "has the id \(id), the model has \(vocabulary)")
                }
                guard rollout.promptIDs.count + rollout.ids.count <= policy.model.configuration.contextLength else {
                    throw FileError(path: path, line: line + 1, message: "is longer than the model's context")
                }
                for name in names where !rollout.rewards.contains(where: { $0.name == name }) {
                    throw FileError(path: path, line: line + 1, message: "has no reward \"\(name)\", expected one for each of reward_funcs")
                }
            }
            for (group, members) in Dictionary(grouping: batch, by: \.group)
            where members.count != plan.generations || members.contains(where: { $0.promptIDs != members[0].promptIDs }) {
                throw FileError(path: path, message: "group \(group): expected \(plan.generations) completions of one prompt")
            }
        }
        longestPrompt = batches.joined().map(\.promptIDs.count).max() ?? 0
        kind = .replay(batches, names: names, weights: weights)
        sampler = RepeatSampler(rows: batches.count, prompts: 1, generations: 1, shuffle: false, seed: 0)
    }

    /// The rows (the recorded batch) of the next generation.
    func next() -> [Int] {
        if chunks.isEmpty { chunks = sampler.nextEpoch() }
        return chunks.removeFirst()
    }
}

extension PromptDataset {
    /// Every row's prompt as the model reads it.
    /// - Throws: an error naming the row whose prompt is empty, or too long for the context with `max_completion_length` tokens behind it.
    func promptIDs(_ configuration: GRPOConfiguration, _ policy: TextModel) throws -> [[Int32]] {
        let context = policy.model.configuration.contextLength
        let variables = configuration.chatTemplateArguments.object
        return try rows.enumerated().map { index, row in
            do {
                let ids = try policy.ids(of: row.prompt, tools: row.tools, variables: variables)
                guard ids.count + configuration.maxCompletionLength <= context else {
                    throw PromptError(
                        message:
                            "the prompt has \(ids.count) tokens, which with max_completion_length \(configuration.maxCompletionLength) is more than "
                            + "the model's context of \(context): shorten one of them")
                }
                return ids
            } catch {
                throw failure(row: index, error)
            }
        }
    }
}
