import Checkpoints
import Foundation
import JSON
import Testing

@testable import GRPO
@testable import Qwen2

/// Whole runs on the rollouts that TRL's own trainer recorded: its loss, gradient norm and metrics at every step, and its final weights.
@Suite(.serialized) struct TRLParityTests {
    @Test(arguments: [
        "trl-dapo", "trl-grpo-kl", "trl-grpo-kl-corrected", "trl-bnpo-iterations", "trl-dr_grpo", "trl-gspo", "trl-vespo", "trl-masks",
        "trl-gdpo-sync", "trl-qwen3", "trl-llama", "trl-lora", "trl-lora-continued",
    ])
    func tenSteps(_ name: String) throws {
        let goldens = try #require(Bundle.module.url(forResource: "Goldens", withExtension: nil))
        let golden = goldens.appendingPathComponent(name).path
        let output = FileManager.default.temporaryDirectory.appendingPathComponent("\(name)-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: output) }

        var configuration = GRPOConfiguration()
        _ = try configuration.read(yaml: "\(golden)/run.yaml")
        configuration.dtype = .float32
        configuration.outputDirectory = output
        configuration.loggingSteps = .steps(1)
        configuration.saveStrategy = .never
        let family = ["trl-qwen3": "-qwen3", "trl-llama": "-llama"][name] ?? ""
        let checkpoint = try Checkpoint(opening: goldens.appendingPathComponent("trl-model" + family).path)
        let policy = try TextModel(checkpoint, computeType: .float32, trainable: !configuration.usesLoRA)
        if configuration.usesLoRA { try policy.model.addAdapter(try LoRAAdapter(opening: "\(golden)/adapter"), trainable: true) }
        let reference = configuration.beta == 0 || configuration.usesLoRA ? nil : try Qwen2Model(checkpoint, computeType: .float32)
        let source = try RolloutSource(configuration, replaying: "\(golden)/completions", policy: policy)
        var logged: [JSONObject] = []
        let trainer = try GRPOTrainer(configuration, policy: policy, reference: reference, source: source) {
            if case .logged(_, let metrics) = $0 { logged.append(metrics) }
        }
        try trainer.train()

        let expected = try JSONValue.parse(contentsOf: "\(golden)/expected.json")
        let steps = try #require(expected["steps"]?.array)
        #expect(logged.count == 10)
        #expect(steps.count == 10)
        for (ours, trls) in zip(logged, steps) {
            let step = try #require(ours["step"]?.int)
            for (key, value) in try #require(trls.object).members where !["step", "epoch", "num_tokens", "step_time"].contains(key) {
                // Entropy and clip ratios are means over TRL's shuffled micro-batches; with one micro-batch a step they do not depend on it.
                guard let value = value.double, let found = ours[key]?.double else {
                    #expect(ours[key]?.isNull ?? false, "step \(step): \(key) is missing")
                    continue
                }
                // A loss is what is left of FP32 terms of about 1 (vespo: up to 5) that cancel: TRL's own sum carries errors of some 1e-6.
                let cancelled = name == "trl-vespo" ? 0.1 : 0.05
                let bound = 1e-4 * max(abs(value), key.hasSuffix("loss") ? cancelled : 0.01)
                #expect(abs(found - value) <= bound, "step \(step): \(key) is \(found), TRL's is \(value)")
            }
        }
        let final = try #require(expected["final_sum_and_norm"]?.object)
        #expect(final.members.count == policy.model.trainableParameters.count)
        for parameter in policy.model.trainableParameters {
            let pair = try #require(final[parameter.name]?.array).compactMap(\.double)
            let count = parameter.count
            var master = [Float](repeating: 0, count: count)
            parameter.read(rows: 0..<parameter.shape[0], into: &master)
            let sum = master.reduce(0.0) { $0 + Double($1) }
            let norm = master.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
            #expect(abs(sum - pair[0]) < 2e-3 * max(1, abs(pair[0])), "\(parameter.name)")
            #expect(abs(norm - pair[1]) < 1e-4 * pair[1], "\(parameter.name)")
        }
    }
}
