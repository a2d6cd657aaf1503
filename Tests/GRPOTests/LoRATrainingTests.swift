import Checkpoints
import Foundation
import JSON
import Qwen2
import Testing

@testable import GRPO

/// Runs that train a LoRA adapter: what they leave, what goes on from it, and what a configuration may say.
@Suite(.serialized) struct LoRATrainingTests {
    private static let odd = ClosureReward("odd") { batch in
        batch.completionIDs.map { ids in Double(ids.count { $0 % 2 == 1 }) / Double(max(ids.count, 1)) }
    }

    private var base: String {
        get throws { try #require(Bundle.module.url(forResource: "Goldens", withExtension: nil)).appendingPathComponent("trl-model").path }
    }

    private func configuration(_ directory: String, _ change: (inout GRPOConfiguration) -> Void = { _ in }) throws -> GRPOConfiguration {
        var configuration = GRPOConfiguration()
        configuration.model = try base
        configuration.outputDirectory = directory
        (configuration.generations, configuration.perDeviceBatchSize, configuration.maxCompletionLength) = (4, 8, 8)
        (configuration.learningRate, configuration.maxSteps, configuration.loggingSteps, configuration.saveStrategy) = (1e-2, 4, .steps(1), .never)
        (configuration.usesLoRA, configuration.loraRank, configuration.loraTargets) = (true, 4, ["all-linear"])
        change(&configuration)
        return configuration
    }

    @discardableResult
    private func train(_ configuration: GRPOConfiguration) throws -> (trainer: GRPOTrainer, lines: [JSONObject]) {
        let policy = try TextModel(training: configuration)
        let dataset = PromptDataset(rows: ["The sky is", "Say hello", "In the year", "He said"].map { .init(prompt: .text($0)) })
        let source = try RolloutSource(configuration, dataset: dataset, rewards: try WeightedRewards([Self.odd]), policy: policy)
        var lines: [JSONObject] = []
        let trainer = try GRPOTrainer(configuration, policy: policy, source: source) {
            if case .logged(_, let metrics) = $0 { lines.append(metrics) }
        }
        #expect(try trainer.train() == nil)
        return (trainer, lines)
    }

    private let groups = [TokenGroup(prompt: [5, 9, 40], completions: [[33, 7, 61, 100, 3], [8, 8, 200]])]

    @Test("what is trained opens again: as an adapter to the same bits, merged within rounding", arguments: [ComputeType.bfloat16, .float32])
    func savedAndMerged(dtype: ComputeType) throws {
        let directory = try TemporaryDirectory()
        let (trainer, lines) = try train(configuration(directory.path + "/run") { $0.dtype = dtype })
        #expect(lines.allSatisfy { ($0["grad_norm"]?.double ?? 0) > 0 })
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.path + "/run").sorted() == [
                "adapter_config.json", "adapter_model.safetensors", "completions", "config.yaml", "generation_config.json", "metrics.jsonl",
                "tokenizer.json", "tokenizer_config.json",
            ])
        let own = trainer.policy.model.score(groups).logprobs
        let opened = try TextModel(opening: directory.path + "/run", computeType: dtype)
        #expect(opened.model.score(groups).logprobs.map(\.bitPattern) == own.map(\.bitPattern))
        #expect(opened.endTokens == trainer.policy.endTokens)
        // The base is as it was.
        let plain = try Qwen2Model(Checkpoint(opening: try base), computeType: dtype).score(groups).logprobs
        #expect(opened.model.with(nil) { opened.model.score(groups).logprobs } == plain)
        #expect(own != plain)
        let merged = try MergedCheckpoint(Checkpoint(opening: try base), adapter: directory.path + "/run")
        try CheckpointWriter(config: merged.config, companions: [], type: .float32, layout: .safetensors).create(
            directory.path + "/merged", from: merged)
        let exact = try Qwen2Model(Checkpoint(opening: directory.path + "/merged"), computeType: dtype).score(groups).logprobs
        let bound: Float = dtype == .float32 ? 1e-5 : 0.05
        for (a, b) in zip(exact, own) { #expect(abs(a - b) < bound) }
    }

    @Test("the reference is the model without a new adapter, and an old adapter as it was")
    func reference() throws {
        let directory = try TemporaryDirectory()
        let (first, lines) = try train(configuration(directory.path + "/first") { ($0.beta, $0.loraDropout) = (0.04, 0) })
        // On policy nothing has moved at the first step.
        #expect(lines[0]["kl"]?.double == 0)
        #expect(lines[3]["kl"]?.double ?? 0 > 0)
        #expect(first.policy.model.with(nil) { first.policy.model.score(groups).logprobs } != first.policy.model.score(groups).logprobs)
        let (_, more) = try train(
            configuration(directory.path + "/second") { ($0.model, $0.beta, $0.disablesDropout) = (directory.path + "/first", 0.04, true) })
        #expect(more[0]["kl"]?.double == 0 && more[3]["kl"]?.double ?? 0 > 0)
    }

    @Test("dropout changes training and not sampling; without it the forward pass is the sampler's")
    func dropout() throws {
        let directory = try TemporaryDirectory()
        func run(_ name: String, _ change: (inout GRPOConfiguration) -> Void) throws -> [JSONObject] {
            try train(configuration("\(directory.path)/\(name)") { change(&$0) }).lines
        }
        let none = try run("none") { $0.loraDropout = 0 }
        let off = try run("off") { ($0.loraDropout, $0.disablesDropout) = (0.5, true) }
        let half = try run("half") { $0.loraDropout = 0.5 }
        let again = try run("again") { $0.loraDropout = 0.5 }
        func losses(_ lines: [JSONObject]) -> [Double?] { lines.map { $0["grad_norm"]?.double } }
        #expect(losses(none) == losses(off))
        #expect(losses(half) == losses(again) && losses(half) != losses(none))
        #expect(none[0]["reward"]?.double == half[0]["reward"]?.double)
        let adapters = try ["half", "again"].map { try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/\($0)/adapter_model.safetensors")) }
        #expect(adapters[0] == adapters[1])
    }

    @Test("the adapter of the best evaluation is left")
    func bestAdapter() throws {
        let directory = try TemporaryDirectory()
        let configuration = try configuration(directory.path + "/run") {
            ($0.saveStrategy, $0.saveSteps, $0.evaluationStrategy, $0.evaluationSteps) = (.steps, .steps(1), .steps, .steps(1))
            ($0.loadsBestModel, $0.metricForBestModel, $0.greaterIsBetter) = (true, "completions/mean_length", false)
        }
        let policy = try TextModel(training: configuration)
        let dataset = PromptDataset(rows: ["The sky is", "Say hello", "In the year", "He said"].map { .init(prompt: .text($0)) })
        let rewards = try WeightedRewards([Self.odd])
        let source = try RolloutSource(configuration, dataset: dataset, rewards: rewards, policy: policy)
        let heldOut = try EvaluationSet(configuration, dataset: dataset, rewards: rewards, policy: policy)
        let trainer = try GRPOTrainer(configuration, policy: policy, source: source, evaluation: heldOut)
        #expect(try trainer.train() == nil)
        let best = try #require(trainer.state.best)
        let saved = try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/run/checkpoint-\(best.step)/adapter_model.safetensors"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/run/adapter_model.safetensors")) == saved)
    }

    @Test("memory is the weights once, and the adapter's masters, gradients and moments")
    func memory() throws {
        let configuration = try configuration("unused")
        let policy = try TextModel(training: configuration, trainable: false)
        let plan = try BatchPlan(configuration, rows: 4)
        let full = try TextModel(Checkpoint(opening: try base))
        let (with, without) = (
            MemoryEstimate(configuration, plan, model: policy.model, promptTokens: 9),
            MemoryEstimate(configuration, plan, model: full.model, promptTokens: 9)
        )
        let weights = policy.model.configuration.parameterCount
        let trained = policy.model.trainableParameters.reduce(0) { $0 + $1.count }
        // Rank 4 on seven layers of each of two blocks: 64 wide, 96 between, keys and values 32.
        #expect(trained == 8 * (256 + 192 + 480))
        #expect(with.model == 2 * weights + 16 * trained)
        #expect(without.model == 16 * weights)
        #expect(with.activations == without.activations)
    }

    @Test(
        "what cannot be is told before a model is opened",
        arguments: [
            ("use_peft: true\nlora_target_modules: [lm_head]", "found 'lm_head', expected all-linear alone or names of linear layers"),
            ("use_peft: true\nlora_target_modules: [all-linear, q_proj]", "found 'all-linear'"),
            ("use_peft: true\nlora_target_modules: '.*q_proj'", "found '.*q_proj'"),
            ("use_peft: true\nbeta: 0.1\nsync_ref_model: true", "sync_ref_model is true with use_peft"),
            ("use_peft: true\nlora_r: 0", "lora_r: found '0', expected a whole number from 1 to 65536"),
            ("use_peft: true\nlora_dropout: 1", "from 0 to less than 1"), ("use_peft: true\nuse_dora: true", "DoRA is not supported"),
            ("use_peft: true\nlora_modules_to_save: [lm_head]", "trains no whole matrices"), ("lora_task_type: SEQ_CLS", "only language models"),
            ("use_peft: true\nlora_target_modules: [0.mlp.up_proj, q_proj]\nlora_modules_to_save: []", ""),
            ("use_peft: true\nlora_target_modules: all-linear", ""),
        ])
    func refused(yaml: String, words: String) {
        let problem = failure {
            var configuration = GRPOConfiguration()
            _ = try configuration.read(yaml: yaml, source: "run.yaml")
            try configuration.validate()
        }
        #expect(words == "" ? problem == "" : problem.contains(words) && !problem.contains("\n"), "\(problem)")
    }

    @Test("an adapter's own settings hold when it goes on, and it is not trained whole")
    func contradictions() throws {
        let directory = try TemporaryDirectory()
        try train(configuration(directory.path + "/run") { $0.maxSteps = 1 })
        func problem(_ change: @escaping (inout GRPOConfiguration) -> Void) -> String {
            failure {
                var configuration = GRPOConfiguration()
                (configuration.model, configuration.usesLoRA) = (directory.path + "/run", true)
                change(&configuration)
                _ = try TextModel(training: configuration)
            }
        }
        #expect(problem { _ in } == "")
        #expect(problem { $0.loraRank = 4 } == "")
        #expect(problem { $0.loraRank = 8 }.contains("lora_r: found 8, but the adapter"))
        #expect(problem { $0.loraTargets = ["q_proj"] }.contains("lora_target_modules: the adapter"))
        #expect(problem { $0.usesRankStabilizedLoRA = true }.contains("use_rslora: found true"))
        #expect(problem { $0.usesLoRA = false }.contains("is a LoRA adapter: set use_peft to go on training it, or merge it first"))
        let settings = directory.path + "/run/adapter_config.json"
        let text = try String(contentsOfFile: settings, encoding: .utf8)
        try text.replacing(try base, with: "/nowhere").write(toFile: settings, atomically: true, encoding: .utf8)
        #expect(problem { _ in }.contains("base_model_name_or_path in adapter_config.json is \"/nowhere\""))
    }

    @Test("a key of LoRA's without use_peft is warned about")
    func warned() {
        var configuration = GRPOConfiguration()
        configuration.loraRank = 8
        #expect(configuration.warnings.contains { $0.contains("lora_r is set and use_peft is not") })
        configuration.usesLoRA = true
        #expect(configuration.warnings.isEmpty)
    }
}
