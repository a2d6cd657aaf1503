internal import Checkpoints
internal import Qwen2
extension GRPOConfiguration {
    /// Every key that can be set, in the order of the resolved file. The defaults are those of the properties.
    public static let fields: [ConfigurationField] =
        runFields + loraFields + dataFields + rewardFields + generationFields + batchFields + objectiveFields + optimizerFields + reportFields

    private static let runFields: [ConfigurationField] = [
        .init("model_name_or_path", \.model, in: .notEmpty, "checkpoint directory, GGUF file or export to train"),
        .init("dtype", aliases: ["torch_dtype"], \.dtype, "compute type: bfloat16 weights with float32 masters, or float32 throughout"),
        .init(
            "model_init_kwargs", \.modelArguments,
            "dtype may be given here too; other arguments of from_pretrained change nothing here or are refused"),
        .init("output_dir", \.outputDirectory, in: .notEmpty, "directory of the run: metrics, completions, checkpoints, the final model"),
        .init("seed", \.seed, in: .atLeast(0), "seed of the data order and of sampling"),
    ]

    private static let loraFields: [ConfigurationField] = [
        .init("use_peft", \.usesLoRA, "train a LoRA adapter beside the weights, not the weights"),
        .init("lora_r", \.loraRank, in: .init(words: "from 1 to 65536") { (1...65536).contains($0) }, "rank of the adapter"),
        .init("lora_alpha", \.loraAlpha, in: .atLeast(1), "the adapter is multiplied by lora_alpha / lora_r"),
        .init("lora_dropout", \.loraDropout, in: .belowOne, "share of its inputs that the adapter does not see in training"),
        .init(
            "lora_target_modules", \.loraTargets,
            "layers that it changes: all-linear, or names such as q_proj or 0.mlp.up_proj; null is q_proj and v_proj"),
        .init("use_rslora", \.usesRankStabilizedLoRA, "multiply by lora_alpha / sqrt(lora_r) instead"),
        .init("disable_dropout", \.disablesDropout, "train as if lora_dropout were 0"),
    ]

    private static let dataFields: [ConfigurationField] = [
        .init(
            "dataset_name", \.dataset, in: .notEmpty,
            "prompts, a row each: a .jsonl, .json, .csv or .parquet file, or a dataset's directory; other columns go to the rewards"),
        .init(
            "datasets", \.mixture,
            "several datasets as one, instead of dataset_name: a list of {path, name, data_dir, data_files, split, columns, fraction}"),
        .init("dataset_config", \.datasetConfiguration, in: .notEmpty, "folder of such a directory"),
        .init("dataset_train_split", \.trainSplit, in: .notEmpty, "split of such a directory that is trained on"),
        .init("dataset_test_split", \.testSplit, in: .notEmpty, "split of such a directory that is evaluated on, unless eval_dataset_name is set"),
        .init("dataset_prompt_column", \.promptColumn, in: .notEmpty, "column that holds the prompt, text or a list of {role, content}"),
        .init("system_prompt", \.systemPrompt, "system message put before conversations that have none"),
        .init("shuffle_dataset", \.shuffleDataset, "visit the rows in a new order each epoch"),
        .init(
            "prompt_selection_from", \.promptSelection, in: .notEmpty, "completions/ of an earlier run, by whose mean rewards prompts are selected"),
        .init("pass_rate_reward", \.passRateReward, in: .notEmpty, "the reward whose mean selects; the whole reward when null"),
        .init("min_pass_rate", \.minPassRate, "prompts with a smaller recorded mean are left out"),
        .init("max_pass_rate", \.maxPassRate, "prompts with a larger recorded mean are left out"),
        .init("easiest_first", \.easiestFirst, "train on prompts in falling order of their recorded mean, untried ones last, instead of shuffling"),
    ]

    /// Keys of reward functions, which `eval` takes too.
    public static let rewardFields: [ConfigurationField] = [
        .init("reward_funcs", \.rewardFunctions, "reward functions: \(RewardSource.expected)"),
        .init("reward_weights", \.rewardWeights, "one weight a reward function; 1 each when null"),
        .init(
            "reward_timeout", \.rewardTimeout, in: .init(words: "greater than 0 and at most 86400") { $0 > 0 && $0 <= 86400 },
            "seconds that a reward function in Python or another program has for a batch"),
        .init(
            "on_reward_failure", \.onRewardFailure,
            "when such a function fails or is too slow: skip its rewards for the batch with a warning, or stop the run"),
        .init("length_reward_ideal", \.lengthRewardIdeal, in: .atLeast(0), "length that the length reward wants"),
        .init("length_reward_unit", \.lengthRewardUnit, "what length_reward_ideal counts"),
        .init(
            "answer_reward_column", \.answerRewardColumn, in: .notEmpty,
            "column with the right answer for the rewards answer, exact_match and numeric_match"),
        .init("regex_reward_pattern", \.regexRewardPattern, in: .notEmpty, "regular expression that the regex reward looks for"),
        .init("code_language", \.codeLanguage, in: .notEmpty, "language of code_format_reward, where the row has no column language"),
        .init("cosine_max_len", \.cosineMaxLength, in: .atLeast(1), "tokens at which cosine_scaled_reward ends; null is max_completion_length"),
        .init("cosine_min_value_wrong", \.cosineMinValueWrong, "cosine_scaled_reward of the shortest wrong completion"),
        .init("cosine_max_value_wrong", \.cosineMaxValueWrong, "cosine_scaled_reward of the longest wrong completion"),
        .init("cosine_min_value_correct", \.cosineMinValueCorrect, "cosine_scaled_reward of the longest correct completion"),
        .init("cosine_max_value_correct", \.cosineMaxValueCorrect, "cosine_scaled_reward of the shortest correct completion"),
        .init("repetition_n_grams", \.repetitionNGrams, in: .atLeast(1), "tokens of an n-gram of repetition_penalty_reward"),
        .init(
            "repetition_max_penalty", \.repetitionMaxPenalty, in: .init(words: "of at most 0") { $0 <= 0 },
            "repetition_penalty_reward of nothing but repetition"),
        .init("max_completion_len", \.overlongMaxLength, in: .atLeast(1), "tokens from which soft_overlong_punishment_reward is -1"),
        .init("soft_punish_cache", \.overlongCache, in: .atLeast(0), "tokens before max_completion_len over which it goes down to -1"),
    ]

    private static let generationFields: [ConfigurationField] = [
        .init("num_generations", \.generations, in: .atLeast(2), "completions a prompt: the size of a group"),
        .init("max_completion_length", \.maxCompletionLength, in: .atLeast(1), "longest completion, in tokens"),
        .init(
            "temperature", \.temperature, in: .init(words: "of at least 0.0001") { $0 >= 1e-4 },
            "sampling temperature; also divides the logits in training"),
        .init("top_p", \.topP, in: .positiveShare, "sample from the likeliest tokens of this total probability"),
        .init("top_k", \.topK, in: .atLeast(0), "sample from the k likeliest tokens; 0 is all"),
        .init("min_p", \.minP, in: .share, "sample from tokens at least this likely beside the likeliest"),
        .init("repetition_penalty", \.repetitionPenalty, in: .positive, "above 1 discourages tokens that have been used"),
        .init(
            "generation_kwargs", \.generationArguments,
            "further sampling settings, over those above: top_p, top_k, min_p, repetition_penalty, eos_token_id, stop_strings"),
        .init("vllm_structured_outputs_regex", \.structuredOutputsRegex, "a regular expression that every completion is made to match"),
        .init("chat_template_kwargs", \.chatTemplateArguments, "variables for the chat template, such as enable_thinking"),
    ]

    private static let batchFields: [ConfigurationField] = [
        .init("per_device_train_batch_size", \.perDeviceBatchSize, in: .atLeast(1), "completions in a micro-batch"),
        .init("gradient_accumulation_steps", \.gradientAccumulationSteps, in: .atLeast(1), "micro-batches in an optimizer step"),
        .init(
            "gradient_checkpointing", \.gradientCheckpointing,
            "make layers again in the backward pass where what they computed does not fit into memory; the numbers are the same"),
        .init(
            "steps_per_generation", \.stepsPerGeneration, in: .atLeast(1),
            "micro-batches cut from a generation; null is gradient_accumulation_steps"),
        .init("generation_batch_size", \.generationBatchSize, in: .atLeast(1), "completions in one generation, instead of steps_per_generation"),
        .init("num_iterations", \.iterations, in: .atLeast(1), "times each generation is trained on"),
        .init("num_train_epochs", \.epochs, in: .positive, "passes over the dataset, unless max_steps says when to stop"),
        .init(
            "max_steps", \.maxSteps, in: .init(words: "of at least 1, or -1 for num_train_epochs") { $0 == -1 || $0 >= 1 },
            "optimizer steps; -1 leaves it to num_train_epochs"),
    ]

    private static let objectiveFields: [ConfigurationField] = [
        .init("loss_type", \.lossType, "how tokens are averaged into one loss"),
        .init("beta", \.beta, in: .notNegative, "weight of the KL penalty; 0 needs no reference model"),
        .init("use_bias_correction_kl", \.biasCorrectedKL, "multiply the KL term by the importance ratio, as recent TRL does"),
        .init("epsilon", \.epsilon, in: .notNegative, "the ratio is clipped below 1 - epsilon"),
        .init("epsilon_high", \.epsilonHigh, in: .notNegative, "the ratio is clipped above 1 + epsilon_high; epsilon when null"),
        .init(
            "importance_sampling_level", \.importanceSamplingLevel, "whether each token has its ratio, or each completion one for all of its tokens"),
        .init("delta", \.delta, in: .positive, "largest ratio that multiplies a negative advantage; null is no limit"),
        .init("sapo_temperature_pos", \.sapoTemperaturePositive, in: .positive, "steepness of the loss sapo for positive advantages"),
        .init("sapo_temperature_neg", \.sapoTemperatureNegative, in: .positive, "steepness of the loss sapo for the others"),
        .init("vespo_k_pos", \.vespoKPositive, "power of the loss vespo for advantages of at least 0"),
        .init("vespo_lambda_pos", \.vespoLambdaPositive, "decay of the loss vespo for advantages of at least 0"),
        .init("vespo_k_neg", \.vespoKNegative, "power of the loss vespo for negative advantages"),
        .init("vespo_lambda_neg", \.vespoLambdaNegative, "decay of the loss vespo for negative advantages"),
        .init(
            "multi_objective_aggregation", \.rewardAggregation,
            "sum the rewards and normalise, or normalise each and sum (GDPO; scale_rewards is moot)"),
        .init("scale_rewards", \.scaleRewards, "divide advantages by the deviation of the group, of the batch, or not"),
        .init("mask_truncated_completions", \.maskTruncatedCompletions, "leave completions that hit max_completion_length out of the loss"),
        .init(
            "zero_std_groups", \.deadGroups,
            "keep groups whose rewards are all equal, as TRL does, drop them from the loss, or resample other prompts"),
        .init("max_resample_attempts", \.resampleAttempts, in: .atLeast(1), "further generations that resample may make for a batch"),
        .init("top_entropy_quantile", \.topEntropyQuantile, in: .share, "share of tokens, the least certain ones, that the policy's loss is made of"),
        .init(
            "off_policy_mask_threshold", \.offPolicyMaskThreshold,
            "completions of negative advantage drop out when they have become less likely by this many nats a token; null keeps all"),
        .init("entropy_coef", \.entropyCoefficient, "weight of the mean entropy in the loss: a bonus for exploring"),
        .init("use_adaptive_entropy", \.usesAdaptiveEntropy, "let entropy_coef follow entropy_target"),
        .init("entropy_coef_min", \.entropyCoefficientMin, "least adaptive entropy_coef"),
        .init("entropy_coef_max", \.entropyCoefficientMax, "largest adaptive entropy_coef"),
        .init("entropy_coef_delta", \.entropyCoefficientDelta, in: .notNegative, "change of the adaptive entropy_coef a step"),
        .init("entropy_target", \.entropyTarget, in: .notNegative, "entropy, in nats a token, above which the adaptive bonus is off"),
        .init("sync_ref_model", \.syncsReference, "let the reference model follow the policy"),
        .init("ref_model_mixup_alpha", \.referenceMixupAlpha, in: .share, "share of the policy when the reference follows"),
        .init("ref_model_sync_steps", \.referenceSyncSteps, in: .atLeast(1), "optimizer steps between two such moves"),
    ]

    private static let optimizerFields: [ConfigurationField] = [
        .init("optim", \.optimizer, "what moves the weights"),
        .init("optim_args", \.optimizerArguments, "of sgd: momentum=0.9, dampening=0.0, nesterov=true"),
        .init("learning_rate", \.learningRate, in: .notNegative, "peak learning rate"),
        .init("lr_scheduler_type", \.learningRateSchedule, "how the learning rate moves after the warm-up"),
        .init(
            "lr_scheduler_kwargs", \.learningRateArguments, "num_cycles, min_lr, min_lr_rate, lr_end, power or timescale, by lr_scheduler_type"),
        .init("warmup_ratio", \.warmupRatio, in: .share, "share of the steps spent warming up, unless warmup_steps is set"),
        .init(
            "warmup_steps", \.warmupSteps,
            in: .init(words: "of at least 0, whole or below 1") { $0 >= 0 && ($0 < 1 || $0 == $0.rounded()) && $0 <= 1e9 },
            "steps of warm-up; below 1 a share of all steps"),
        .init("weight_decay", \.weightDecay, in: .notNegative, "weight decay of matrices; biases and norms have none"),
        .init("adam_beta1", \.adamBeta1, in: .belowOne, "decay of AdamW's first moment"),
        .init("adam_beta2", \.adamBeta2, in: .belowOne, "decay of AdamW's second moment"),
        .init("adam_epsilon", \.adamEpsilon, in: .positive, "added to AdamW's divisor"),
        .init("max_grad_norm", \.maxGradientNorm, in: .notNegative, "gradients are scaled down to this norm; 0 leaves them"),
    ]

    private static let reportFields: [ConfigurationField] = [
        .init("logging_strategy", \.loggingStrategy, "when to write a line of metrics"),
        .init("logging_steps", \.loggingSteps, "optimizer steps a line of metrics; below 1 a share of all steps"),
        .init("logging_first_step", \.logsFirstStep, "write a line for the first step too"),
        .init("eval_dataset_name", \.evaluationDataset, in: .notEmpty, "held-out prompts, written as dataset_name is"),
        .init("eval_strategy", \.evaluationStrategy, "when to evaluate on them"),
        .init("eval_steps", \.evaluationSteps, "optimizer steps between evaluations; logging_steps when null"),
        .init("eval_delay", \.evaluationDelay, in: .notNegative, "steps (epochs, with eval_strategy epoch) before the first evaluation"),
        .init("eval_on_start", \.evaluatesOnStart, "evaluate before the first step too"),
        .init("per_device_eval_batch_size", \.evaluationBatchSize, in: .atLeast(1), "completions whose metrics are averaged together in evaluation"),
        .init("num_generations_eval", \.generationsInEvaluation, in: .atLeast(1), "completions a prompt in evaluation; num_generations when null"),
        .init(
            "load_best_model_at_end", \.loadsBestModel, "leave the model of the best evaluation in output_dir, not the last; its checkpoint is kept"),
        .init(
            "metric_for_best_model", \.metricForBestModel, in: .notEmpty, "what makes an evaluation the best: eval_reward, eval_rewards/NAME/mean ..."
        ),
        .init("greater_is_better", \.greaterIsBetter, "whether more of it is better; null: unless its name ends in loss"),
        .init("save_strategy", \.saveStrategy, "when to write a checkpoint"),
        .init("save_steps", \.saveSteps, "optimizer steps a checkpoint; below 1 a share of all steps"),
        .init("save_total_limit", \.saveTotalLimit, in: .atLeast(1), "checkpoints kept, the newest; null is all"),
        .init("save_only_model", \.savesOnlyModel, "leave out of checkpoints what only resuming needs: 12 bytes a parameter"),
        .init(
            "export", \.exports,
            "at the end the trained model is written to output_dir/exports as well, an adapter merged: \(ExportRequest.expected)"),
        .init("resume_from_checkpoint", \.resumePoint, "go on: true at the last checkpoint in output_dir, or at the one of this path"),
        .init("log_completions", \.logCompletions, "show completions on the terminal at each logging step; the files have all of them anyway"),
        .init(
            "num_completions_to_print", \.completionsToPrint, in: .atLeast(1), "completions that log_completions shows; null is all of the last batch"
        ),
    ]

    /// Every name a typing mistake may have meant.
    static var knownNames: [String] { fields.flatMap { [$0.name] + $0.aliases } + ForeignKey.all.keys.sorted() }
}
