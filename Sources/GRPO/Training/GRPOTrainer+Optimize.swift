internal import Qwen2

extension GRPOTrainer {
    /// One optimizer step over its micro-batches: forward, loss, backward for each, then clipping and AdamW.
    func optimize(_ microBatches: [(batch: GenerationBatch, microBatch: MicroBatch)], step: Int, clock: inout PhaseClock) throws {
        let model = policy.model
        model.zeroGradients()
        let lossTokens = microBatches.reduce(0) { sum, item in
            sum + item.microBatch.rollouts.reduce(0) { $0 + (item.batch.counts[$1] ? item.batch.rollouts[$1].ids.count : 0) }
        }
        let shares = PolicyObjective.Step(microBatches: microBatches.count, lossTokens: lossTokens)
        var loss = 0.0
        for (index, item) in microBatches.enumerated() {
            let temperature = Float(configuration.temperature)
            let referenceLogps = configuration.beta == 0 ? nil : reference?.score(item.microBatch.groups, temperature: temperature).logprobs
            let groups = item.microBatch.groups
            let pass =
                item.batch.tape?.pass(groups, members: item.microBatch.members) ?? model.forward(groups, temperature: temperature)
            clock.end("forward")
            let batch = item.batch.objectiveBatch(item.microBatch, logps: pass.statistics.logprobs, referenceLogps: referenceLogps)
            let result = configuration.objective.evaluate(batch, in: shares)
            loss += result.loss
            metrics.record(result.metrics)
            let counted = zip(pass.statistics.entropies, batch.mask).filter { $0.1 }
            metrics.record("entropy", counted.reduce(0) { $0 + Double($1.0) } / Double(max(counted.count, 1)))
            model.backward(pass, dLogprobs: result.gradient)
            clock.end("backward")
            progress(.training(step: step, microBatch: index + 1, of: microBatches.count))
        }
        let norm = optimizer.gradientNorm()
        guard norm.isFinite, loss.isFinite else {
            throw TrainingError(
                message: "step \(step): the loss is \(loss) and the gradient's norm \(norm), expected numbers; lower learning_rate or max_grad_norm")
        }
        // torch.nn.utils.clip_grad_norm_
        let scale = configuration.maxGradientNorm > 0 ? min(1, configuration.maxGradientNorm / (norm + 1e-6)) : 1
        let rate = schedule.learningRate(at: step - 1)
        optimizer.step(configuration, learningRate: rate, gradientScale: scale)
        for item in microBatches { item.batch.tape = nil }
        clock.end("optimizer")
        metrics.record("loss", loss)
        metrics.record("grad_norm", norm)
        metrics.record("learning_rate", rate)
    }
}

/// A run that cannot go on.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
    /// What happened and what to do.
    public let message: String

    /// The message.
    public var description: String { message }
}
