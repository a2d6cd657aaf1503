import Checkpoints
import Foundation
import JSON
import Qwen2
import Testing

@testable import GRPO

/// Runs that stop and go on end with the same bytes as one that did not.
@Suite(.serialized) struct ResumeTests {
    private static let rewards = ClosureReward("odd") { batch in
        batch.completionIDs.map { ids in Double(ids.count { $0 % 2 == 1 }) / Double(max(ids.count, 1)) }
    }

    private func configuration(_ dtype: ComputeType, in directory: String) -> GRPOConfiguration {
        var configuration = GRPOConfiguration()
        configuration.dtype = dtype
        configuration.outputDirectory = directory
        (configuration.generations, configuration.perDeviceBatchSize, configuration.maxCompletionLength) = (4, 4, 8)
        // Two passes over a batch of four micro-batches, two of them a step: a batch lasts four steps.
        (configuration.gradientAccumulationSteps, configuration.stepsPerGeneration, configuration.iterations) = (2, 4, 2)
        (configuration.beta, configuration.syncsReference, configuration.referenceSyncSteps) = (0.04, true, 2)
        (configuration.entropyCoefficient, configuration.usesAdaptiveEntropy, configuration.entropyTarget) = (0.01, true, 3)
        (configuration.learningRate, configuration.maxSteps) = (1e-3, 10)
        (configuration.loggingSteps, configuration.saveSteps) = (.steps(3), .steps(100))
        return configuration
    }

    private func trainer(_ configuration: GRPOConfiguration) throws -> GRPOTrainer {
        let goldens = try #require(Bundle.module.url(forResource: "Goldens", withExtension: nil))
        let checkpoint = try Checkpoint(opening: goldens.appendingPathComponent("trl-model").path)
        let policy = try TextModel(checkpoint, computeType: configuration.dtype, trainable: !configuration.usesLoRA)
        if let lora = configuration.lora { try policy.model.addAdapter(lora, seed: 42, base: "trl-model") }
        let reference = configuration.beta == 0 || configuration.usesLoRA ? nil : try Qwen2Model(checkpoint, computeType: configuration.dtype)
        let rows = ["The sky is", "Say hello", "In the year", "Two words:", "He said", "Bread and", "Count to three:", "One plus two is", "Why?"]
        let dataset = PromptDataset(rows: rows.map { .init(prompt: .text($0)) })
        let source = try RolloutSource(configuration, dataset: dataset, rewards: try WeightedRewards([Self.rewards]), policy: policy)
        return try GRPOTrainer(configuration, policy: policy, reference: reference, source: source)
    }

    /// Every file of a finished run, without its times.
    private func bytes(_ directory: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name.hasSuffix("safetensors") {
            files[name] = FileManager.default.contents(atPath: "\(directory)/\(name)")
        }
        for name in try FileManager.default.contentsOfDirectory(atPath: "\(directory)/completions") {
            files[name] = FileManager.default.contents(atPath: "\(directory)/completions/\(name)")
        }
        let lines = try String(contentsOfFile: "\(directory)/metrics.jsonl", encoding: .utf8).split(separator: "\n")
        for (index, line) in lines.enumerated() {
            let object = try #require(try JSONValue.parse(Array(line.utf8), source: "metrics").object)
            let members = object.members.filter { !$0.key.hasPrefix("time/") && $0.key != "step_time" }
            files["metrics \(index)"] = Data(JSONValue.object(JSONObject(members)).serialized().utf8)
        }
        return files
    }

    @Test("stopped after any step and resumed", arguments: [ComputeType.bfloat16, .float32], OptimizerKind.allCases)
    func stopped(dtype: ComputeType, optimizer: OptimizerKind) throws {
        let directory = try TemporaryDirectory()
        var whole = configuration(dtype, in: directory.path + "/whole")
        whole.optimizer = optimizer
        if optimizer == .sgd { whole.optimizerArguments = "momentum=0.9" }
        try expectTheSame(whole, in: directory)
    }

    @Test("an adapter, its dropout and its reference go on too", arguments: [ComputeType.bfloat16, .float32])
    func stoppedAdapter(dtype: ComputeType) throws {
        let directory = try TemporaryDirectory()
        var whole = configuration(dtype, in: directory.path + "/whole")
        (whole.usesLoRA, whole.loraTargets, whole.loraDropout, whole.syncsReference) = (true, ["all-linear"], 0.2, false)
        try expectTheSame(whole, in: directory)
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path + "/stop-4/checkpoint-4")
        #expect(files.contains("adapter_model.safetensors") && files.contains("adapter_config.json"))
        #expect(!files.contains { $0.hasPrefix("model") || $0.hasPrefix("masters") })
        whole.loraRank = 8
        let path = directory.path + "/stop-4/checkpoint-4"
        #expect(failure { try trainer(whole).resume(from: path) }.contains("was written with lora_r: 16, now it is 8"))
    }

    /// A run that is left alone, and the same stopped after steps of all kinds.
    private func expectTheSame(_ whole: GRPOConfiguration, in directory: TemporaryDirectory) throws {
        #expect(try trainer(whole).train() == nil)
        let expected = try bytes(directory.path + "/whole")
        #expect(expected.count == 1 + 3 + 4)
        for stop in [1, 3, 4, 5, 9] {
            var part = whole
            part.outputDirectory = directory.path + "/stop-\(stop)"
            let first = try trainer(part)
            let path = try first.train { first.state.step >= stop }
            #expect(path == "\(directory.path)/stop-\(stop)/checkpoint-\(stop)")
            part.resumePoint = .latest
            #expect(try part.checkpointToResume() == path)
            let second = try trainer(part)
            try second.resume(from: try #require(path))
            #expect(second.state.step == stop)
            #expect(try second.train() == nil)
            let found = try bytes(directory.path + "/stop-\(stop)")
            #expect(found.keys.sorted() == expected.keys.sorted())
            for (name, data) in expected { #expect(found[name] == data, "\(name) after a stop at step \(stop)") }
        }
    }

    @Test("checkpoints beyond save_total_limit go, oldest first; save_only_model leaves the rest out")
    func limits() throws {
        let directory = try TemporaryDirectory()
        var configuration = configuration(.float32, in: directory.path + "/run")
        (configuration.maxSteps, configuration.saveSteps, configuration.saveTotalLimit) = (7, .steps(2), 2)
        _ = try trainer(configuration).train()
        #expect(try CheckpointName.all(in: directory.path + "/run").map(\.step) == [4, 6])
        _ = try Checkpoint(opening: directory.path + "/run/checkpoint-6")
        configuration.outputDirectory = directory.path + "/small"
        configuration.savesOnlyModel = true
        _ = try trainer(configuration).train()
        let files = try FileManager.default.contentsOfDirectory(atPath: directory.path + "/small/checkpoint-6")
        #expect(files.contains("model.safetensors") && !files.contains("optimizer.safetensors") && !files.contains("trainer_state.json"))
        configuration.resumePoint = .path(directory.path + "/small/checkpoint-6")
        #expect(failure { _ = try configuration.checkpointToResume() }.contains("has no trainer_state.json"))
        configuration.resumePoint = .latest
        #expect(try configuration.checkpointToResume() == nil)
    }

    @Test("a checkpoint that does not fit, or is damaged, is told")
    func refused() throws {
        let directory = try TemporaryDirectory()
        var configuration = configuration(.bfloat16, in: directory.path + "/run")
        let first = try trainer(configuration)
        let path = try #require(try first.train { first.state.step >= 3 })
        #expect(failure { _ = try RunDirectory.check(configuration) }.contains("already holds a run (metrics.jsonl): go on with"))
        configuration.seed = 43
        #expect(failure { try trainer(configuration).resume(from: path) }.contains("was written with seed: 42, now it is 43"))
        configuration.seed = 42
        configuration.learningRate = 1e-4  // allowed, and told
        try trainer(configuration).resume(from: path)
        for (name, message) in [
            ("optimizer.safetensors", "optimizer.safetensors"), ("rollouts.jsonl", "rollouts"), ("trainer_state.json", "cannot be read"),
        ] {
            let file = URL(fileURLWithPath: "\(path)/\(name)")
            let whole = try Data(contentsOf: file)
            try whole.prefix(whole.count / 2).write(to: file)
            let found = failure { try trainer(configuration).resume(from: path) }
            #expect(found.contains(message) && !found.contains("\n"), "\(found)")
            try whole.write(to: file)
        }
    }
}
