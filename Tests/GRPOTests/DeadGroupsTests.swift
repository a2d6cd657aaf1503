import Checkpoints
import Foundation
import JSON
import Qwen2
import Testing

@testable import GRPO

/// Groups whose rewards are all equal, and prompts chosen by how they went before.
@Suite(.serialized) struct DeadGroupsTests {
    private static let prompts = [
        "The sky is", "Say hello", "In the year", "Two words:", "He said", "Bread and", "Count to three:", "One plus two is",
    ]

    /// A run in which only every other prompt has rewards that differ.
    private func run(_ policy: DeadGroupPolicy, dtype: ComputeType = .bfloat16, _ change: (inout GRPOConfiguration) -> Void = { _ in }) throws -> [(
        rollouts: [Rollout], metrics: JSONObject
    )] {
        let directory = try TemporaryDirectory()
        let goldens = try #require(Bundle.module.url(forResource: "Goldens", withExtension: nil))
        let checkpoint = try Checkpoint(opening: goldens.appendingPathComponent("trl-model").path)
        var configuration = GRPOConfiguration()
        configuration.outputDirectory = directory.path + "/run"
        configuration.dtype = dtype
        (configuration.generations, configuration.perDeviceBatchSize, configuration.maxCompletionLength) = (4, 16, 8)
        (configuration.learningRate, configuration.maxSteps, configuration.loggingSteps, configuration.deadGroups) = (1e-3, 2, .steps(1), policy)
        change(&configuration)
        let model = try TextModel(checkpoint, computeType: dtype, trainable: true)
        let rewards = ClosureReward("half") { batch in
            zip(batch.prompts, batch.completionIDs).map { prompt, ids in
                guard case .text(let text) = prompt, let place = Self.prompts.firstIndex(of: text), place % 2 == 0 else { return 1 }
                return Double(ids[0] % 7) + Double(ids.count) / 10
            }
        }
        let dataset = PromptDataset(rows: Self.prompts.map { .init(prompt: .text($0)) })
        let source = try RolloutSource(configuration, dataset: dataset, rewards: try WeightedRewards([rewards]), policy: model)
        var judged: [[Rollout]] = []
        var logged: [JSONObject] = []
        let trainer = try GRPOTrainer(configuration, policy: model, source: source) {
            if case .judged(let rollouts) = $0 { judged.append(rollouts) }
            if case .logged(_, let line) = $0 { logged.append(line) }
        }
        _ = try trainer.train()
        return zip(judged, logged).map { ($0, $1) }
    }

    @Test("kept as TRL does, or dropped from loss and divisor: the loss is that of the live groups alone")
    func dropped() throws {
        let kept = try run(.keep, dtype: .float32)
        let dropped = try run(.drop, dtype: .float32)
        #expect(kept[0].metrics["dropped_groups"] == nil)
        let dead = 4 - GroupSpread.live(dropped[0].rollouts).count
        #expect(dead > 0 && dropped[0].metrics["dropped_groups"]?.double == Double(dead))
        // On policy, the first step's gradient differs by the divisor alone: dapo's tokens of all groups, and of the live ones.
        let tokens = { (groups: Set<Int>) in dropped[0].rollouts.filter { groups.contains($0.group) }.reduce(0) { $0 + $1.ids.count } }
        let share = Double(tokens(GroupSpread.live(dropped[0].rollouts))) / Double(tokens([0, 1, 2, 3]))
        let norms = [kept, dropped].map { $0[0].metrics["grad_norm"]?.double ?? .nan }
        #expect(abs(norms[0] / norms[1] - share) < 1e-5, "\(norms), \(share)")
    }

    @Test("resampled: the batch is filled with groups that teach, within the attempts")
    func resampled() throws {
        for step in try run(.resample) {
            let rollouts = step.rollouts
            #expect(rollouts.count == 16 && Set(rollouts.map(\.group)) == [0, 1, 2, 3])
            for group in 0..<4 { #expect(Set(rollouts.filter { $0.group == group }.map(\.promptIDs)).count == 1) }
            #expect(GroupSpread.live(rollouts) == [0, 1, 2, 3])
            #expect(step.metrics["resampled_groups"]?.double ?? 0 >= 4 && step.metrics["dropped_groups"]?.double == 0)
        }
        // Bounded: what is dead after the attempts is dropped.
        let bounded = try run(.resample) { $0.resampleAttempts = 1 }
        #expect(bounded.allSatisfy { $0.metrics["resampled_groups"]?.double == 4 })
    }

    @Test("prompts are selected by their recorded mean rewards, and ordered by them")
    func selection() throws {
        let directory = try TemporaryDirectory()
        func line(_ prompt: String, _ reward: Double, other: Double) -> String {
            #"{"prompt":"\#(prompt)","prompt_ids":[1],"ids":[2],"group":0,"rewards":{"other":\#(other)},"reward":\#(reward)}"# + "\n"
        }
        _ = try directory.file(
            "step-000001.jsonl",
            line("easy", 1, other: 0) + line("easy", 1, other: 1) + line("hard", 0, other: 1) + line("middle", 1, other: 1)
                + line("middle", 0, other: 1))
        let dataset = PromptDataset(rows: ["new", "hard", "middle", "easy"].map { .init(prompt: .text($0)) })
        func select(_ change: (inout GRPOConfiguration) -> Void) throws -> [Prompt] {
            var configuration = GRPOConfiguration()
            configuration.promptSelection = directory.path
            change(&configuration)
            return try dataset.selected(by: configuration).dataset.rows.map(\.prompt)
        }
        #expect(try select { ($0.minPassRate, $0.maxPassRate) = (0.1, 0.9) } == [.text("new"), .text("middle")])
        #expect(try select { $0.easiestFirst = true } == [.text("easy"), .text("middle"), .text("hard"), .text("new")])
        #expect(try select { ($0.maxPassRate, $0.passRateReward) = (0.9, "other") } == [.text("new"), .text("easy")])
        #expect(failure { _ = try select { $0.passRateReward = "none" } }.contains("have no reward \"none\""))
        let tried = PromptDataset(rows: [.init(prompt: .text("hard"))])
        var configuration = GRPOConfiguration()
        (configuration.promptSelection, configuration.minPassRate) = (directory.path, 0.5)
        #expect(failure { _ = try tried.selected(by: configuration) }.contains("no prompt of the dataset has a recorded mean reward from 0.5"))
        configuration.promptSelection = nil
        #expect(failure { try configuration.validate() }.contains("prompt_selection_from names; set it"))
    }
}
