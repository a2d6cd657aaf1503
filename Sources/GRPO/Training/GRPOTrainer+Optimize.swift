internal import Logging
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
        var kl: [Double] = []
        for (index, item) in microBatches.enumerated() {
            let groups = item.microBatch.groups
            let pass =
                item.batch.tape?.pass(groups, members: item.microBatch.members)
                ?? model.forward(
                    groups, temperature: Float(configuration.temperature), recomputes: memory.recomputes,
                    dropout: dropout(step: step, microBatch: index))
            clock.end("forward")
            let result = configuration.objective.evaluate(item.batch.objectiveBatch(item.microBatch, pass.statistics), in: shares)
            loss += result.loss
            entropies = (entropies.sum + result.entropySum, entropies.tokens + result.entropyTokens)
            metrics.record(result.metrics)
            kl += result.metrics.filter { $0.name == "kl" }.map(\.value)
            if hasEntropyBonus { metrics.record("policy_loss", result.policyLoss) }
            model.backward(pass, dLogprobs: result.gradient, dEntropies: result.entropyGradient)
            clock.end("backward")
            progress(.training(step: step, microBatch: index + 1, of: microBatches.count))
        }
        entropy.end(sum: entropies.sum, tokens: entropies.tokens, configuration)
        if hasEntropyBonus { metrics.record("entropy_coef", entropy.coefficient) }
        let norm = model.trainableParameters.gradientNorm
        let isFinite = norm.isFinite && loss.isFinite
        let meanKL = kl.isEmpty ? nil : kl.reduce(0, +) / Double(kl.count)
        for alarm in alarms.noteStep(entropy: entropies.sum / Double(entropies.tokens), kl: meanKL, isFinite: isFinite) {
            logger.warning("step \(step): \(alarm)")
        }
        for item in microBatches { item.batch.tape = nil }
        guard isFinite else { return try skip(step) }
        skippedInARow = 0
        // torch.nn.utils.clip_grad_norm_
        let scale = configuration.maxGradientNorm > 0 ? min(1, configuration.maxGradientNorm / (norm + 1e-6)) : 1
        let rate = schedule.learningRate(at: step - 1)
        optimizer.step(learningRate: rate, gradientScale: scale)
        syncReference(after: step)
        clock.end("optimizer")
        metrics.record("loss", loss)
        metrics.record("grad_norm", norm)
        metrics.record("learning_rate", rate)
    }

    /// Leaves the weights as they are after a gradient that is not finite; ten such steps in a row end the run.
    private func skip(_ step: Int) throws {
        skippedInARow += 1
        state.skippedSteps += 1
        metrics.record("skipped_steps", Double(state.skippedSteps))
        guard skippedInARow < 10 else {
            throw TrainingError(
                message: "step \(step): ten gradients in a row are not finite; lower learning_rate, or go on from an earlier checkpoint")
        }
    }
}

/// A run that cannot go on.
public struct TrainingError: Error, Sendable, CustomStringConvertible {
    /// What happened and what to do.
    public let message: String

    /// An error.
    public init(message: String) { self.message = message }

    /// The message.
    public var description: String { message }
}
