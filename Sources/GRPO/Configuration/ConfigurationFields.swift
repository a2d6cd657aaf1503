internal import Qwen2
extension GRPOConfiguration {
    /// Every key that can be set, in the order of the resolved file. The defaults are those of the properties.
    public static let fields: [ConfigurationField] = [
        // Model and run
        .init("model_name_or_path", \.model, in: .notEmpty, "checkpoint directory, GGUF file or export to train"),
        .init("dtype", aliases: ["torch_dtype"], \.dtype, "compute type: bfloat16 weights with float32 masters, or float32 throughout"),
        .init("output_dir", \.outputDirectory, in: .notEmpty, "directory of the run: metrics, completions, checkpoints, the final model"),
        .init("seed", \.seed, in: .atLeast(0), "seed of the data order and of sampling"),

        // Data
        .init("dataset_name", \.dataset, in: .notEmpty, "JSONL file with a prompt a line; other columns go to the rewards"),
        .init("dataset_prompt_column", \.promptColumn, in: .notEmpty, "column that holds the prompt, text or a list of {role, content}"),
        .init("system_prompt", \.systemPrompt, "system message put before conversations that have none"),
        .init("shuffle_dataset", \.shuffleDataset, "visit the rows in a new order each epoch"),

        // Rewards
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

        // Generation
        .init("num_generations", \.generations, in: .atLeast(2), "completions a prompt: the size of a group"),
        .init("max_completion_length", \.maxCompletionLength, in: .atLeast(1), "longest completion, in tokens"),
        .init(
            "temperature", \.temperature, in: .init(words: "of at least 0.0001") { $0 >= 1e-4 },
            "sampling temperature; also divides the logits in training"),
        .init("top_p", \.topP, in: .positiveShare, "sample from the likeliest tokens of this total probability"),
        .init("top_k", \.topK, in: .atLeast(0), "sample from the k likeliest tokens; 0 is all"),
        .init("min_p", \.minP, in: .share, "sample from tokens at least this likely beside the likeliest"),
        .init("repetition_penalty", \.repetitionPenalty, in: .positive, "above 1 discourages tokens that have been used"),

        // Batches
        .init("per_device_train_batch_size", \.perDeviceBatchSize, in: .atLeast(1), "completions in a micro-batch"),
        .init("gradient_accumulation_steps", \.gradientAccumulationSteps, in: .atLeast(1), "micro-batches in an optimizer step"),
        .init(
            "steps_per_generation", \.stepsPerGeneration, in: .atLeast(1),
            "micro-batches cut from a generation; null is gradient_accumulation_steps"),
        .init("generation_batch_size", \.generationBatchSize, in: .atLeast(1), "completions in one generation, instead of steps_per_generation"),
        .init("num_iterations", \.iterations, in: .atLeast(1), "times each generation is trained on"),
        .init("num_train_epochs", \.epochs, in: .positive, "passes over the dataset, unless max_steps says when to stop"),
        .init(
            "max_steps", \.maxSteps, in: .init(words: "of at least 1, or -1 for num_train_epochs") { $0 == -1 || $0 >= 1 },
            "optimizer steps; -1 leaves it to num_train_epochs"),

        // Objective
        .init("loss_type", \.lossType, "how tokens are averaged into one loss"),
        .init("beta", \.beta, in: .notNegative, "weight of the KL penalty; 0 needs no reference model"),
        .init("use_bias_correction_kl", \.biasCorrectedKL, "multiply the KL term by the importance ratio, as recent TRL does"),
        .init("epsilon", \.epsilon, in: .notNegative, "the ratio is clipped below 1 - epsilon"),
        .init("epsilon_high", \.epsilonHigh, in: .notNegative, "the ratio is clipped above 1 + epsilon_high; epsilon when null"),
        .init("scale_rewards", \.scaleRewards, "divide advantages by the deviation of the group, of the batch, or not"),
        .init("mask_truncated_completions", \.maskTruncatedCompletions, "leave completions that hit max_completion_length out of the loss"),

        // Optimizer
        .init("learning_rate", \.learningRate, in: .notNegative, "peak learning rate of AdamW"),
        .init("lr_scheduler_type", \.learningRateSchedule, "how the learning rate moves after the warm-up"),
        .init("warmup_ratio", \.warmupRatio, in: .share, "share of the steps spent warming up, unless warmup_steps is set"),
        .init(
            "warmup_steps", \.warmupSteps,
            in: .init(words: "of at least 0, whole or below 1") { $0 >= 0 && ($0 < 1 || $0 == $0.rounded()) && $0 <= 1e9 },
            "steps of warm-up; below 1 a share of all steps"),
        .init("weight_decay", \.weightDecay, in: .notNegative, "AdamW's decoupled weight decay"),
        .init("adam_beta1", \.adamBeta1, in: .belowOne, "decay of AdamW's first moment"),
        .init("adam_beta2", \.adamBeta2, in: .belowOne, "decay of AdamW's second moment"),
        .init("adam_epsilon", \.adamEpsilon, in: .positive, "added to AdamW's divisor"),
        .init("max_grad_norm", \.maxGradientNorm, in: .notNegative, "gradients are scaled down to this norm; 0 leaves them"),

        // Reports and checkpoints
        .init("logging_steps", \.loggingSteps, in: .atLeast(1), "optimizer steps a line of metrics"),
        .init("save_strategy", \.saveStrategy, "when to write a checkpoint"),
        .init("save_steps", \.saveSteps, in: .atLeast(1), "optimizer steps a checkpoint"),
        .init("log_completions", \.logCompletions, "show completions on the terminal at each logging step; the files have all of them anyway"),
    ]

    /// A key of TRL, transformers or accelerate that is not a field here.
    enum ForeignKey: Sendable {
        /// Changes no result here; the reason is told.
        case ignored(String)
        /// Only these values (as text; "null" for null) mean what happens here.
        case fixed([String])
        /// No longer exists; what to do instead.
        case removed(String)
    }

    /// What is known about the keys that are not fields.
    static func foreignKey(_ name: String) -> ForeignKey? {
        if let known = foreignKeys[name] { return known }
        if name.hasPrefix("vllm_") { return .ignored("generation is built in, there is no vLLM") }
        if name.hasPrefix("hub_") { return .ignored("nothing is uploaded") }
        if name.hasPrefix("dataloader_") || name.hasPrefix("ddp_") || name.hasPrefix("trackio_") {
            return .ignored("there is nothing of the kind here")
        }
        return nil
    }

    /// Every name a typing mistake may have meant.
    static var knownNames: [String] { fields.flatMap { [$0.name] + $0.aliases } + foreignKeys.keys.sorted() }

    private static let off = ["false", "null"]

    private static let foreignKeys: [String: ForeignKey] = [
        "max_prompt_length": .removed("TRL removed it and prompts are never cut here either; leave it out and keep long prompts out of the dataset"),
        "fp16": .fixed(off), "bf16": .ignored("dtype says what is computed in"), "tf32": .ignored("there is no GPU"),
        "bf16_full_eval": .ignored("dtype says what is computed in"), "fp16_full_eval": .ignored("dtype says what is computed in"),
        "report_to": .ignored("metrics go to metrics.jsonl and the terminal"), "run_name": .ignored("the run is its output_dir"),
        "project": .ignored("the run is its output_dir"), "push_to_hub": .ignored("nothing is uploaded"),
        "gradient_checkpointing": .ignored("the memory of the backward pass is bounded anyway"),
        "gradient_checkpointing_kwargs": .ignored("the memory of the backward pass is bounded anyway"),
        "activation_checkpointing": .ignored("the memory of the backward pass is bounded anyway"),
        "use_cpu": .ignored("everything runs on the CPU"), "no_cuda": .ignored("everything runs on the CPU"),
        "use_vllm": .ignored("generation is built in, there is no vLLM"),
        "use_transformers_continuous_batching": .ignored("generation is built in"), "use_transformers_paged": .ignored("generation is built in"),
        "use_liger_kernel": .ignored("the loss is chunked anyway"), "use_cache": .ignored("generation always has its cache"),
        "torch_compile": .ignored("there is no PyTorch"), "torch_empty_cache_steps": .ignored("there is no PyTorch"),
        "attn_implementation": .ignored("attention is built in"), "cache_implementation": .ignored("generation is built in"),
        "remove_unused_columns": .ignored("every column goes to the rewards"), "trust_remote_code": .ignored("no code is loaded from checkpoints"),
        "ds3_gather_for_generation": .ignored("there is one process"), "pad_to_multiple_of": .ignored("nothing is padded"),
        "disable_tqdm": .ignored("there is no progress bar of that kind"), "log_level": .ignored("the command line sets it"),
        "logging_first_step": .ignored("logging_steps says which steps are logged"), "logging_dir": .ignored("metrics go to output_dir"),
        "log_multimodal": .ignored("there is text only"), "num_completions_to_print": .ignored("the files have all completions"),
        "log_unique_prompts": .ignored("the files have all completions"), "log_completions_hub_repo": .ignored("nothing is uploaded"),
        "save_total_limit": .ignored("every checkpoint is kept"), "save_safetensors": .ignored("checkpoints are always safetensors"),
        "save_only_model": .ignored("checkpoints keep what resuming needs"), "overwrite_output_dir": .ignored("the command line decides that"),
        "per_device_eval_batch_size": .ignored("train does not evaluate"), "num_generations_eval": .ignored("train does not evaluate"),
        "eval_steps": .ignored("train does not evaluate"), "dataset_test_split": .ignored("dataset_name is one file"),
        "dataset_train_split": .ignored("dataset_name is one file"), "dataset_streaming": .ignored("dataset_name is one file"),
        "do_train": .ignored("the command says so"), "model_revision": .ignored("the model is a local path"),
        "full_determinism": .ignored("runs are deterministic anyway"), "skip_memory_metrics": .ignored("memory is always reported"),
        "average_tokens_across_devices": .ignored("there is one process"), "disable_dropout": .ignored("there is no dropout"),
        "lora_task_type": .ignored("only causal language models are trained"),
        "lora_r": .ignored("use_peft is not supported yet"), "lora_alpha": .ignored("use_peft is not supported yet"),
        "lora_dropout": .ignored("use_peft is not supported yet"), "lora_target_modules": .ignored("use_peft is not supported yet"),

        "num_processes": .fixed(["1"]), "logging_strategy": .fixed(["steps"]), "do_eval": .fixed(off), "do_predict": .fixed(off),
        "eval_strategy": .fixed(["no", "false"]), "eval_on_start": .fixed(off), "load_best_model_at_end": .fixed(off),
        "optim": .fixed(["adamw_torch", "adamw_torch_fused"]), "optim_args": .fixed(off), "lr_scheduler_kwargs": .fixed(off),
        "label_smoothing_factor": .fixed(["0"]), "neftune_noise_alpha": .fixed(off), "auto_find_batch_size": .fixed(off),
        "resume_from_checkpoint": .fixed(off), "data_seed": .fixed(off), "ignore_data_skip": .fixed(off), "deepspeed": .fixed(off),
        "fsdp": .fixed(off + [""]), "fsdp_config": .fixed(off), "accelerator_config": .fixed(off), "parallelism_config": .fixed(off),
        "use_peft": .fixed(off), "use_rslora": .fixed(off), "use_dora": .fixed(off), "load_in_8bit": .fixed(off), "load_in_4bit": .fixed(off),
        "lora_modules_to_save": .fixed(off), "lora_target_parameters": .fixed(off), "model_init_kwargs": .fixed(off),
        "cast_lm_head_to_fp32": .fixed(off), "dataset_config": .fixed(off), "datasets": .fixed(off), "reward_model_name_or_path": .fixed(off),
        "generation_kwargs": .fixed(off), "chat_template_kwargs": .fixed(off), "delta": .fixed(off),
        "importance_sampling_level": .fixed(["token"]), "multi_objective_aggregation": .fixed(["sum_then_normalize"]),
        "sync_ref_model": .fixed(off), "ref_model_mixup_alpha": .ignored("sync_ref_model is not supported yet"),
        "ref_model_sync_steps": .ignored("sync_ref_model is not supported yet"), "top_entropy_quantile": .fixed(["1"]),
        "entropy_coef": .fixed(["0"]), "use_adaptive_entropy": .fixed(off), "entropy_coef_min": .ignored("use_adaptive_entropy is not supported yet"),
        "entropy_coef_max": .ignored("use_adaptive_entropy is not supported yet"),
        "entropy_coef_delta": .ignored("use_adaptive_entropy is not supported yet"),
        "entropy_target": .ignored("use_adaptive_entropy is not supported yet"), "max_tool_calling_iterations": .fixed(off),
        "off_policy_mask_threshold": .fixed(off), "router_aux_loss_coef": .ignored("there are no experts"),
        "sapo_temperature_pos": .ignored("loss_type sapo is not supported yet"),
        "sapo_temperature_neg": .ignored("loss_type sapo is not supported yet"),
        "vespo_k_pos": .ignored("loss_type vespo is not supported yet"), "vespo_k_neg": .ignored("loss_type vespo is not supported yet"),
        "vespo_lambda_pos": .ignored("loss_type vespo is not supported yet"), "vespo_lambda_neg": .ignored("loss_type vespo is not supported yet"),
    ]
}
