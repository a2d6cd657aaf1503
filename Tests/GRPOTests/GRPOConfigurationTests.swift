import JSON
import Qwen2
import Testing

@testable import GRPO

@Suite struct GRPOConfigurationTests {
    private func read(_ yaml: String) throws -> (GRPOConfiguration, notices: [String]) {
        var configuration = GRPOConfiguration()
        let notices = try configuration.read(yaml: yaml, source: "run.yaml")
        return (configuration, notices)
    }

    @Test("a TRL YAML is read, with numbers as PyYAML does not read them")
    func trlYAML() throws {
        let (configuration, notices) = try read(
            """
            # a recipe
            model_name_or_path: Qwen/Qwen2-0.5B-Instruct
            torch_dtype: float32
            reward_funcs: [format, answer]
            reward_weights:
              - 1.0
              - 2
            learning_rate: 1e-5
            scale_rewards: false
            epsilon_high: 0.28
            min_p: null
            system_prompt: "Think: first,\\nthen answer"
            bf16: true
            use_vllm: true
            vllm_mode: colocate
            delta: null
            importance_sampling_level: token
            top_entropy_quantile: 1.0
            optim: adamw_torch
            """)
        #expect(configuration.model == "Qwen/Qwen2-0.5B-Instruct")
        #expect(configuration.dtype == .float32)
        #expect(configuration.rewardFunctions == ["format", "answer"])
        #expect(configuration.rewardWeights == [1, 2])
        #expect(configuration.learningRate == 1e-5)
        #expect(configuration.scaleRewards == .none)
        #expect(configuration.epsilonHigh == 0.28)
        #expect(configuration.minP == nil)
        #expect(configuration.systemPrompt == "Think: first,\nthen answer")
        // vllm_mode: colocate is what happens anyway.
        #expect(notices.count == 2)
        #expect(notices[1].hasPrefix("run.yaml:14: use_vllm has no effect: generation is built in"))
    }

    @Test("what is not written has TRL's default")
    func defaults() {
        let values = Dictionary(uniqueKeysWithValues: GRPOConfiguration.fields.map { ($0.name, $0.defaultYAML) })
        let trl = [
            "num_generations": "8", "max_completion_length": "512", "temperature": "1.0", "top_p": "1.0", "top_k": "0", "beta": "0.0",
            "num_iterations": "1", "epsilon": "0.2", "loss_type": "\"dapo\"", "scale_rewards": "\"group\"", "per_device_train_batch_size": "8",
            "gradient_accumulation_steps": "1", "num_train_epochs": "3.0", "max_steps": "-1", "learning_rate": "1.0e-06", "weight_decay": "0.0",
            "adam_beta1": "0.9", "adam_beta2": "0.999", "adam_epsilon": "1.0e-08", "max_grad_norm": "1.0", "logging_steps": "10", "save_steps": "500",
            "seed": "42", "shuffle_dataset": "true", "lr_scheduler_type": "\"linear\"", "steps_per_generation": "null",
        ]
        for (name, value) in trl { #expect(values[name] == value, "\(name)") }
        #expect(values.count == GRPOConfiguration.fields.count)
    }

    @Test("the command line goes over the file, with dashes or underscores")
    func overrides() throws {
        var (configuration, _) = try read("num_generations: 4\nbeta: 0.1")
        let overrides = try GRPOConfiguration.overrides(from: [
            "--num-generations", "16", "--max_steps=-1", "--reward_funcs", "length", "format", "--log_completions",
        ])
        #expect(try configuration.apply(overrides).isEmpty)
        #expect(configuration.generations == 16)
        #expect(configuration.beta == 0.1)
        #expect(configuration.rewardFunctions == ["length", "format"])
        #expect(configuration.logCompletions)
        #expect(failure { _ = try GRPOConfiguration.overrides(from: ["4"]) } == "command line: found '4', expected --key value")
    }

    @Test(
        "what cannot be used is refused with its line, what was found and what was expected",
        arguments: [
            ("num_genrations: 4", "run.yaml:1: unknown key 'num_genrations'; did you mean 'num_generations'?"),
            ("num_generation: 1", "num_generations: found '1', expected a whole number of at least 2"),
            ("seed: 1\nmax_prompt_length: 512", "run.yaml:2: max_prompt_length does not exist any more"),
            ("zzzzzzzzzz: 1", "unknown key 'zzzzzzzzzz'; expected a key of TRL's GRPOConfig"),
            ("loss_type: gspo", "loss_type: found 'gspo', expected one of grpo, bnpo, dr_grpo, dapo"),
            ("num_generations: 1", "num_generations: found '1', expected a whole number of at least 2"),
            ("num_generations: 8.5", "expected a whole number"),
            ("num_generations: \"8\"", "num_generations: found '8'"),
            ("temperature: 0", "temperature: found '0', expected a number of at least 0.0001"),
            ("temperature: .nan", "temperature: found '.nan'"),
            ("top_p: 1.5", "top_p: found '1.5', expected a number greater than 0 and at most 1"),
            ("beta: -0.1", "beta: found '-0.1', expected a number of at least 0"),
            ("max_steps: 0", "max_steps: found '0', expected a whole number of at least 1, or -1"),
            ("beta: null", "beta: found 'null', expected a number"),
            ("beta: [1, 2]", "beta: found a list of 2, expected a number"),
            ("beta: {a: 1}", "beta: found a mapping"),
            ("importance_sampling_level: group", "importance_sampling_level: found 'group', expected one of token, sequence"),
            ("use_dora: true", "run.yaml:1: use_dora: 'true' cannot be had: DoRA is not supported"),
            ("load_in_4bit: true", "load_in_4bit: 'true' cannot be had: a quantised model cannot be trained"),
            ("logging_steps: 1.5", "logging_steps: found '1.5', expected a whole number of at least 1, or a share of all steps"),
            ("generation_kwargs: 3", "generation_kwargs: found '3', expected a mapping of names to plain values, or null"),
            ("model_init_kwargs: {dtype: float8}", "model_init_kwargs: dtype is \"float8\", expected one of"),
            ("model_init_kwargs: {quantization_config: x}", "model_init_kwargs: 'quantization_config' cannot be had here"),
            ("optim: lion_8bit", "optim: found 'lion_8bit', expected one of adamw_torch, adamw_8bit, sgd"),
            ("seed: 1\nseed: 2", "the key 'seed' is given twice"),
            ("- a\n- b", "run.yaml: found a list of 2, expected lines of 'key: value'"),
            ("a: [", "run.yaml: not valid YAML"),
            ("a: &x 1\nb: [*x, [1]]", "run.yaml:1: unknown key 'a'"),
        ])
    func refused(yaml: String, message: String) {
        let found = failure { _ = try read(yaml) }
        #expect(found.contains(message), "\(found)")
        #expect(!found.contains("\n"))
    }

    @Test("deeply nested or endless YAML is an error, not a crash")
    func hostileYAML() {
        #expect(failure { _ = try read("a: " + String(repeating: "[", count: 100_000)) } != "")
        #expect(failure { _ = try read(String(repeating: "- ", count: 100_000)) } != "")
        #expect(failure { _ = try read(String(repeating: "{a: ", count: 100_000)) } != "")
        #expect(failure { _ = try read("a: " + String(repeating: "[ #]\n ", count: 100_000)) } != "")
        #expect(failure { _ = try read((0..<1400).map { String(repeating: " ", count: $0) + "a:\n" }.joined()) } != "")
        #expect(failure { _ = try read("\u{0}\u{1}") } != "")
    }

    @Test("the resolved YAML gives the same configuration again")
    func resolved() throws {
        var configuration = GRPOConfiguration()
        configuration.model = "a \"quoted\" path: # 1"
        configuration.systemPrompt = "null"
        configuration.rewardFunctions = ["length"]
        configuration.rewardWeights = [0.5]
        configuration.learningRate = 3e-7
        configuration.scaleRewards = .none
        configuration.saveStrategy = .never
        configuration.lossType = .drGRPO
        let (again, notices) = try read(configuration.resolvedYAML)
        #expect(again.resolvedYAML == configuration.resolvedYAML)
        #expect(again.systemPrompt == "null" && again.learningRate == 3e-7 && again.scaleRewards == .none)
        #expect(notices.isEmpty)
    }

    @Test("the course's example runs as it stands: a renamed key, and vLLM, are taken and told")
    func course() throws {
        let (configuration, notices) = try read(
            """
            output_dir: output
            num_train_epochs: 3
            num_generation: 4
            per_device_train_batch_size: 4
            gradient_accumulation_steps: 2
            learning_rate: 1e-5
            logging_steps: 10
            use_vllm: True
            """)
        #expect(configuration.generations == 4 && configuration.learningRate == 1e-5)
        #expect(try BatchPlan(configuration, rows: 100).promptsPerGeneration == 2)
        #expect(notices.count == 2 && notices[0] == "run.yaml:3: num_generation is called num_generations today, and taken as that")
        #expect(notices[1].hasPrefix("run.yaml:8: use_vllm has no effect: generation is built in: all completions"))
    }

    @Test("arguments of other functions: mappings in YAML, JSON text, and on the command line")
    func mappings() throws {
        var (configuration, _) = try read(
            "generation_kwargs: {top_p: 0.9, top_k: 5}\nmodel_init_kwargs: '{\"torch_dtype\": \"float32\"}'\nchat_template_kwargs:\n  enable_thinking: false"
        )
        #expect(configuration.dtype == .float32)
        #expect(configuration.chatTemplateArguments.object["enable_thinking"]?.bool == false)
        var sampling = try configuration.sampling(endTokens: [7])
        #expect(sampling.topP == 0.9 && sampling.topK == 5 && sampling.endTokens == [7])
        _ = try configuration.apply([.init(key: "generation-kwargs", values: [#"{"eos_token_id": [1, 2]}"#])])
        sampling = try configuration.sampling(endTokens: [7])
        #expect(sampling.topP == 1 && sampling.endTokens == [1, 2])
        let (again, _) = try read(configuration.resolvedYAML)
        #expect(again.resolvedYAML == configuration.resolvedYAML)
        for (yaml, message) in [
            ("{temperature: 2}", "temperature has a key of its own"), ("{top_p: 2}", "top_p is 2.0"), ("{top_k: x}", "found 'top_k' with \"x\""),
            ("{eos_token_id: []}", "eos_token_id is no id"), ("{penalty_alpha: 1}", "found 'penalty_alpha'"),
        ] {
            let found = failure { try read("generation_kwargs: \(yaml)").0.validate() }
            #expect(found.hasPrefix("generation_kwargs: ") && found.contains(message), "\(found)")
        }
    }

    @Test("what is allowed and probably not meant is told")
    func warnings() throws {
        #expect(GRPOConfiguration().warnings.isEmpty)
        #expect(try read("loss_type: cispo").0.warnings.contains { $0.contains("scales all gradients by 0.2") && $0.contains("5.0") })
        #expect(try read("loss_type: cispo\nepsilon_high: 5.0").0.warnings.isEmpty)
        #expect(try read("loss_type: luspo").0.warnings.count == 1)
        #expect(try read("importance_sampling_level: sequence").0.warnings.contains { $0.contains("GSPO") })
        #expect(try read("importance_sampling_level: sequence\nloss_type: grpo").0.warnings.isEmpty)
    }

    @Test("keys that contradict each other are refused")
    func contradictions() {
        func problem(_ yaml: String) -> String { failure { try read(yaml).0.validate() } }
        #expect(problem("sync_ref_model: true").hasPrefix("sync_ref_model is true and beta 0"))
        #expect(problem("sync_ref_model: true\nbeta: 0.1") == "")
        #expect(problem("use_vllm: true\nvllm_mode: server").hasPrefix("use_vllm with vllm_mode server needs a vLLM server"))
        #expect(problem("use_vllm: false\nvllm_mode: server") == "")
        #expect(problem("entropy_coef_min: 2").hasPrefix("entropy_coef_min is 2.0"))
        #expect(problem("optim_args: momentum=0.9").hasPrefix("optim_args is for optim sgd"))
        #expect(problem("dtype: int8").hasPrefix("dtype is int8"))
    }

    @Test("intervals are steps, or shares of the run")
    func intervals() throws {
        let (configuration, _) = try read("logging_steps: 0.1\nsave_steps: 50")
        #expect(configuration.loggingSteps.steps(of: 45) == 5 && configuration.saveSteps.steps(of: 45) == 50)
        #expect(StepInterval.share(0.001).steps(of: 10) == 1)
    }

    @Test("missing keys and weights that do not fit are named")
    func validation() {
        var configuration = GRPOConfiguration()
        #expect(failure { try configuration.validate(requiring: ["dataset_name"]) }.hasPrefix("dataset_name is missing"))
        #expect(failure { try configuration.validate() } == "")
        configuration.rewardWeights = [1]
        #expect(failure { try configuration.validate() }.contains("expected 0"))
    }
}

@Suite struct BatchPlanTests {
    private func plan(rows: Int, _ change: (inout GRPOConfiguration) -> Void = { _ in }) throws -> BatchPlan {
        var configuration = GRPOConfiguration()
        change(&configuration)
        return try BatchPlan(configuration, rows: rows)
    }

    @Test("TRL's defaults: one group an optimizer step")
    func defaults() throws {
        let plan = try plan(rows: 100)
        #expect(plan.generationBatchSize == 8 && plan.promptsPerGeneration == 1 && plan.stepsPerGeneration == 1)
        #expect(plan.stepsPerEpoch == 100 && plan.totalSteps == 300 && plan.totalGenerations == 300)
        #expect(!plan.isOffPolicy && !plan.needsOldLogps)
    }

    @Test("steps_per_generation beyond the accumulation is off-policy; the last prompts drop")
    func offPolicy() throws {
        let plan = try plan(rows: 25) {
            $0.perDeviceBatchSize = 6
            $0.generations = 2
            $0.gradientAccumulationSteps = 2
            $0.stepsPerGeneration = 4
        }
        #expect(plan.generationBatchSize == 24 && plan.promptsPerGeneration == 12)
        #expect(plan.generationsPerEpoch == 2 && plan.droppedPrompts == 1)
        #expect(plan.microBatchesPerEpoch == 8 && plan.stepsPerEpoch == 4 && plan.totalSteps == 12 && plan.totalGenerations == 6)
        #expect(plan.isOffPolicy && plan.needsOldLogps)
        #expect(plan.description.contains("leaves out 1 prompts"))
    }

    @Test("num_iterations, a generation batch given by size, part of an epoch, max_steps")
    func others() throws {
        let iterated = try plan(rows: 8) { $0.iterations = 2 }
        #expect(iterated.stepsPerEpoch == 16 && iterated.needsOldLogps && iterated.isOffPolicy)
        let sized = try plan(rows: 8) { $0.generationBatchSize = 32 }
        #expect(sized.stepsPerGeneration == 4 && sized.promptsPerGeneration == 4)
        let uneven = try plan(rows: 5) {
            $0.gradientAccumulationSteps = 4
            $0.stepsPerGeneration = 1
            $0.epochs = 1.5
        }
        #expect(uneven.stepsPerEpoch == 2 && uneven.totalSteps == 3 && !uneven.isOffPolicy && !uneven.needsOldLogps)
        #expect(uneven.totalGenerations == 9)
        #expect(try plan(rows: 5) { $0.maxSteps = 7 }.totalSteps == 7)
        #expect(try plan(rows: 5) { $0.maxSteps = 7 }.totalGenerations == 7)
    }

    @Test("batches that do not divide are told with what would")
    func errors() {
        #expect(failure { _ = try plan(rows: 9) { $0.perDeviceBatchSize = 12 } }.contains("make it 8 or 16"))
        #expect(failure { _ = try plan(rows: 9) { $0.perDeviceBatchSize = 1 } }.contains("make it 8,"))
        #expect(failure { _ = try plan(rows: 9) { $0.generationBatchSize = 12 } }.contains("multiple of per_device_train_batch_size (8)"))
        #expect(
            failure {
                _ = try plan(rows: 9) {
                    $0.generationBatchSize = 8
                    $0.stepsPerGeneration = 1
                }
            }.contains("leave one out"))
        #expect(failure { _ = try plan(rows: 1) { $0.generationBatchSize = 16 } }.contains("has 1 prompts, fewer than the 2"))
        #expect(failure { _ = try plan(rows: 9) { $0.perDeviceBatchSize = .max } } != "")
        #expect(
            failure {
                _ = try plan(rows: 9) {
                    $0.perDeviceBatchSize = 8
                    $0.stepsPerGeneration = .max
                }
            }.contains("2^62"))
        #expect(failure { _ = try plan(rows: 9) { $0.epochs = 1e300 } }.contains("too many"))
    }
}

@Suite struct MemoryEstimateTests {
    @Test("gradient_checkpointing keeps inputs alone where the rest might not fit")
    func checkpointing() throws {
        let shape = try Qwen2Configuration(
            JSONValue.parse(
                Array(
                    """
                    {"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
                     "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": true}
                    """.utf8), source: "config.json"), path: "config.json")
        func estimate(gigabytes: Int, _ checkpointing: Bool) throws -> MemoryEstimate {
            var configuration = GRPOConfiguration()
            (configuration.maxCompletionLength, configuration.gradientCheckpointing) = (2048, checkpointing)
            return MemoryEstimate(
                configuration, try BatchPlan(configuration, rows: 8), shape: shape, adapterParameters: nil, promptTokens: 100,
                physical: gigabytes * 1_000_000_000)
        }
        // 16,484 tokens of 0.77 MB.
        let whole = try estimate(gigabytes: 64, true), short = try estimate(gigabytes: 16, true), refused = try estimate(gigabytes: 16, false)
        #expect(!whole.recomputes && short.recomputes && !refused.recomputes)
        #expect(whole.activations - short.activations > 10_000_000_000 && refused.activations == whole.activations)
        #expect(short.total < 16_000_000_000 && short.tapeTokens >= 16_484)
        // The logits of 16,384 tokens take 10 GB more, all or none.
        let middle = try estimate(gigabytes: 32, true)
        #expect(whole.logitTokens == 16_384 && middle.logitTokens == 0 && !middle.recomputes && middle.tapeTokens >= 16_484)
        #expect(short.logitTokens == 0 && whole.head - middle.head == 16_384 * 151_936 * 4)
    }
}

@Suite struct LearningRateScheduleTests {
    @Test("linear with warm-up: transformers' numbers")
    func linear() throws {
        let schedule = try LearningRateSchedule(kind: .linear, peak: 1, warmupSteps: 2, totalSteps: 6)
        #expect((0...6).map(schedule.learningRate) == [0, 0.5, 1, 0.75, 0.5, 0.25, 0])
        #expect(try (0..<4).map(LearningRateSchedule(kind: .linear, peak: 1, totalSteps: 4).learningRate) == [1, 0.75, 0.5, 0.25])
    }

    @Test("constant, with and without warm-up, and shares rounded up")
    func constant() throws {
        #expect(try (0..<3).map(LearningRateSchedule(kind: .constant, peak: 2, warmupSteps: 2, totalSteps: 4).learningRate) == [2, 2, 2])
        #expect(
            try (0..<4).map(LearningRateSchedule(kind: .constantWithWarmup, peak: 2, warmupSteps: 2, totalSteps: 4).learningRate) == [0, 1, 2, 2])
        #expect(try LearningRateSchedule(kind: .linear, peak: 1, warmupRatio: 0.1, totalSteps: 11).warmupSteps == 2)
        #expect(try LearningRateSchedule(kind: .linear, peak: 1, warmupSteps: 0.5, warmupRatio: 0.1, totalSteps: 11).warmupSteps == 6)
    }
}
