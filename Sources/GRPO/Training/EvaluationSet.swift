/// Held-out prompts on which a run is evaluated from time to time, and what judges the completions.
public struct EvaluationSet: Sendable {
    let dataset: PromptDataset
    let promptIDs: [[Int32]]
    let rewards: WeightedRewards

    /// The rows of a dataset as the model reads them.
    /// - Throws: an error naming the row whose prompt is empty or too long, or a missing column.
    public init(_ configuration: GRPOConfiguration, dataset: PromptDataset, rewards: WeightedRewards, policy: TextModel) throws {
        try rewards.check(dataset)
        self.dataset = dataset
        self.rewards = rewards
        promptIDs = try dataset.promptIDs(configuration, policy)
    }
}

/// The best evaluation so far (`metric_for_best_model`).
struct BestModel: Equatable {
    var metric: Double
    var step: Int
}

extension GRPOConfiguration {
    /// Completions a prompt in evaluation.
    var evaluationGenerations: Int { generationsInEvaluation ?? generations }

    /// The key of an evaluation's line that `metric_for_best_model` names; `eval_loss` unless given, as in transformers.
    var bestMetricName: String {
        let name = metricForBestModel ?? "loss"
        return name.hasPrefix("eval_") ? name : "eval_" + name
    }

    /// Whether more of the metric is better; unless given, for all but those that end in `loss`, as in transformers.
    var isGreaterBetter: Bool { greaterIsBetter ?? !bestMetricName.hasSuffix("loss") }

    /// Refuses settings of the evaluation that contradict each other.
    func checkEvaluation() throws(ConfigurationError) {
        guard evaluationStrategy != .never || evaluatesOnStart else {
            guard !loadsBestModel, saveStrategy != .best else {
                let key = loadsBestModel ? "load_best_model_at_end" : "save_strategy best"
                throw ConfigurationError(message: "\(key) needs evaluations: set eval_strategy, and eval_dataset_name")
            }
            return
        }
        if saveStrategy == .best, metricForBestModel == nil {
            throw ConfigurationError(message: "save_strategy best needs metric_for_best_model, such as eval_reward")
        }
        guard evaluationBatchSize.isMultiple(of: evaluationGenerations) else {
            throw ConfigurationError(
                message: "per_device_eval_batch_size is \(evaluationBatchSize) completions, expected a multiple of num_generations_eval "
                    + "(\(evaluationGenerations)), so that no group is cut")
        }
        guard loadsBestModel, let interval = saveStrategy.interval else { return }
        guard interval == evaluationStrategy else {
            throw ConfigurationError(
                message: "load_best_model_at_end needs a checkpoint for every evaluation: save_strategy is \(saveStrategy.rawValue), eval_strategy "
                    + "\(evaluationStrategy.rawValue); make them the same")
        }
        if saveStrategy == .steps, (evaluationSteps ?? loggingSteps) != saveSteps {
            throw ConfigurationError(message: "load_best_model_at_end needs a checkpoint for every evaluation: make save_steps equal to eval_steps")
        }
    }
}
