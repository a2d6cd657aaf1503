/// What a run reads before its model, which takes long: prompts and rewards or a recording, and what it is evaluated on. Everything is checked that can
/// be without the model.
package struct TrainingData {
    private let configuration: GRPOConfiguration
    private let dataset: PromptDataset?
    private let rewards: WeightedRewards?
    private let heldOut: PromptDataset?
    private let recording: String?
    /// What `prompt_selection` left of the dataset, on one line.
    package let selection: String?

    /// - Parameters:
    ///   - rewards: what judges beside the functions of `reward_funcs`, after them.
    ///   - dataset: instead of `dataset_name`.
    ///   - recording: a directory of rollouts to train on, instead of dataset and rewards.
    /// - Throws: `ConfigurationError`, `FileError` and `RewardError`, for what is missing, cannot be read or does not fit together.
    package init(
        _ configuration: GRPOConfiguration, rewards: [any RewardFunction] = [], dataset: PromptDataset? = nil, recording: String? = nil
    ) throws {
        let isRecorded = recording != nil
        try configuration.validate(
            requiring: ["model_name_or_path", "output_dir"] + (isRecorded || dataset != nil ? [] : ["dataset_name"])
                + (isRecorded || !rewards.isEmpty ? [] : ["reward_funcs"]))
        self.configuration = configuration
        self.recording = recording
        self.rewards = isRecorded ? nil : try WeightedRewards(configuration, and: rewards)
        let selected = try (isRecorded ? nil : dataset ?? PromptDataset(configuration))?.selected(by: configuration)
        self.dataset = selected?.dataset
        selection = selected?.summary
        heldOut = try PromptDataset(configuration, heldOut: true)
        _ = try TrainedExports(configuration)?.plans()
        if let dataset = self.dataset, let rewards = self.rewards {
            try rewards.check(dataset)
            _ = try BatchPlan(configuration, rows: dataset.rows.count)
        }
    }

    /// Where the completions come from.
    package func source(_ policy: TextModel) throws -> RolloutSource {
        if let recording { return try RolloutSource(configuration, replaying: recording, policy: policy) }
        guard let dataset, let rewards else { throw ConfigurationError(message: "there is nothing to train on: set dataset_name") }
        return try RolloutSource(configuration, dataset: dataset, rewards: rewards, policy: policy)
    }

    /// What `eval_strategy` evaluates on.
    package func evaluation(_ policy: TextModel) throws -> EvaluationSet? {
        try heldOut.map {
            try EvaluationSet(configuration, dataset: $0, rewards: rewards ?? WeightedRewards(configuration), policy: policy)
        }
    }
}
