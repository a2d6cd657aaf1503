import ArgumentParser
import GRPO
import JSON
import Qwen2

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "eval", abstract: "Mean rewards of a model over a dataset.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var sampling: SamplingOptions

    @Option(help: "Prompts, with the columns that the rewards read: a .jsonl, .json, .csv or .parquet file, or a dataset's directory.")
    var dataset: String

    @Option(help: "The split of such a directory.")
    var split = "test"

    @Option(parsing: .upToNextOption, help: "Reward functions: built-in ones, rewards.py:function, ./program.")
    var rewardFuncs: [String]

    @Option(parsing: .upToNextOption, help: "One weight a reward function.")
    var rewardWeights: [Double] = []

    @Option(help: "The dataset column with the right answer.")
    var answerColumn = "answer"

    @Option(help: "A system message for prompts without one.")
    var systemPrompt: String?

    @Option(name: .customLong("num-return"), parsing: .unconditional, help: "Completions a prompt; by default as many as --pass-at needs, else 1.")
    var count: Int?

    @Option(
        parsing: .upToNextOption,
        help: "pass@k for these k, with its 95 % interval: a completion is right where the first reward function gives --pass-threshold.")
    var passAt: [Int] = []

    @Option(parsing: .unconditional, help: "The reward from which a completion is right.")
    var passThreshold = 1.0

    @Argument(
        parsing: .allUnrecognized,
        help: "--key value for the keys of reward functions: \(GRPOConfiguration.rewardFields.map(\.name).dropFirst(2).joined(separator: ", ")).")
    var overrides: [String] = []

    @Flag(help: "A JSON object a completion, then one with the means.")
    var json = false

    /// Takes the reward functions' own keys, as `train` has them.
    private func readKeys(into configuration: inout GRPOConfiguration) throws {
        let known = GRPOConfiguration.rewardFields.map(\.name)
        do {
            let keys = try GRPOConfiguration.overrides(from: overrides)
            for key in keys where !known.contains(key.key.replacing("-", with: "_")) {
                throw ValidationError("--\(key.key) is no option of eval, nor a key of a reward function: \(known.joined(separator: ", "))")
            }
            _ = try configuration.apply(keys)
        } catch let error as ConfigurationError {
            throw ValidationError("\(error)")
        }
    }

    /// Here and not in `validate`, so that a mistyped option is what the user hears of first.
    private func completionsPerRow() throws -> Int {
        let count = count ?? passAt.max() ?? 1
        if !(1...10_000).contains(count) { throw ValidationError("--num-return is \(count), expected 1 to 10000") }
        if let k = passAt.first(where: { !(1...count).contains($0) }) {
            throw ValidationError("--pass-at has \(k), expected 1 to --num-return, which is \(count)")
        }
        if count > 1, sampling.temperature == 0 {
            throw ValidationError("the \(count) completions of a prompt would all be the same at temperature 0: give --temperature 1")
        }
        return count
    }

    func run() throws {
        let count = try completionsPerRow()
        var configuration = GRPOConfiguration()
        configuration.rewardFunctions = rewardFuncs
        configuration.rewardWeights = rewardWeights.isEmpty ? nil : rewardWeights
        configuration.answerRewardColumn = answerColumn
        try readKeys(into: &configuration)
        let rewards = try WeightedRewards(configuration)
        let rows = try PromptDataset(path: dataset, systemPrompt: systemPrompt, split: split)
        try rewards.check(rows)
        let text = try model.open()
        var terminal = Terminal()
        let evaluation = try Evaluation(text, dataset: rows, rewards: rewards, parameters: sampling.parameters, completionsPerRow: count) {
            done, count in
            terminal.update("\(done) of \(count) prompts")
        }
        terminal.clear()
        for warning in evaluation.rewards.warnings { Terminal.write("warning: \(warning)\n") }
        let lengths = evaluation.rollouts.map(\.ids.count)
        let passes = passAt.map { evaluation.pass(at: $0, threshold: passThreshold) }
        let means = evaluation.rewards.metrics + [("completions/mean_length", Double(lengths.reduce(0, +)) / Double(lengths.count))]
        guard json else {
            try StandardOutput.line("\(lengths.count) completions")
            for (name, value) in means { try StandardOutput.line("\(name): \(value)") }
            for pass in passes {
                try StandardOutput.line(
                    "pass@\(pass.k): \(pass.estimate) (95 % between \(pass.interval.lowerBound) and \(pass.interval.upperBound))")
            }
            return
        }
        for rollout in evaluation.rollouts { try StandardOutput.line(JSONValue.object(rollout.json).serialized()) }
        let intervals = passes.map { pass in
            ("pass@\(pass.k)", [.number(pass.estimate), .number(pass.interval.lowerBound), .number(pass.interval.upperBound)] as JSONValue)
        }
        try printJSON(means.map { ($0.name, $0.value.isFinite ? .number($0.value) : .null) } + intervals)
    }
}
