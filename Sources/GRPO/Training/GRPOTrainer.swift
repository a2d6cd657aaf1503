internal import Checkpoints
public import JSON
public import Logging
public import Qwen2

/// Group Relative Policy Optimization (Shao et al. 2024), as TRL's GRPOTrainer does it, on the CPU.
///
/// `train()` repeats: sample a group of completions a prompt, judge them, turn the rewards into advantages within each group, and take optimizer
/// steps on the clipped policy loss. Everything a run leaves is in its output directory: `config.yaml`, `metrics.jsonl`, `completions/`,
/// `checkpoint-N/` and the final model.
public final class GRPOTrainer {
    /// What was asked for.
    public let configuration: GRPOConfiguration
    /// The batch arithmetic, known before the first token.
    public let plan: BatchPlan
    /// The bytes the run needs at its peak.
    public let memory: MemoryEstimate

    let policy: TextModel
    let reference: Qwen2Model?
    let source: RolloutSource
    let optimizer: any Optimizer
    let schedule: LearningRateSchedule
    /// How completions are drawn.
    let sampling: SamplingParameters
    let logger: Logger
    let progress: (TrainingProgress) -> Void

    var metrics = Metrics()
    var entropy: AdaptiveEntropy
    /// Optimizer steps taken, generations of the current epoch, and micro-batches that wait for their turn.
    private var steps = 0
    private var generationsInEpoch = 0
    private var queue: [(batch: GenerationBatch, microBatch: MicroBatch)] = []
    /// Tokens of prompts (once a completion) and completions so far, as TRL counts them.
    var tokens = 0

    /// A trainer; nothing is generated or written yet.
    /// - Parameters:
    ///   - policy: the model to train, opened with `trainable: true`.
    ///   - reference: the model that `beta` holds the policy to; needed when `beta` is not 0.
    ///   - source: where the completions come from.
    ///   - logger: hears warnings, such as a batch that teaches nothing.
    ///   - progress: told what is going on.
    /// - Throws: `ConfigurationError` when the batches do not fit each other.
    public init(
        _ configuration: GRPOConfiguration, policy: TextModel, reference: Qwen2Model? = nil, source: RolloutSource,
        logger: Logger = Logger(label: "grpo"), progress: @escaping (TrainingProgress) -> Void = { _ in }
    ) throws {
        guard policy.model.isTrainable else { throw ConfigurationError(message: "the model was not opened for training") }
        guard configuration.beta == 0 || reference != nil else {
            throw ConfigurationError(message: "beta is \(configuration.beta), which needs a reference model, and there is none")
        }
        self.configuration = configuration
        self.policy = policy
        self.reference = reference
        self.source = source
        self.progress = progress
        self.logger = logger
        plan = source.plan
        memory = MemoryEstimate(configuration, plan, model: policy.model.configuration, promptTokens: source.longestPrompt)
        entropy = AdaptiveEntropy(configuration)
        optimizer = try configuration.makeOptimizer(policy.model.parameters)
        sampling = try configuration.sampling(endTokens: policy.endTokens)
        schedule = try configuration.schedule(steps: plan.totalSteps)
        for warning in configuration.warnings { logger.warning("\(warning)") }
        if memory.total > MemoryEstimate.physical {
            logger.warning(
                """
                the run may need \(memory.total / 1_000_000) MB, this machine has \(MemoryEstimate.physical / 1_000_000) MB: \
                lower per_device_train_batch_size or max_completion_length if it is killed
                """)
        }
    }

    /// Refuses an `output_dir` that already holds a run, as `train()` does, before a model is opened for it.
    public static func checkOutput(_ configuration: GRPOConfiguration) throws { _ = try RunDirectory.check(configuration) }

    /// Runs to the last optimizer step and writes the final model.
    /// - Throws: `FileError` and `CheckpointError` from writing, `RewardError` from a reward function.
    public func train() throws {
        let directory = try RunDirectory(configuration)
        while steps < plan.totalSteps {
            for batch in try advance() { try directory.completions.write(batch.rollouts, step: steps) }
            if isLogged {
                let fraction = Double(steps) / Double(plan.stepsPerEpoch)
                var line = JSONObject([("step", .integer(Int64(steps))), ("epoch", .number(fraction))])
                line.members += metrics.drain().members
                line["num_tokens"] = .integer(Int64(tokens))
                try directory.metrics.append(line)
                progress(.logged(step: steps, metrics: line))
            }
            if isDue(configuration.saveStrategy, configuration.saveSteps) {
                let path = "\(directory.path)/checkpoint-\(steps)"
                try writer.create(path, from: policy.model, overwrite: true) { self.progress(.saving(path: path, bytes: $0, of: $1)) }
            }
        }
        try writer.write(into: directory.path, from: policy.model) { self.progress(.saving(path: directory.path, bytes: $0, of: $1)) }
    }

    /// Whether the step just taken is one after which `strategy` has something done.
    private func isDue(_ strategy: IntervalStrategy, _ interval: StepInterval) -> Bool {
        switch strategy {
        case .steps: steps % interval.steps(of: plan.totalSteps) == 0
        case .epoch: queue.isEmpty && generationsInEpoch == plan.generationsPerEpoch
        case .never: false
        }
    }

    /// Whether the step just taken ends a line of metrics; the last one always does.
    private var isLogged: Bool {
        isDue(configuration.loggingStrategy, configuration.loggingSteps) || steps == 1 && configuration.logsFirstStep || steps == plan.totalSteps
    }

    /// Takes one optimizer step and writes nothing: completions, rewards, and the step on them.
    /// - Returns: the step's metrics, as `metrics.jsonl` names them.
    /// - Throws: `RewardError` from a reward function, `TrainingError` for a loss that is not finite.
    public func step() throws -> JSONObject {
        _ = try advance()
        return metrics.drain()
    }

    /// The next optimizer step; returns what was generated for it.
    private func advance() throws -> [GenerationBatch] {
        steps += 1
        var clock = PhaseClock()
        let started = ContinuousClock.now
        var microBatches: [(batch: GenerationBatch, microBatch: MicroBatch)] = []
        var generated: [GenerationBatch] = []
        while microBatches.count < plan.accumulation {
            if queue.isEmpty {
                // The last optimizer step of an epoch has what is left, as in transformers.
                if generationsInEpoch == plan.generationsPerEpoch {
                    generationsInEpoch = 0
                    if !microBatches.isEmpty { break }
                }
                let batch = try generate(step: steps, clock: &clock)
                generated.append(batch)
                queue = batch.microBatches(plan)
                generationsInEpoch += 1
            }
            microBatches.append(queue.removeFirst())
        }
        try optimize(microBatches, step: steps, clock: &clock)
        for (phase, seconds) in clock.seconds { metrics.record("time/\(phase)", seconds) }
        metrics.record("step_time", (ContinuousClock.now - started) / .seconds(1))
        return generated
    }

    /// Writes the model as it stands: BF16 after training in `bfloat16`, FP32 after `float32`.
    private var writer: CheckpointWriter {
        CheckpointWriter(
            config: policy.model.configurationJSON, companions: policy.companions,
            type: policy.model.computeType == .bfloat16 ? .bfloat16 : .float32, layout: .safetensors)
    }
}
