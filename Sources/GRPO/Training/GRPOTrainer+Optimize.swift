internal import Qwen2

extension GRPOTrainer {
    /// One optimizer step over its micro-batches: forward, loss, backward for each, then clipping and AdamW.
    func optimize(_ microBatches: [(batch: GenerationBatch, microBatch: MicroBatch)], step: Int, clock: inout PhaseClock) throws {
        let model = policy.model
        model.zeroGradients()
        let lossTokens = microBatches.reduce(0) { sum, item in
            sum + item.microBatch.rollouts.reduce(0) { $0 + (item.batch.counts[$1] ? item.batch.rollouts[$1].ids.count : 0) }
        }
        let shares = PolicyObjective.Step(
            microBatches: microBatches.count, lossTokens: lossTokens, entropyCoefficient: entropy.applied(configuration))
        let hasEntropyBonus = configuration.entropyCoefficient != 0 || configuration.usesAdaptiveEntropy
        var loss = 0.0
        var entropies = (sum: 0.0, tokens: 0)
        for (index, item) in microBatches.enumerated() {
            let groups = item.microBatch.groups
            let pass =
                item.batch.tape?.pass(groups, members: item.microBatch.members)
                ?? model.forward(groups, temperature: Float(configuration.temperature))
            clock.end("forward")
            let result = configuration.objective.evaluate(item.batch.objectiveBatch(item.microBatch, pass.statistics), in: shares)
            loss += result.loss
            entropies = (entropies.sum + result.entropySum, entropies.tokens + result.entropyTokens)
            metrics.record(result.metrics)
            if hasEntropyBonus { metrics.record("policy_loss", result.policyLoss) }
            model.backward(pass, dLogprobs: result.gradient, dEntropies: result.entropyGradient)
            clock.end("backward")
            progress(.training(step: step, microBatch: index + 1, of: microBatches.count))
        }
        entropy.end(sum: entropies.sum, tokens: entropies.tokens, configuration)
        if hasEntropyBonus { metrics.record("entropy_coef", entropy.coefficient) }
        let norm = model.parameters.gradientNorm
        guard norm.isFinite, loss.isFinite else {
            throw TrainingError(
                message: "step \(step): the loss is \(loss) and the gradient's norm \(norm), expected numbers; lower learning_rate or max_grad_norm")
        }
        // torch.nn.utils.clip_grad_norm_
        let scale = configuration.maxGradientNorm > 0 ? min(1, configuration.maxGradientNorm / (norm + 1e-6)) : 1
        let rate = schedule.learningRate(at: step - 1)
        optimizer.step(learningRate: rate, gradientScale: scale)
        for item in microBatches { item.batch.tape = nil }
        if configuration.syncsReference && step % configuration.referenceSyncSteps == 0 {
            reference?.mix(model, share: Float(configuration.referenceMixupAlpha))
        }
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
