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
    /// Weights as the forward pass reads them, FP32 masters, gradients, both moments of AdamW, and a reference model.
    public let model: Int
    /// Activations of the largest micro-batch, if every completion reaches its limit.
    public let activations: Int
    /// Keys and values of a generation batch, likewise.
    public let cache: Int
    /// Logits and their gradient, a chunk at a time.
    public let head: Int

    /// The bytes of memory that the machine has.
    public static var physical: Int { sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE)) }

    /// Everything together.
    public var total: Int { model + activations + cache + head }

    /// The estimate for a plan; `promptTokens` is the longest prompt.
    public init(_ configuration: GRPOConfiguration, _ plan: BatchPlan, model shape: Qwen2Configuration, promptTokens: Int) {
        let parameters = shape.parameterCount
        let isHalf = configuration.dtype == .bfloat16
        let width = isHalf ? 2 : 4
        model = parameters * ((isHalf ? 2 + 4 : 4) + 4 + 8 + (configuration.beta != 0 ? width : 0))
        let groups = (plan.microBatchSize + plan.generations - 1) / plan.generations
        let tokens = groups * promptTokens + plan.microBatchSize * plan.maxCompletionLength
        let queries = shape.headCount * shape.headSize
        let keys = shape.keyValueHeadCount * shape.headSize
        let layer = 2 * 4 * shape.hiddenSize + queries * (4 + width) + keys * 2 * (4 + width) + 2 * 4 * shape.intermediateSize
        activations = tokens * (layer * shape.layerCount + 6 * 4 * shape.intermediateSize)
        let cached = plan.promptsPerGeneration * promptTokens + plan.generationBatchSize * plan.maxCompletionLength
        cache = cached * shape.layerCount * 2 * keys * width
        head = 128 * shape.vocabularySize * (isHalf ? 8 : 4)
    }
}
