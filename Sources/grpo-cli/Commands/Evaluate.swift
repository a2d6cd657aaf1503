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

    func run() throws {
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
        let evaluation = try Evaluation(text, dataset: rows, rewards: rewards, parameters: sampling.parameters) { done, count in
            terminal.update("\(done) of \(count) prompts")
        }
        terminal.clear()
        for warning in evaluation.rewards.warnings { Terminal.write("warning: \(warning)\n") }
        let lengths = evaluation.rollouts.map(\.ids.count)
        let means = evaluation.rewards.metrics + [("completions/mean_length", Double(lengths.reduce(0, +)) / Double(lengths.count))]
        guard json else {
            try StandardOutput.line("\(lengths.count) completions")
            for (name, value) in means { try StandardOutput.line("\(name): \(value)") }
            return
        }
        for rollout in evaluation.rollouts { try StandardOutput.line(JSONValue.object(rollout.json).serialized()) }
        try printJSON(means.map { ($0.name, $0.value.isFinite ? .number($0.value) : .null) })
    }
}
