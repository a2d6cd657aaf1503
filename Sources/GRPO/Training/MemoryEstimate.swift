public import Qwen2

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The bytes that a run needs at its peak, by what they are for.
public struct MemoryEstimate: Sendable {
    /// Weights, 4 bytes each in both types (BF16 and the low halves of the FP32 masters are as much as FP32), gradients, the optimizer's moments, and a
    /// reference model; with an adapter only its own weights are kept so, and the model's are just read.
    public let model: Int
    /// Activations of a generation batch, if every completion reaches its limit; of the largest micro-batch where memory is short. With gradient
    /// checkpointing, where all of a layer's do not fit either, its inputs.
    public let activations: Int
    /// Keys and values of a generation batch, likewise.
    public let cache: Int
    /// Logits and their gradient, a chunk at a time, and those of a generation batch that are kept if there is room.
    public let head: Int

    /// Tokens whose activations may be kept while they are sampled, by what the machine has left.
    let tapeTokens: Int
    /// Completion tokens whose logits may be kept too: those of a whole generation batch or none.
    let logitTokens: Int
    /// Whether layers are made again from their inputs, `gradient_checkpointing`: when keeping all that a generation batch might need does not fit.
    public let recomputes: Bool

    /// The bytes of memory that the machine has.
    public static var physical: Int { sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)) }

    /// Everything together.
    public var total: Int { model + activations + cache + head }

    /// The estimate for a plan; `promptTokens` is the longest prompt.
    public init(_ configuration: GRPOConfiguration, _ plan: BatchPlan, model: Qwen2Model, promptTokens: Int) {
        self.init(
            configuration, plan, shape: model.configuration, adapterParameters: model.adapter.map { $0.parameters.reduce(0) { $0 + $1.count } },
            promptTokens: promptTokens, physical: Self.physical)
    }

    init(
        _ configuration: GRPOConfiguration, _ plan: BatchPlan, shape: Qwen2Configuration, adapterParameters: Int?, promptTokens: Int, physical: Int
    ) {
        let parameters = shape.parameterCount
        let width = configuration.dtype == .bfloat16 ? 2 : 4
        let moments =
            switch configuration.optimizer {
            case .adamW: 8
            case .adamW8Bit: 2
            case .sgd: configuration.optimizerArguments == nil ? 0 : 4
            }
        let trained = (adapterParameters ?? parameters) * (4 + 4 + moments + (configuration.beta != 0 ? width : 0))
        model = trained + (adapterParameters == nil ? 0 : parameters * width)
        let keys = shape.keyValueHeadCount * shape.headSize
        let cached = plan.promptsPerGeneration * promptTokens + plan.generationBatchSize * plan.maxCompletionLength
        cache = cached * shape.layerCount * 2 * keys * width
        let predicted = plan.microBatchSize * plan.maxCompletionLength
        let forward = min(Qwen2Model.headRows, predicted) * shape.vocabularySize
        let backward = predicted * min(Qwen2Model.headOutputs(tokens: predicted), shape.vocabularySize)
        let chunk = max(forward, backward) * 4
        let groups = (plan.microBatchSize + plan.generations - 1) / plan.generations
        let tokens = groups * promptTokens + plan.microBatchSize * plan.maxCompletionLength
        let scratch = tokens * 7 * 4 * shape.intermediateSize
        // A tenth of the memory is left to everybody else.
        let left = max(0, physical / 10 * 9 - model - cache - chunk - scratch)
        recomputes = configuration.gradientCheckpointing && left / shape.activationBytes(configuration.dtype) < max(tokens, cached)
        let token = shape.activationBytes(configuration.dtype, recomputes: recomputes)
        tapeTokens = left / token
        let kept = max(tokens, min(cached, tapeTokens)) * token
        activations = kept + scratch
        let completions = plan.generationBatchSize * plan.maxCompletionLength
        let logits = completions * shape.vocabularySize * 4
        logitTokens = !recomputes && kept + logits <= left ? completions : 0
        head = chunk + (logitTokens > 0 ? logits : 0)
    }
}
