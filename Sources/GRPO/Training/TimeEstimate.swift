internal import Checkpoints
public import Qwen2

/// How long a run may take at most, from a few tokens timed on this machine: every completion is taken to reach its limit.
public struct TimeEstimate: Sendable {
    /// Seconds of one generation batch.
    public let generation: Double
    /// Seconds of an optimizer step's forward and backward passes.
    public let training: Double
    /// Seconds of the whole run, without rewards and checkpoints.
    public let total: Double

    /// Times a forward pass over 128 tokens and a few steps of decoding at the run's width.
    public init(_ plan: BatchPlan, model: Qwen2Model, promptTokens: Int) {
        let ids = (0..<128).map { Int32($0 % model.configuration.vocabularySize) }
        func seconds(_ body: () -> Void) -> Double {
            let start = ContinuousClock.now
            body()
            return (ContinuousClock.now - start) / .seconds(1)
        }
        let group = [TokenGroup(prompt: Array(ids.prefix(64)), completions: [Array(ids.suffix(64))])]
        _ = model.score(group)  // the first one also warms up
        let token = seconds { _ = model.score(group) } / 128
        var parameters = SamplingParameters()
        let requests = (0..<plan.promptsPerGeneration).map {
            GenerationRequest(prompt: Array(ids.prefix(8)), count: plan.generations, stream: UInt64($0))
        }
        func generate(_ tokens: Int) -> Double {
            parameters.maxNewTokens = tokens
            return seconds { _ = model.generate(requests, parameters) }
        }
        let decoding = max(0, generate(5) - generate(1)) / 4
        generation = Double(plan.promptsPerGeneration * promptTokens) * token + Double(plan.maxCompletionLength) * decoding
        // A backward pass is two forward passes' work, one where the weights have no gradients; each prompt is read once a group.
        let groups = max(1, plan.microBatchSize / plan.generations)
        let tokens = plan.accumulation * (groups * promptTokens + plan.microBatchSize * plan.maxCompletionLength)
        let drops = (model.adapter?.settings.dropout ?? 0) > 0
        let forwards = !plan.needsOldLogps && !drops ? 0.0 : 1.0
        training = Double(tokens) * token * (forwards + (model.adapter == nil ? 2 : 1))
        total = Double(plan.totalGenerations) * generation + Double(plan.totalSteps) * training
    }
}
