public import Qwen2

/// When something is done in the course of a run (`save_strategy`, `logging_strategy`).
public enum IntervalStrategy: String, Sendable, CaseIterable {
    /// Every so many optimizer steps: `save_steps`, `logging_steps`.
    case steps
    /// After every pass over the dataset.
    case epoch
    /// Never.
    case never = "no"
}

/// When a checkpoint is written (`save_strategy`).
public enum SaveStrategy: String, Sendable, CaseIterable {
    /// Every `save_steps` optimizer steps.
    case steps
    /// After every pass over the dataset.
    case epoch
    /// Never.
    case never = "no"
    /// After an evaluation that is better than all before, by `metric_for_best_model`.
    case best

    /// The distance between checkpoints, where it does not go by evaluations.
    var interval: IntervalStrategy? { IntervalStrategy(rawValue: rawValue) }
}

/// Everything a GRPO run can be told, under TRL's names and with TRL's defaults (`dtype` apart, which is bfloat16 here).
///
/// `fields` says how each property is written, its range and its meaning; `read(yaml:)` and `apply(_:)` set them.
public struct GRPOConfiguration: Sendable {
    // Model and run
    /// `model_name_or_path`
    public var model: String?
    /// `dtype`
    public var dtype = ComputeType.bfloat16
    /// `model_init_kwargs`
    public var modelArguments = KeywordArguments()
    /// `output_dir`
    public var outputDirectory: String?
    /// `seed`
    public var seed = 42

    // LoRA
    /// `use_peft`
    public var usesLoRA = false
    /// `lora_r`
    public var loraRank = 16
    /// `lora_alpha`
    public var loraAlpha = 32
    /// `lora_dropout`
    public var loraDropout = 0.05
    /// `lora_target_modules`; nil is PEFT's choice, `q_proj` and `v_proj`
    public var loraTargets: [String]?
    /// `use_rslora`
    public var usesRankStabilizedLoRA = false
    /// `disable_dropout`
    public var disablesDropout = false

    // Data
    /// `dataset_name`: the path of a file of rows, or of a directory with the local copy of a Hugging Face dataset
    public var dataset: String?
    /// `datasets`: several instead
    public var mixture = DatasetMixture()
    /// `dataset_config`: a folder of that directory
    public var datasetConfiguration: String?
    /// `dataset_train_split`
    public var trainSplit = "train"
    /// `dataset_test_split`
    public var testSplit = "test"
    /// `dataset_prompt_column`
    public var promptColumn = "prompt"
    /// `system_prompt`
    public var systemPrompt: String?
    /// `shuffle_dataset`
    public var shuffleDataset = true
    /// `prompt_selection_from`: a directory of recorded completions
    public var promptSelection: String?
    /// `pass_rate_reward`; nil is the whole reward
    public var passRateReward: String?
    /// `min_pass_rate`; nil is no limit
    public var minPassRate: Double?
    /// `max_pass_rate`; nil is no limit
    public var maxPassRate: Double?
    /// `easiest_first`
    public var easiestFirst = false

    // Rewards
    /// `reward_funcs`
    public var rewardFunctions: [String] = []
    /// `reward_weights`; nil is 1 each
    public var rewardWeights: [Double]?
    /// `reward_timeout`, in seconds
    public var rewardTimeout = 60.0
    /// `on_reward_failure`
    public var onRewardFailure = RewardFailurePolicy.skip
    /// `length_reward_ideal`, in `length_reward_unit`
    public var lengthRewardIdeal = 20
    /// `length_reward_unit`
    public var lengthRewardUnit = LengthUnit.characters
    /// `answer_reward_column`
    public var answerRewardColumn = "answer"
    /// `regex_reward_pattern`
    public var regexRewardPattern: String?
    /// `code_language`
    public var codeLanguage = "python"
    /// `cosine_max_len`, in tokens; nil is `max_completion_length`
    public var cosineMaxLength: Int?
    /// `cosine_min_value_wrong`: of a wrong completion without a token
    public var cosineMinValueWrong = -1.0
    /// `cosine_max_value_wrong`: of a wrong completion of `cosine_max_len` tokens or more
    public var cosineMaxValueWrong = -0.5
    /// `cosine_min_value_correct`: of a correct completion of `cosine_max_len` tokens or more
    public var cosineMinValueCorrect = 0.5
    /// `cosine_max_value_correct`: of a correct completion without a token
    public var cosineMaxValueCorrect = 1.0
    /// `repetition_n_grams`
    public var repetitionNGrams = 3
    /// `repetition_max_penalty`
    public var repetitionMaxPenalty = -1.0
    /// `max_completion_len`, in tokens
    public var overlongMaxLength = 1280
    /// `soft_punish_cache`, in tokens
    public var overlongCache = 256

    // Generation
    /// `num_generations`: completions a prompt
    public var generations = 8
    /// `max_completion_length`, in tokens
    public var maxCompletionLength = 512
    /// `temperature`
    public var temperature = 1.0
    /// `top_p`
    public var topP = 1.0
    /// `top_k`; 0 is off
    public var topK = 0
    /// `min_p`
    public var minP: Double?
    /// `repetition_penalty`
    public var repetitionPenalty = 1.0

    /// `generation_kwargs`
    public var generationArguments = KeywordArguments()
    /// `vllm_structured_outputs_regex`: what every completion has to match, from its first character to its last
    public var structuredOutputsRegex: String?
    /// `chat_template_kwargs`
    public var chatTemplateArguments = KeywordArguments()

    // Batches
    /// `per_device_train_batch_size`: completions a micro-batch
    public var perDeviceBatchSize = 8
    /// `gradient_accumulation_steps`: micro-batches an optimizer step
    public var gradientAccumulationSteps = 1
    /// `gradient_checkpointing`
    public var gradientCheckpointing = true
    /// `steps_per_generation`: micro-batches a generation; `BatchPlan` resolves nil
    public var stepsPerGeneration: Int?
    /// `generation_batch_size`: completions a generation; `BatchPlan` resolves nil
    public var generationBatchSize: Int?
    /// `num_iterations`
    public var iterations = 1
    /// `num_train_epochs`
    public var epochs = 3.0
    /// `max_steps`; -1 leaves it to the epochs
    public var maxSteps = -1

    // Objective
    /// `loss_type`
    public var lossType = LossType.dapo
    /// `beta`
    public var beta = 0.0
    /// `use_bias_correction_kl`
    public var biasCorrectedKL = true
    /// `epsilon`
    public var epsilon = 0.2
    /// `epsilon_high`; nil is `epsilon`
    public var epsilonHigh: Double?
    /// `importance_sampling_level`
    public var importanceSamplingLevel = ImportanceSamplingLevel.token
    /// `delta`; nil is no limit
    public var delta: Double?
    /// `sapo_temperature_pos`
    public var sapoTemperaturePositive = 1.0
    /// `sapo_temperature_neg`
    public var sapoTemperatureNegative = 1.05
    /// `vespo_k_pos`
    public var vespoKPositive = 2.0
    /// `vespo_lambda_pos`
    public var vespoLambdaPositive = 3.0
    /// `vespo_k_neg`
    public var vespoKNegative = 3.0
    /// `vespo_lambda_neg`
    public var vespoLambdaNegative = 2.0
    /// `multi_objective_aggregation`
    public var rewardAggregation = RewardAggregation.sumThenNormalize
    /// `scale_rewards`
    public var scaleRewards = RewardScale.group
    /// `mask_truncated_completions`
    public var maskTruncatedCompletions = false
    /// `zero_std_groups`
    public var deadGroups = DeadGroupPolicy.keep
    /// `max_resample_attempts`
    public var resampleAttempts = 3
    /// `top_entropy_quantile`
    public var topEntropyQuantile = 1.0
    /// `off_policy_mask_threshold`, in nats a token; nil is off
    public var offPolicyMaskThreshold: Double?
    /// `entropy_coef`
    public var entropyCoefficient = 0.0
    /// `use_adaptive_entropy`
    public var usesAdaptiveEntropy = false
    /// `entropy_coef_min`
    public var entropyCoefficientMin = 0.0
    /// `entropy_coef_max`
    public var entropyCoefficientMax = 1.0
    /// `entropy_coef_delta`
    public var entropyCoefficientDelta = 0.005
    /// `entropy_target`, in nats a token
    public var entropyTarget = 0.2
    /// `sync_ref_model`
    public var syncsReference = false
    /// `ref_model_mixup_alpha`
    public var referenceMixupAlpha = 0.6
    /// `ref_model_sync_steps`
    public var referenceSyncSteps = 512

    // Optimizer
    /// `optim`
    public var optimizer = OptimizerKind.adamW
    /// `optim_args`
    public var optimizerArguments: String?
    /// `learning_rate`
    public var learningRate = 1e-6
    /// `lr_scheduler_type`
    public var learningRateSchedule = LearningRateSchedule.Kind.linear
    /// `lr_scheduler_kwargs`
    public var learningRateArguments = KeywordArguments()
    /// `warmup_ratio`
    public var warmupRatio = 0.0
    /// `warmup_steps`; below 1 a share of all steps
    public var warmupSteps = 0.0
    /// `weight_decay`
    public var weightDecay = 0.0
    /// `adam_beta1`
    public var adamBeta1 = 0.9
    /// `adam_beta2`
    public var adamBeta2 = 0.999
    /// `adam_epsilon`
    public var adamEpsilon = 1e-8
    /// `max_grad_norm`; 0 is off
    public var maxGradientNorm = 1.0

    // Reports and checkpoints
    /// `logging_strategy`
    public var loggingStrategy = IntervalStrategy.steps
    /// `logging_steps`
    public var loggingSteps = StepInterval.steps(10)
    /// `logging_first_step`
    public var logsFirstStep = false
    /// `eval_dataset_name`
    public var evaluationDataset: String?
    /// `eval_strategy`
    public var evaluationStrategy = IntervalStrategy.never
    /// `eval_delay`, in steps or epochs, as `eval_strategy` is
    public var evaluationDelay = 0.0
    /// `eval_steps`; nil is `logging_steps`
    public var evaluationSteps: StepInterval?
    /// `eval_on_start`
    public var evaluatesOnStart = false
    /// `per_device_eval_batch_size`, in completions
    public var evaluationBatchSize = 8
    /// `num_generations_eval`; nil is `num_generations`
    public var generationsInEvaluation: Int?
    /// `load_best_model_at_end`
    public var loadsBestModel = false
    /// `metric_for_best_model`
    public var metricForBestModel: String?
    /// `greater_is_better`
    public var greaterIsBetter: Bool?
    /// `save_strategy`
    public var saveStrategy = SaveStrategy.steps
    /// `save_steps`
    public var saveSteps = StepInterval.steps(500)
    /// `save_total_limit`; nil is no limit
    public var saveTotalLimit: Int?
    /// `save_only_model`
    public var savesOnlyModel = false
    /// `export`
    public var exports: [String] = []
    /// `resume_from_checkpoint`
    public var resumePoint = ResumePoint.none
    /// `log_completions`
    public var logCompletions = false
    /// `num_completions_to_print`; nil is all
    public var completionsToPrint: Int?

    /// What was said of keys that have no field, by name; for checks that need two of them.
    var foreign: [String: RawValue] = [:]

    /// TRL's defaults.
    public init() {}

    /// The loss that this configuration asks for.
    public var objective: PolicyObjective {
        var objective = PolicyObjective(
            lossType: lossType, epsilon: epsilon, epsilonHigh: epsilonHigh, beta: beta, biasCorrectedKL: biasCorrectedKL,
            maxCompletionLength: maxCompletionLength)
        objective.importanceSamplingLevel = importanceSamplingLevel
        objective.delta = delta
        (objective.sapoTemperaturePositive, objective.sapoTemperatureNegative) = (sapoTemperaturePositive, sapoTemperatureNegative)
        (objective.vespoKPositive, objective.vespoLambdaPositive) = (vespoKPositive, vespoLambdaPositive)
        (objective.vespoKNegative, objective.vespoLambdaNegative) = (vespoKNegative, vespoLambdaNegative)
        objective.topEntropyQuantile = topEntropyQuantile
        objective.offPolicyMaskThreshold = offPolicyMaskThreshold
        return objective
    }

    /// The learning rates of a run of `steps` optimizer steps.
    public func schedule(steps: Int) throws(ConfigurationError) -> LearningRateSchedule {
        try LearningRateSchedule(
            kind: learningRateSchedule, peak: learningRate, warmupSteps: warmupSteps, warmupRatio: warmupRatio, arguments: learningRateArguments,
            totalSteps: steps)
    }

    /// Every key with its value, as YAML that gives this configuration again.
    public var resolvedYAML: String { Self.fields.map { "\($0.name): \($0.yaml(self))\n" }.joined() }
}
