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
    /// What is trained.
    public var model: Qwen2Model { policy.model }

    let policy: TextModel
    let reference: ReferencePolicy?
    let source: RolloutSource
    let evaluationSet: EvaluationSet?
    let optimizer: any Optimizer
    let schedule: LearningRateSchedule
    /// How completions are drawn.
    let sampling: SamplingParameters
    /// What ends a completion besides `sampling.endTokens`.
    let stopStrings: [String]
    /// What a completion is made to match.
    let constraint: TokenConstraint?
    let logger: Logger
    let progress: (TrainingProgress) -> Void

    var metrics = Metrics()
    var entropy: AdaptiveEntropy
    var alarms = RunAlarms()
    /// Steps without a finite gradient since the last one that had one.
    var skippedInARow = 0
    /// Steps, tokens and generations so far.
    var state = TrainerState()
    /// Micro-batches of the present generation batch that wait for their turn.
    var queue: [(batch: GenerationBatch, microBatch: MicroBatch)] = []

    /// A trainer; nothing is generated or written yet.
    /// - Parameters:
    ///   - policy: the model to train, opened with `TextModel(training:)`.
    ///   - reference: the model that `beta` holds the policy to; needed when `beta` is not 0, unless the policy has an adapter to train: then it is the
    ///     policy as it is now.
    ///   - source: where the completions come from.
    ///   - evaluation: what `eval_strategy` evaluates on.
    ///   - logger: hears warnings, such as a batch that teaches nothing.
    ///   - progress: told what is going on.
    /// - Throws: `ConfigurationError` when the batches do not fit each other.
    public init(
        _ configuration: GRPOConfiguration, policy: TextModel, reference: Qwen2Model? = nil, source: RolloutSource, evaluation: EvaluationSet? = nil,
        logger: Logger = Logger(label: "grpo"), progress: @escaping (TrainingProgress) -> Void = { _ in }
    ) throws {
        guard policy.model.isTrainable else { throw ConfigurationError(message: "the model was not opened for training") }
        guard configuration.beta == 0 || reference != nil || policy.model.adapter != nil else {
            throw ConfigurationError(message: "beta is \(configuration.beta), which needs a reference model, and there is none")
        }
        try configuration.checkEvaluation()
        guard evaluation != nil || configuration.evaluationStrategy == .never && !configuration.evaluatesOnStart else {
            throw ConfigurationError(message: "eval_strategy is set and there is nothing to evaluate on: set eval_dataset_name")
        }
        self.configuration = configuration
        self.policy = policy
        self.reference =
            reference.map { ReferencePolicy.model($0) }
            ?? policy.model.adapter.map { ReferencePolicy.policy($0.changesNothing ? nil : $0.frozen()) }
        self.source = source
        evaluationSet = evaluation
        self.progress = progress
        self.logger = logger
        plan = source.plan
        memory = MemoryEstimate(configuration, plan, model: policy.model, promptTokens: source.longestPrompt)
        entropy = AdaptiveEntropy(configuration)
        optimizer = try configuration.makeOptimizer(policy.model.trainableParameters)
        let sampling = try configuration.sampling(endTokens: policy.endTokens)
        self.sampling = sampling
        stopStrings = try configuration.stopStrings()
        constraint = try configuration.answerPattern.map { try TokenConstraint(expression: $0, model: policy, endTokens: sampling.endTokens) }
        schedule = try configuration.schedule(steps: plan.totalSteps)
        if let alarm = RunAlarms.learningRate(schedule, model: policy.model) { logger.warning("\(alarm)") }
        for warning in configuration.warnings { logger.warning("\(warning)") }
        if memory.total > MemoryEstimate.physical {
            logger.warning(
                """
                the run may need \(memory.total / 1_000_000) MB, this machine has \(MemoryEstimate.physical / 1_000_000) MB: \
                lower per_device_train_batch_size or max_completion_length if it is killed
                """)
        }
    }

    /// Goes on where a checkpoint was written, to the same bytes as without a stop; before `train()`.
    /// - Parameter path: a `checkpoint-N` of a run with this configuration; see `GRPOConfiguration.checkpointToResume()`.
    /// - Throws: an error naming what is missing or does not fit this run.
    public func resume(from path: String) throws { try restore(from: path) }

    /// Runs to the last optimizer step and writes the final model, and what `export` names.
    /// - Parameter shouldStop: asked after every step; when it says so, a checkpoint is written and the run ends.
    /// - Returns: nil, or the checkpoint from which the run can go on.
    /// - Throws: `FileError` and `CheckpointError` from writing, `RewardError` from a reward function.
    @discardableResult
    public func train(shouldStop: () -> Bool = { false }) throws -> String? {
        let directory = try RunDirectory(configuration, after: state.step)
        try WholeDirectory.removeLeftovers(in: directory.path, prefix: "checkpoint-")
        // As in transformers, no candidate for the best: there is no checkpoint of it.
        if configuration.evaluatesOnStart, state.step == 0 { _ = try evaluateAndLog(in: directory) }
        while state.step < plan.totalSteps {
            for batch in try advance() { try directory.completions.write(batch.rollouts, step: state.step) }
            if isLogged {
                var line = JSONObject([("step", .integer(Int64(state.step))), ("epoch", .number(epoch))])
                line.members += metrics.drain().members
                line["num_tokens"] = .integer(Int64(state.tokens))
                try directory.metrics.append(line)
                progress(.logged(step: state.step, metrics: line))
            }
            var isBest = false
            if isEvaluationDue, let line = try evaluateAndLog(in: directory) { isBest = try noteBest(line) }
            let isStopped = shouldStop() && state.step < plan.totalSteps
            if isStopped || configuration.saveStrategy.interval.map({ isDue($0, configuration.saveSteps) }) ?? isBest {
                let path = try saveCheckpoint(in: directory.path)
                if isStopped { return path }
            }
        }
        try saveFinalModel(in: directory.path)
        try TrainedExports(configuration)?.write { progress(.exporting(path: $0, done: $1, of: $2)) }
        return nil
    }

    private func evaluateAndLog(in directory: borrowing RunDirectory) throws -> JSONObject? {
        guard let evaluationSet else { return nil }
        let line = try evaluate(evaluationSet)
        try directory.metrics.append(line)
        progress(.logged(step: state.step, metrics: line))
        return line
    }

    /// Whether the step just taken is followed by an evaluation; `eval_delay` counts steps or epochs, as `eval_strategy` does.
    private var isEvaluationDue: Bool {
        let strategy = configuration.evaluationStrategy
        guard configuration.evaluationDelay <= (strategy == .epoch ? epoch : Double(state.step)) else { return false }
        return isDue(strategy, configuration.evaluationSteps ?? configuration.loggingSteps)
    }

    /// Passes over the dataset so far.
    var epoch: Double { Double(state.step) / Double(plan.stepsPerEpoch) }

    /// Whether the step just taken is one after which `strategy` has something done.
    private func isDue(_ strategy: IntervalStrategy, _ interval: StepInterval) -> Bool {
        switch strategy {
        case .steps: state.step % interval.steps(of: plan.totalSteps) == 0
        case .epoch: queue.isEmpty && state.generationsInEpoch == plan.generationsPerEpoch
        case .never: false
        }
    }

    /// Whether the step just taken ends a line of metrics; the last one always does.
    private var isLogged: Bool {
        isDue(configuration.loggingStrategy, configuration.loggingSteps) || state.step == 1 && configuration.logsFirstStep
            || state.step == plan.totalSteps
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
        state.step += 1
        var clock = PhaseClock()
        let started = ContinuousClock.now
        var microBatches: [(batch: GenerationBatch, microBatch: MicroBatch)] = []
        var generated: [GenerationBatch] = []
        while microBatches.count < plan.accumulation {
            if queue.isEmpty {
                // The last optimizer step of an epoch has what is left, as in transformers.
                if state.generationsInEpoch == plan.generationsPerEpoch {
                    state.generationsInEpoch = 0
                    if !microBatches.isEmpty { break }
                }
                let batch = try generate(step: state.step, clock: &clock)
                generated.append(batch)
                queue = batch.microBatches(plan)
                state.generationsInEpoch += 1
                state.generations += 1
            }
            microBatches.append(queue.removeFirst())
        }
        try optimize(microBatches, step: state.step, clock: &clock)
        for (phase, seconds) in clock.seconds { metrics.record("time/\(phase)", seconds) }
        metrics.record("step_time", (ContinuousClock.now - started) / .seconds(1))
        return generated
    }

    /// The random numbers of the adapter's dropout in one micro-batch of a step; nil where nothing is dropped.
    func dropout(step: Int, microBatch: Int) -> DropoutPass? {
        guard dropsOut else { return nil }
        // Apart from the sampler's numbers, which go by the same seed.
        let seed = UInt64(configuration.seed) ^ 0x4C6F_5241_6472_6F70
        return DropoutPass(seed: seed, number: UInt32(truncatingIfNeeded: (step - 1) * plan.accumulation + microBatch))
    }

    /// Whether training drops inputs of the adapter: then its forward pass is not the sampler's.
    var dropsOut: Bool { !configuration.disablesDropout && (policy.model.adapter?.settings.dropout ?? 0) > 0 }

    /// Writes the model as it stands: BF16 after training in `bfloat16`, FP32 after `float32`.
    var writer: CheckpointWriter {
        CheckpointWriter(
            config: policy.model.configurationJSON, companions: policy.companions,
            type: policy.model.computeType == .bfloat16 ? .bfloat16 : .float32, layout: .safetensors)
    }
}
