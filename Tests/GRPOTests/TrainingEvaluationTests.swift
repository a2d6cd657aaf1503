import Checkpoints
import Foundation
import JSON
import Qwen2
import Testing

@testable import GRPO

/// Evaluation in the course of a run.
@Suite(.serialized) struct TrainingEvaluationTests {
    private static let odd = ClosureReward("odd") { batch in
        batch.completionIDs.map { ids in Double(ids.count { $0 % 2 == 1 }) / Double(max(ids.count, 1)) }
    }
    private static let task = ClosureReward("task") { batch in batch.completionIDs.map { Double($0.count) } }

    private func run(_ directory: String, _ change: (inout GRPOConfiguration) -> Void) throws -> (lines: [JSONObject], trainer: GRPOTrainer) {
        let goldens = try #require(Bundle.module.url(forResource: "Goldens", withExtension: nil))
        let checkpoint = try Checkpoint(opening: goldens.appendingPathComponent("trl-model").path)
        var configuration = GRPOConfiguration()
        configuration.dtype = .float32
        configuration.outputDirectory = directory
        (configuration.generations, configuration.perDeviceBatchSize, configuration.maxCompletionLength) = (4, 4, 8)
        (configuration.learningRate, configuration.maxSteps, configuration.loggingSteps) = (3e-3, 6, .steps(2))
        (configuration.evaluationStrategy, configuration.evaluatesOnStart) = (.steps, true)
        change(&configuration)
        let policy = try TextModel(checkpoint, computeType: .float32, trainable: true)
        let reference = configuration.beta == 0 ? nil : try Qwen2Model(checkpoint, computeType: .float32)
        let rewards = try WeightedRewards([Self.odd, Self.task], weights: [1, 0])
        func dataset(_ texts: [String]) -> PromptDataset { PromptDataset(rows: texts.map { .init(prompt: .text($0)) }) }
        let train = dataset(["The sky is", "Say hello", "In the year", "He said"])
        let source = try RolloutSource(configuration, dataset: train, rewards: rewards, policy: policy)
        let heldOut = try EvaluationSet(configuration, dataset: dataset(["Bread and", "Two words:", "Why?"]), rewards: rewards, policy: policy)
        let trainer = try GRPOTrainer(configuration, policy: policy, reference: reference, source: source, evaluation: heldOut)
        #expect(try trainer.train() == nil)
        let text = try String(contentsOfFile: directory + "/metrics.jsonl", encoding: .utf8)
        let lines = try text.split(separator: "\n").compactMap { try JSONValue.parse(Array($0.utf8), source: "metrics").object }
        return (lines.filter { $0["eval_reward"] != nil }, trainer)
    }

    @Test("a line an evaluation, with training's metrics under eval_; training itself is not changed by it")
    func lines() throws {
        let directory = try TemporaryDirectory()
        let (lines, with) = try run(directory.path + "/with") {
            ($0.beta, $0.generationsInEvaluation, $0.evaluationBatchSize) = (0.04, 2, 4)
        }
        #expect(lines.compactMap { $0["step"]?.int } == [0, 2, 4, 6])
        let names = [
            "eval_loss", "eval_reward", "eval_reward_std", "eval_rewards/odd/mean", "eval_rewards/task/mean", "eval_kl", "eval_entropy",
            "eval_frac_reward_zero_std", "eval_completions/mean_length", "eval_completions/clipped_ratio", "eval_clip_ratio/region_mean",
            "eval_runtime",
        ]
        for line in lines { for name in names { #expect(line[name]?.double?.isFinite == true, "\(name)") } }
        // The metric with weight 0 is no part of the reward.
        #expect(lines[0]["eval_reward"]?.double == lines[0]["eval_rewards/odd/mean"]?.double)
        #expect(lines[0]["eval_kl"]?.double == 0 && lines[3]["eval_kl"]?.double ?? 0 > 0)
        let (_, without) = try run(directory.path + "/without") { ($0.beta, $0.evaluationStrategy, $0.evaluatesOnStart) = (0.04, .never, false) }
        let weights = try ["with", "without"].map { try Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/\($0)/model.safetensors")) }
        #expect(weights[0] == weights[1] && with.state.step == without.state.step)
    }

    @Test("the model of the best evaluation is left, and its checkpoint kept")
    func bestModel() throws {
        let directory = try TemporaryDirectory()
        let output = directory.path + "/run"
        let (lines, trainer) = try run(output) {
            ($0.saveSteps, $0.evaluationSteps, $0.saveTotalLimit) = (.steps(2), .steps(2), 1)
            ($0.loadsBestModel, $0.metricForBestModel, $0.greaterIsBetter, $0.evaluatesOnStart) = (true, "rewards/task/mean", false, false)
            $0.generationsInEvaluation = 8
        }
        let values = lines.compactMap { $0["eval_rewards/task/mean"]?.double }
        let best = try #require(trainer.state.best)
        #expect(best.metric == values.min() && best.step == 2 * ((values.firstIndex(of: best.metric) ?? 9) + 1))
        let checkpoint = try Data(contentsOf: URL(fileURLWithPath: "\(output)/checkpoint-\(best.step)/model.safetensors"))
        #expect(try Data(contentsOf: URL(fileURLWithPath: "\(output)/model.safetensors")) == checkpoint)
    }

    @Test("evaluation waits for eval_delay; save_strategy best saves after each evaluation that is better than all before")
    func delayAndBest() throws {
        let directory = try TemporaryDirectory()
        let output = directory.path + "/run"
        let (lines, trainer) = try run(output) {
            ($0.evaluationSteps, $0.evaluationDelay, $0.maxSteps, $0.saveStrategy) = (.steps(1), 2.5, 8, .best)
            ($0.metricForBestModel, $0.greaterIsBetter) = ("rewards/task/mean", false)
            ($0.generationsInEvaluation, $0.loadsBestModel) = (8, true)
        }
        #expect(lines.compactMap { $0["step"]?.int } == [0, 3, 4, 5, 6, 7, 8])
        var best = Double.infinity
        var expected: [Int] = []
        // The evaluation before the first step counts for nothing: there is no checkpoint of it.
        for line in lines.dropFirst() {
            let value = try #require(line["eval_rewards/task/mean"]?.double)
            if value < best { expected.append(try #require(line["step"]?.int)) }
            best = min(best, value)
        }
        #expect(try CheckpointName.all(in: output).map(\.step) == expected)
        #expect(trainer.state.best == BestModel(metric: best, step: expected[expected.count - 1]))
    }

    @Test("settings that do not fit are told before anything is read")
    func refused() throws {
        func problem(_ yaml: String) -> String {
            failure {
                var configuration = GRPOConfiguration()
                _ = try configuration.read(yaml: yaml, source: "run.yaml")
                try configuration.checkEvaluation()
            }
        }
        #expect(problem("eval_strategy: steps") == "")
        #expect(problem("eval_strategy: steps\nnum_generations_eval: 3").contains("expected a multiple of num_generations_eval (3)"))
        #expect(problem("load_best_model_at_end: true").contains("needs evaluations"))
        #expect(problem("save_strategy: best").contains("save_strategy best needs evaluations"))
        #expect(problem("save_strategy: best\neval_strategy: steps").contains("needs metric_for_best_model"))
        #expect(problem("save_strategy: best\neval_strategy: steps\nmetric_for_best_model: reward\nload_best_model_at_end: true") == "")
        #expect(problem("load_best_model_at_end: true\neval_strategy: epoch").contains("save_strategy is steps, eval_strategy epoch"))
        #expect(problem("load_best_model_at_end: true\neval_strategy: steps\neval_steps: 5").contains("save_steps equal to eval_steps"))
        #expect(problem("load_best_model_at_end: true\neval_strategy: steps\neval_steps: 5\nsave_steps: 5") == "")
    }
}
