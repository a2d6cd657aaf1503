/// TRL's batch arithmetic for one process: what a run will generate and train on, known before the first token.
public struct BatchPlan: Sendable, Equatable {
    /// Prompts in the dataset.
    public let rows: Int
    /// Completions a prompt (`num_generations`).
    public let generations: Int
    /// Completions a micro-batch (`per_device_train_batch_size`).
    public let microBatchSize: Int
    /// Micro-batches an optimizer step (`gradient_accumulation_steps`).
    public let accumulation: Int
    /// Micro-batches a generation batch is cut into (`steps_per_generation`).
    public let stepsPerGeneration: Int
    /// Times each generation batch is trained on (`num_iterations`).
    public let iterations: Int
    /// Completions generated at once (`generation_batch_size`).
    public let generationBatchSize: Int
    /// Longest completion, in tokens.
    public let maxCompletionLength: Int
    /// Optimizer steps of the whole run.
    public let totalSteps: Int

    /// Prompts of a generation batch.
    public var promptsPerGeneration: Int { generationBatchSize / generations }
    /// Generation batches an epoch.
    public var generationsPerEpoch: Int { rows / promptsPerGeneration }
    /// Prompts that an epoch leaves out, other ones each time when shuffled, because they do not fill a generation batch.
    public var droppedPrompts: Int { rows % promptsPerGeneration }
    /// Micro-batches trained on between two generations.
    public var microBatchesPerGeneration: Int { stepsPerGeneration * iterations }
    /// Micro-batches an epoch.
    public var microBatchesPerEpoch: Int { generationsPerEpoch * microBatchesPerGeneration }
    /// Optimizer steps an epoch; the last has fewer micro-batches when they do not divide.
    public var stepsPerEpoch: Int { (microBatchesPerEpoch + accumulation - 1) / accumulation }
    /// Whether some optimizer step trains on completions of an earlier policy.
    public var isOffPolicy: Bool { microBatchesPerGeneration > accumulation }
    /// Whether the log-probs of the policy that generated must be computed before training, as TRL does.
    public var needsOldLogps: Bool { accumulation % microBatchesPerGeneration != 0 }

    /// Generation batches of the whole run.
    public var totalGenerations: Int {
        let epochs = totalSteps / stepsPerEpoch
        let rest = min(totalSteps % stepsPerEpoch * accumulation, microBatchesPerEpoch)
        return epochs * generationsPerEpoch + (rest + microBatchesPerGeneration - 1) / microBatchesPerGeneration
    }

    /// The plan for a dataset of `rows` prompts, or why there is none: batches that do not divide, too few prompts, numbers too large.
    public init(_ configuration: GRPOConfiguration, rows: Int) throws(ConfigurationError) {
        let size = configuration.perDeviceBatchSize
        let group = configuration.generations
        let accumulation = configuration.gradientAccumulationSteps
        guard group >= 2, size >= 1, accumulation >= 1, configuration.iterations >= 1 else {
            throw ConfigurationError(message: "num_generations must be at least 2, batch sizes, accumulation steps and num_iterations at least 1")
        }
        let steps: Int
        let batch: Int
        switch (configuration.generationBatchSize, configuration.stepsPerGeneration) {
        case (let given?, nil):
            guard given >= size, given.isMultiple(of: size) else {
                throw ConfigurationError(
                    message: "generation_batch_size is \(given) completions, expected a multiple of per_device_train_batch_size (\(size))")
            }
            (batch, steps) = (try Self.product(given, 1), given / size)
        case (nil, let given):
            steps = given ?? accumulation
            batch = try Self.product(size, steps)
        case (_?, _?):
            throw ConfigurationError(message: "generation_batch_size and steps_per_generation are both set and say the same thing; leave one out")
        }
        guard batch > 0, batch.isMultiple(of: group) else {
            let whole = Self.nearestMultiples(of: group, to: batch)
            throw ConfigurationError(
                message: "a generation batch has \(batch) completions (per_device_train_batch_size \(size) x steps_per_generation \(steps)), which "
                    + "num_generations \(group) does not divide, so that a group would be cut; make it \(whole), or change num_generations")
        }
        guard rows >= batch / group else {
            throw ConfigurationError(
                message: "the dataset has \(rows) prompts, fewer than the \(batch / group) of one generation batch (\(batch) completions / "
                    + "num_generations \(group)); use a smaller batch or more prompts")
        }
        let microBatches = try Self.product(try Self.product(rows / (batch / group), steps), configuration.iterations)
        let stepsPerEpoch = (microBatches - 1) / accumulation + 1
        let ofEpochs = (configuration.epochs * Double(stepsPerEpoch)).rounded(.up)
        guard ofEpochs < 1e15 else { throw ConfigurationError(message: "num_train_epochs \(configuration.epochs) makes too many optimizer steps") }
        self.rows = rows
        generations = group
        microBatchSize = size
        self.accumulation = accumulation
        stepsPerGeneration = steps
        iterations = configuration.iterations
        generationBatchSize = batch
        maxCompletionLength = configuration.maxCompletionLength
        totalSteps = configuration.maxSteps > 0 ? configuration.maxSteps : Int(ofEpochs)
        _ = try Self.product(try Self.product(totalSteps, accumulation), try Self.product(batch, maxCompletionLength))
    }

    /// What will happen, in one paragraph.
    public var description: String {
        let perStep = microBatchSize * accumulation
        var text =
            "\(rows) prompts, \(generations) completions each. A generation makes \(generationBatchSize) completions "
            + "(\(promptsPerGeneration) groups of \(generations)) of at most \(maxCompletionLength) tokens, cut into \(stepsPerGeneration) "
            + "micro-batches of \(microBatchSize)" + (iterations > 1 ? " and trained on \(iterations) times" : "")
            + ". An optimizer step takes \(accumulation) micro-batches (\(perStep) completions). "
            + "An epoch is \(generationsPerEpoch) generations and \(stepsPerEpoch) optimizer steps"
        if droppedPrompts > 0 { text += ", and leaves out \(droppedPrompts) prompts that do not fill a batch" }
        text +=
            ". In all: \(totalSteps) optimizer steps, \(totalGenerations) generations, \(totalGenerations * generationBatchSize) completions, "
            + "at most \(totalGenerations * generationBatchSize * maxCompletionLength) tokens."
        if isOffPolicy { text += " Some steps train on completions of an earlier policy (the ratio is clipped)." }
        return text
    }

    private static func product(_ a: Int, _ b: Int) throws(ConfigurationError) -> Int {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        // Room for the additions that follow.
        guard !overflow, product < 1 << 62 else {
            throw ConfigurationError(message: "the batch sizes and steps multiply to more than 2^62; use smaller ones")
        }
        return product
    }

    private static func nearestMultiples(of group: Int, to batch: Int) -> String {
        let below = batch / group * group
        return below > 0 ? "\(below) or \(below + group)" : "\(group)"
    }
}
