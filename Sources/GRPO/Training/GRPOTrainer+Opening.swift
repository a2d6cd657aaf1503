internal import Checkpoints
public import Logging
internal import Qwen2

extension GRPOTrainer {
    /// A trainer of what a configuration names, as TRL's `GRPOTrainer(model, reward_funcs, args, train_dataset)`: reads the data, then the model.
    ///
    /// - Parameters:
    ///   - rewards: what judges beside the functions of `reward_funcs`, after them; closures for instance (`ClosureReward`).
    ///   - dataset: instead of `dataset_name`.
    ///   - recording: a directory of recorded rollouts to train on, instead of dataset and rewards.
    ///   - logger: hears warnings, such as a batch that teaches nothing.
    ///   - progress: told what is going on: TRL's callbacks.
    /// - Throws: errors on one line that name what is missing, cannot be read or does not fit together.
    public convenience init(
        _ configuration: GRPOConfiguration, rewards: [any RewardFunction] = [], dataset: PromptDataset? = nil, recording: String? = nil,
        logger: Logger = Logger(label: "grpo"), progress: @escaping (TrainingProgress) -> Void = { _ in }
    ) throws {
        // What can be wrong is found before the gigabytes are read.
        let data = try TrainingData(configuration, rewards: rewards, dataset: dataset, recording: recording)
        _ = try RunDirectory.check(configuration)
        if let selection = data.selection { logger.info("\(selection)") }
        Qwen2Model.useThreads()
        let policy = try TextModel(training: configuration)
        let reference =
            configuration.beta == 0 || configuration.usesLoRA
            ? nil : try Qwen2Model(Checkpoint(opening: configuration.model ?? ""), computeType: configuration.dtype)
        try self.init(
            configuration, policy: policy, reference: reference, source: data.source(policy), evaluation: data.evaluation(policy), logger: logger,
            progress: progress)
    }
}
