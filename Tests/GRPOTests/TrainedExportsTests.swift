import Checkpoints
import Foundation
import Qwen2
import Testing

@testable import GRPO

/// The key `export`: what a run writes of its model at the end.
@Suite(.serialized) struct TrainedExportsTests {
    private static let odd = ClosureReward("odd") { batch in
        batch.completionIDs.map { ids in Double(ids.count { $0 % 2 == 1 }) / Double(max(ids.count, 1)) }
    }

    private let base: String
    private let directory: TemporaryDirectory
    private var run: String { directory.path + "/run" }

    init() throws {
        base = try #require(Bundle.module.url(forResource: "Goldens", withExtension: nil)).appendingPathComponent("trl-model").path
        directory = try TemporaryDirectory()
    }

    private func configuration(_ exports: [String], _ change: (inout GRPOConfiguration) -> Void = { _ in }) -> GRPOConfiguration {
        var configuration = GRPOConfiguration()
        (configuration.model, configuration.outputDirectory, configuration.exports) = (base, run, exports)
        (configuration.generations, configuration.perDeviceBatchSize, configuration.maxCompletionLength) = (4, 8, 8)
        (configuration.learningRate, configuration.maxSteps, configuration.saveStrategy) = (1e-2, 2, .never)
        change(&configuration)
        return configuration
    }

    /// Trains, and returns the paths that were told of, in the order of their first mention.
    @discardableResult
    private func train(_ configuration: GRPOConfiguration) throws -> [String] {
        let dataset = PromptDataset(rows: ["The sky is", "Say hello", "In the year", "He said"].map { .init(prompt: .text($0)) })
        var paths: [String] = []
        let trainer = try GRPOTrainer(configuration, rewards: [Self.odd], dataset: dataset) {
            if case .exporting(let path, let done, let total) = $0 {
                #expect(done <= total)
                if !paths.contains(path) { paths.append(path) }
            }
        }
        #expect(try trainer.train() == nil)
        return paths
    }

    @Test("the trained weights, in every format", arguments: [ComputeType.bfloat16, .float32])
    func formats(dtype: ComputeType) throws {
        let names = ["packed", "delta", "int8", "gguf", "gguf:f32"]
        let paths = try train(configuration(names) { $0.dtype = dtype })
        #expect(paths == ["packed", "delta", "int8", "model-bf16.gguf", "model-f32.gguf"].map { "\(run)/exports/\($0)" })
        let trained = try Checkpoint(opening: run)
        for path in paths {
            let report = try ExportVerification(source: trained, written: Checkpoint(opening: path))
            #expect(report.problem == nil)
            // Training moved the weights: the base is another model.
            #expect(try ExportVerification(source: Checkpoint(opening: base), written: Checkpoint(opening: path)).problem != nil || report.lossy > 0)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: run + "/exports")
        #expect(Set(left.map { "\(run)/exports/\($0)" }) == Set(paths))
    }

    @Test("an adapter is merged; a second run replaces what the first one wrote")
    func adapter() throws {
        let lora = configuration(["safetensors"]) { ($0.usesLoRA, $0.loraRank, $0.loraTargets) = (true, 4, ["all-linear"]) }
        try train(lora)
        for learningRate in [1e-2, 1e-3] {
            if learningRate != 1e-2 {
                try FileManager.default.removeItem(atPath: run + "/metrics.jsonl")
                var again = lora
                again.learningRate = learningRate
                try train(again)
            }
            let merged = try MergedCheckpoint(Checkpoint(opening: base), adapter: run)
            let report = try ExportVerification(source: merged, written: Checkpoint(opening: run + "/exports/safetensors"))
            #expect(report.problem == nil && report.lossy == 0)
        }
    }

    @Test("what cannot be written is refused before training")
    func refused() throws {
        for (names, message) in [
            (["zip"], "found 'zip', expected safetensors, packed"), (["gguf:q9"], "found 'gguf:q9'"), (["packed:q8_0"], "found 'packed:q8_0'"),
            (["gguf", "gguf:bf16"], "'gguf:bf16' is there twice"),
        ] {
            let error = #expect(throws: ConfigurationError.self) { try configuration(names).validate() }
            #expect(error?.message.contains(message) == true)
        }
        let error = #expect(throws: CheckpointError.self) { try train(configuration(["gguf:q4_k_m"])) }
        #expect(error?.message.contains("cannot have the type asked for") == true)
        #expect(!FileManager.default.fileExists(atPath: run))
    }
}
