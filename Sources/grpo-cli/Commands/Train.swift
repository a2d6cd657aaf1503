import ArgumentParser
import Checkpoints
import Foundation
import GRPO
import JSON
import Logging
import Qwen2

struct Train: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fine-tune a model with GRPO.",
        discussion: """
            Keys are TRL's own, from a YAML file and, over it, from flags: --learning_rate 1e-6 or --learning-rate 1e-6. The run's directory (output_dir) \
            gets metrics.jsonl, every completion, and the trained model.

            The keys, and what they are when they are not given:
            \(GRPOConfiguration.fields.map { "  --\($0.name)  \($0.help) (\($0.defaultYAML))" }.joined(separator: "\n"))
            """)

    @Option(help: "A YAML file of TRL's keys.")
    var config: String?

    @Option(help: "Train on the recorded rollouts of this directory instead of generating.")
    var replay: String?

    @OptionGroup var threads: ThreadOptions

    @Argument(parsing: .allUnrecognized, help: "--key value ... for any key of TRL's GRPOConfig.")
    var overrides: [String] = []

    func run() throws {
        let logger = Logger(label: "train")
        var configuration = GRPOConfiguration()
        var notices: [String] = []
        if let config { notices += try configuration.read(yaml: config) }
        do {
            notices += try configuration.apply(GRPOConfiguration.overrides(from: overrides))
        } catch {
            throw ValidationError("\(error)")
        }
        for notice in notices { logger.info("\(notice)") }
        try configuration.validate(
            requiring: ["model_name_or_path", "output_dir"] + (replay == nil ? ["dataset_name", "reward_funcs"] : []))
        let threads = Qwen2Model.useThreads(threads.count)

        // What can be wrong is found before the gigabytes are read: the directory, the rewards and the dataset, then the batches.
        try GRPOTrainer.checkOutput(configuration)
        let rewards = replay == nil ? try WeightedRewards(configuration) : nil
        let dataset =
            try configuration.dataset.flatMap { path in
                replay == nil
                    ? try PromptDataset(path: path, promptColumn: configuration.promptColumn, systemPrompt: configuration.systemPrompt) : nil
            }
        if let dataset, let rewards {
            try rewards.check(dataset)
            _ = try BatchPlan(configuration, rows: dataset.rows.count)
        }
        let checkpoint = try Checkpoint(opening: configuration.model ?? "")
        let policy = try TextModel(checkpoint, computeType: configuration.dtype, trainable: true)
        let reference = configuration.beta == 0 ? nil : try Qwen2Model(checkpoint, computeType: configuration.dtype)
        let source: RolloutSource
        if let replay {
            source = try RolloutSource(configuration, replaying: replay, policy: policy)
        } else if let dataset, let rewards {
            source = try RolloutSource(configuration, dataset: dataset, rewards: rewards, policy: policy)
        } else {
            throw ConfigurationError(message: "dataset_name and reward_funcs are needed unless --replay is given")
        }
        let display = TrainingDisplay()
        let trainer = try GRPOTrainer(configuration, policy: policy, reference: reference, source: source, logger: logger) { display.show($0) }
        display.totalSteps = trainer.plan.totalSteps
        Terminal.write(trainer.plan.description + "\n")
        let memory = trainer.memory
        Terminal.write(
            "\(policy.model.configuration.parameterCount / 1_000_000) M parameters in \(configuration.dtype.rawValue), \(threads) threads "
                + "(\(Qwen2Model.instructionSet)). Memory at most about \(Terminal.bytes(memory.total)): model and optimizer "
                + "\(Terminal.bytes(memory.model)), activations \(Terminal.bytes(memory.activations)), keys and values "
                + "\(Terminal.bytes(memory.cache)), head \(Terminal.bytes(memory.head)).\n")
        try trainer.train()
        display.finish()
        try StandardOutput.line(configuration.outputDirectory ?? "")
    }
}

/// Training as lines on the terminal: one a logging step, and what is going on between them.
private final class TrainingDisplay {
    var totalSteps = 0
    private var terminal = Terminal()
    private let started = ContinuousClock.now

    func show(_ progress: TrainingProgress) {
        switch progress {
        case .generating(let step, let tokens, let active, let completions):
            terminal.update("step \(step)/\(totalSteps): generating, \(tokens) tokens, \(completions - active) of \(completions) completions ended")
        case .training(let step, let microBatch, let count):
            terminal.update("step \(step)/\(totalSteps): training, micro-batch \(microBatch) of \(count)")
        case .saving(let path, let bytes, let total):
            terminal.update("writing \(path): \(Terminal.bytes(bytes)) of \(Terminal.bytes(total))")
        case .logged(let step, let metrics):
            terminal.line(line(step, metrics))
        }
    }

    func finish() { terminal.clear() }

    private func line(_ step: Int, _ metrics: JSONObject) -> String {
        func number(_ key: String, _ format: String) -> String { metrics[key]?.double.map { String(format: format, $0) } ?? "-" }
        var parts = ["step \(step)/\(totalSteps)", "reward \(number("reward", "%.3f"))", "reward_std \(number("reward_std", "%.3f"))"]
        if metrics["kl"] != nil { parts.append("kl \(number("kl", "%.2g"))") }
        parts += ["loss \(number("loss", "%.4f"))", "grad_norm \(number("grad_norm", "%.3g"))"]
        parts.append("length \(number("completions/mean_length", "%.1f"))")
        let phases = ["generate", "forward", "backward", "optimizer"].map { "\($0) \(number("time/\($0)", "%.1f"))" }
        let elapsed = Terminal.seconds(ContinuousClock.now - started)
        let left = elapsed / Double(step) * Double(totalSteps - step)
        return parts.joined(separator: "  ") + "  [\(phases.joined(separator: ", ")) = \(number("step_time", "%.1f")) s]"
            + (step < totalSteps ? "  \(Terminal.time(left)) left" : "")
    }
}
