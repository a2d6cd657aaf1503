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

    @Flag(help: "Print the configuration with every default as YAML, and stop.")
    var printConfig = false

    @Flag(help: "Check everything, print what would happen, how much memory and about how long it would take, and stop.")
    var dryRun = false

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
        if printConfig {
            try configuration.validate()
            return try StandardOutput.write(configuration.resolvedYAML)
        }
        let threads = Qwen2Model.useThreads(threads.count)
        if dryRun { return try estimate(configuration) }
        let resumed = try configuration.checkpointToResume()
        let display = TrainingDisplay(completions: configuration.logCompletions ? configuration.completionsToPrint ?? .max : 0)
        let trainer = try GRPOTrainer(configuration, recording: replay, logger: logger) { display.show($0) }
        display.totalSteps = trainer.plan.totalSteps
        Terminal.write(trainer.plan.description + "\n")
        Terminal.write(describe(trainer.model, configuration, threads) + "\n" + describe(trainer.memory) + "\n")
        if let checkpoint = resumed {
            try trainer.resume(from: checkpoint)
            Terminal.write("Going on from \(checkpoint).\n")
        }
        Interruption.watch()
        let stopped = try trainer.train { Interruption.isWished }
        display.finish()
        if let stopped {
            throw TrainingError(
                message: "stopped by \(Interruption.name); everything is in \(stopped): the same command with --resume_from_checkpoint true goes on")
        }
        try StandardOutput.line(configuration.outputDirectory ?? "")
    }

    private func describe(_ model: Qwen2Model, _ configuration: GRPOConfiguration, _ threads: Int) -> String {
        "\(model.configuration.parameterCount / 1_000_000) M parameters in \(configuration.dtype.rawValue), \(threads) threads "
            + "(\(Qwen2Model.instructionSet))." + (model.adapter.map(describe) ?? "")
    }

    private func describe(_ adapter: ModelAdapter) -> String {
        let count = Double(adapter.parameters.reduce(0) { $0 + $1.count }) / 1e6
        let targets = adapter.settings.targets.joined(separator: ", ")
        return String(format: " LoRA trains %.2f M more: rank %d on ", count, adapter.settings.rank) + targets + "."
    }

    private func describe(_ memory: MemoryEstimate) -> String {
        "Memory at most about \(Terminal.bytes(memory.total)): model and optimizer \(Terminal.bytes(memory.model)), activations "
            + "\(Terminal.bytes(memory.activations)), keys and values \(Terminal.bytes(memory.cache)), head \(Terminal.bytes(memory.head))."
            + (memory.recomputes ? " Layers are made again in the backward pass, because what they compute might not fit." : "")
    }

    /// What `--dry-run` prints: the batch plan, memory, time, and what the trainer would warn about.
    private func estimate(_ configuration: GRPOConfiguration) throws {
        let data = try TrainingData(configuration, recording: replay)
        if let selection = data.selection { try StandardOutput.line(selection) }
        let policy = try TextModel(training: configuration, trainable: false)
        let source = try data.source(policy), model = policy.model
        _ = try data.evaluation(policy)
        try StandardOutput.line(source.plan.description)
        let memory = MemoryEstimate(configuration, source.plan, model: model, promptTokens: source.longestPrompt)
        try StandardOutput.line(describe(memory) + " This machine has \(Terminal.bytes(MemoryEstimate.physical)).")
        let time = TimeEstimate(source.plan, model: model, promptTokens: source.longestPrompt)
        try StandardOutput.line(
            "Time at most about \(Terminal.time(time.total)), if every completion reaches its limit: \(Terminal.time(time.generation)) a generation, "
                + "\(Terminal.time(time.training)) of training an optimizer step.")
        for (path, plan) in try TrainedExports(configuration)?.plans() ?? [] {
            try StandardOutput.line("At the end: \(path), \(plan.isBound ? "at most " : "")\(Terminal.bytes(plan.byteCount)).")
        }
        for warning in configuration.warnings { try StandardOutput.line("warning: \(warning)") }
    }
}

/// Training as lines on the terminal: one a logging step, and what is going on between them.
private final class TrainingDisplay {
    var totalSteps = 0
    /// Completions to show with each line (`log_completions`).
    private let completions: Int
    private var latest: [Rollout] = []
    private var terminal = Terminal()
    private let started = ContinuousClock.now

    init(completions: Int) { self.completions = completions }

    func show(_ progress: TrainingProgress) {
        switch progress {
        case .generating(let step, let tokens, let active, let completions):
            terminal.update("step \(step)/\(totalSteps): generating, \(tokens) tokens, \(completions - active) of \(completions) completions ended")
        case .training(let step, let microBatch, let count):
            terminal.update("step \(step)/\(totalSteps): training, micro-batch \(microBatch) of \(count)")
        case .saving(let path, let bytes, let total):
            terminal.update("writing \(path): \(Terminal.bytes(bytes)) of \(Terminal.bytes(total))")
        case .exporting(let path, let done, let total):
            terminal.update("writing \(path): \(100 * done / max(total, 1)) %")
        case .judged(let rollouts):
            if completions > 0 { latest = rollouts }
        case .evaluating(let step, let done, let count):
            terminal.update("step \(step)/\(totalSteps): evaluating, \(done) of \(count) prompts")
        case .logged(let step, let metrics) where metrics["eval_reward"] != nil:
            terminal.line(evaluation(step, metrics))
        case .logged(let step, let metrics):
            terminal.line(line(step, metrics))
            for rollout in latest.prefix(completions) {
                let reward = rollout.reward.map { String(format: "%.3f", $0) } ?? "none"
                terminal.line("  group \(rollout.group)  reward \(reward)  \(JSONValue.string(rollout.text ?? "").serialized())")
            }
        }
    }

    func finish() { terminal.clear() }

    private func evaluation(_ step: Int, _ metrics: JSONObject) -> String {
        let names = metrics.members.map(\.key).filter { $0 == "eval_reward" || $0.hasPrefix("eval_rewards/") && $0.hasSuffix("/mean") }
        let parts = names.map { "\($0) " + (metrics[$0]?.double.map { String(format: "%.3f", $0) } ?? "-") }
        return (["step \(step)/\(totalSteps)"] + parts).joined(separator: "  ")
    }

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
