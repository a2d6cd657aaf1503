import Foundation
import JSON
import Testing

@testable import GRPO

@Suite struct GRPOTrainerTests {
    @Test("a model's path, prompts and a closure are enough")
    func opening() throws {
        let directory = try TemporaryDirectory()
        var configuration = GRPOConfiguration()
        configuration.model = try #require(Bundle.module.resourceURL).appendingPathComponent("Goldens/trl-model").path
        configuration.outputDirectory = directory.path + "/run"
        (configuration.perDeviceBatchSize, configuration.generations, configuration.maxCompletionLength) = (4, 2, 6)
        (configuration.maxSteps, configuration.loggingSteps, configuration.beta) = (2, .steps(1), 0.04)
        let dataset = PromptDataset(rows: ["The sea", "A tree"].map { .init(prompt: .text($0)) })
        let short = ClosureReward("short") { batch in batch.completions.map { -Double($0.utf8.count) } }
        var rewards: [Double] = [], kept: [Rollout] = []
        let trainer = try GRPOTrainer(configuration, rewards: [short], dataset: dataset) { progress in
            if case .logged(_, let metrics) = progress { rewards.append(metrics["rewards/short/mean"]?.double ?? 0) }
            if case .judged(let rollouts) = progress { kept += rollouts }
        }
        try trainer.train()
        #expect(rewards.count == 2 && rewards.allSatisfy { $0 < 0 })
        #expect(kept.count == 8 && kept.allSatisfy { $0.reward == $0.text.map { -Double($0.utf8.count) } })
        #expect(FileManager.default.fileExists(atPath: directory.path + "/run/model.safetensors"))
        #expect(failure { _ = try GRPOTrainer(configuration, rewards: [short], dataset: dataset) }.contains("already holds a run"))
        (configuration.rewardFunctions, configuration.rewardWeights) = (["length"], [1])
        let both = failure { _ = try GRPOTrainer(configuration, rewards: [short], dataset: dataset) }
        #expect(both.contains("reward_weights has 1 numbers, expected 2"))
        let nothing = failure { _ = try GRPOTrainer(GRPOConfiguration(), rewards: [short], dataset: dataset) }
        #expect(nothing.contains("model_name_or_path is missing"))
    }
}
