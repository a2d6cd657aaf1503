/// A key of TRL, transformers or accelerate that is not a field here.
enum ForeignKey: Sendable {
    /// Changes no result here; the reason is told.
    case ignored(String)
    /// Only these values (as text; "null" for null) mean what happens here; with others the advice is told.
    case only([String], String)
    /// No longer exists; what to do instead.
    case removed(String)
    /// Has another name today.
    case renamed(String)

    /// What is known about a key that is not a field.
    static func known(_ name: String) -> ForeignKey? { all[name] ?? families.first { name.hasPrefix($0.prefix) }?.key }

    /// Every such key by its name.
    static let all: [String: ForeignKey] = {
        var all = refused
        for (reason, names) in ignored {
            for name in names { all[name] = .ignored(reason) }
        }
        return all
    }()

    private static let families: [(prefix: String, key: ForeignKey)] = [
        ("vllm_importance_sampling_", .ignored("the sampler's log-probs are the trainer's, so there is no mismatch to correct")),
        ("vllm_", .ignored("generation is built in, there is no vLLM")), ("hub_", .ignored("nothing is uploaded")),
        ("dataloader_", .ignored("the rows are in memory")), ("ddp_", .ignored("there is one process")), ("fsdp", .ignored("there is one process")),
        ("trackio_", .ignored("metrics go to metrics.jsonl and the terminal")), ("torch_compile", .ignored("there is no PyTorch")),
        ("bnb_4bit_", .ignored("it is a setting of load_in_4bit")), ("transformers_continuous_batching", .ignored("generation is built in")),
    ]

    private static let off = ["false", "null"]

    /// Keys by the reason for which they change no result.
    private static let ignored: [(reason: String, names: [String])] = [
        ("dtype says what is computed in", ["bf16", "tf32", "bf16_full_eval", "fp16_full_eval"]),
        ("everything runs on the CPU", ["use_cpu", "no_cuda"]),
        (
            "there is one process",
            [
                "local_rank", "log_on_each_node", "save_on_each_node", "average_tokens_across_devices", "ds3_gather_for_generation", "deepspeed",
                "accelerator_config", "log_level_replica",
            ]
        ),
        (
            "metrics go to metrics.jsonl and the terminal",
            [
                "report_to", "logging_dir", "disable_tqdm", "log_level", "logging_nan_inf_filter",
                "include_num_input_tokens_seen", "skip_memory_metrics", "include_for_metrics", "debug",
            ]
        ),
        ("the run is its output_dir", ["run_name", "project", "overwrite_output_dir"]),
        ("nothing is uploaded", ["push_to_hub", "log_completions_hub_repo", "hub_private_repo"]),
        (
            "the memory of the backward pass is bounded anyway",
            [
                "gradient_checkpointing_kwargs", "activation_checkpointing", "activation_checkpointing_kwargs",
                "torch_empty_cache_steps",
            ]
        ),
        ("generation is built in: all completions of a step are decoded as one batch, each prompt read once", ["use_vllm"]),
        (
            "generation is built in",
            [
                "use_transformers_continuous_batching", "use_transformers_paged", "use_cache", "cache_implementation",
                "max_tool_calling_iterations",
            ]
        ),
        ("attention and the loss are built in", ["attn_implementation", "use_liger_kernel", "liger_kernel_config", "use_kernels"]),
        ("nothing is padded", ["pad_to_multiple_of", "ignore_bias_buffers"]),
        ("every column goes to the rewards", ["remove_unused_columns", "label_names"]),
        ("no code is loaded from checkpoints", ["trust_remote_code"]),
        ("the model is a local path", ["model_revision"]),
        ("there is text only", ["log_multimodal"]),
        ("the files under completions/ have all of them", ["log_unique_prompts"]),
        ("checkpoints are always safetensors", ["save_safetensors"]),
        ("the command says what is done", ["do_train", "do_eval", "do_predict"]),
        ("runs are deterministic anyway", ["full_determinism"]),
        ("there are no experts", ["router_aux_loss_coef"]),
        ("TRL's order of prompts goes by seed alone", ["data_seed", "train_sampling_strategy", "length_column_name"]),
        ("a resumed run goes on exactly where it was", ["ignore_data_skip", "restore_callback_states_from_checkpoint", "enable_jit_checkpoint"]),
        ("the loss has no labels", ["label_smoothing_factor"]),
        (
            "evaluation has rewards and a loss, no predictions",
            [
                "prediction_loss_only", "eval_do_concat_batches", "eval_use_gather_object", "eval_accumulation_steps",
                "batch_eval_metrics",
            ]
        ),
        ("dataset_name is read whole", ["dataset_streaming", "streaming"]),
        ("it is a setting of load_in_4bit", ["use_bnb_nested_quant"]),
        ("set environment variables before the command", ["env"]),
        ("accelerate's launcher is not needed", ["accelerate_config", "machine_rank", "mixed_precision", "num_machines", "num_processes"]),
    ]

    /// Keys of which some values would change the result, and what to do.
    private static let refused: [String: ForeignKey] = [
        "num_generation": .renamed("num_generations"),
        "max_prompt_length": .removed("TRL removed it and prompts are never cut here either; leave it out and keep long prompts out of the dataset"),
        "vllm_mode": .only(["colocate", "server"], "generation is built in"),
        "fp16": .only(off, "float16 has too few exponents to train in; set dtype to bfloat16 or float32"),
        "lora_modules_to_save": .only(off + ["[]"], "an adapter trains no whole matrices here; leave it out, or use_peft for full fine-tuning"),
        "lora_target_parameters": .only(off + ["[]"], "it is for layers that are no modules, such as experts; set lora_target_modules"),
        "lora_task_type": .only(["CAUSAL_LM"], "only language models are trained; leave it out"),
        "use_dora": .only(off, "DoRA is not supported; leave it out for LoRA, or set use_rslora"),
        "load_in_8bit": .only(off, "a quantised model cannot be trained; leave it out"),
        "load_in_4bit": .only(off, "a quantised model cannot be trained; leave it out"),
        "cast_lm_head_to_fp32": .only(off, "set dtype to float32, or leave it out: the head's products are summed in float32 anyway"),
        "neftune_noise_alpha": .only(off, "noise on embeddings is for supervised fine-tuning; leave it out"),
        "auto_find_batch_size": .only(off, "TRL refuses it too: lower per_device_train_batch_size"),
        "optim_target_modules": .only(off, "the optimizers that need it are not here; leave it out"),
        "parallelism_config": .only(off, "there is one process; leave it out"),
        "test_split_size": .only(off, "split the file yourself and set eval_dataset_name"),
        "reward_model_name_or_path": .only(off, "reward models are not supported yet; call one from a Python function in reward_funcs"),
    ]
}
