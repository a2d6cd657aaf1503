internal import Qwen2

/// The completions of one generation, judged: what the next optimizer steps train on.
final class GenerationBatch {
    /// Group after group, or in the order of a recording.
    let rollouts: [Rollout]
    /// Which completions take part in the loss (`mask_truncated_completions`).
    let counts: [Bool]
    /// Log-probabilities under the policy that made the tokens, where a later policy trains on them; nil where the ratio is 1 by definition.
    var oldLogps: [[Float]]?
    /// Log-probabilities under the reference policy as it was then; nil without one.
    var referenceLogps: [[Float]]?
    /// The forward pass, as far as sampling made it; gone once the weights have changed.
    var tape: RolloutTape?

    init(rollouts: [Rollout], counts: [Bool], oldLogps: [[Float]]?, referenceLogps: [[Float]]?, tape: RolloutTape?) {
        self.tape = tape
        self.rollouts = rollouts
        self.counts = counts
        self.oldLogps = oldLogps
        self.referenceLogps = referenceLogps
    }

    /// The batch cut into micro-batches, `num_iterations` times over.
    func microBatches(_ plan: BatchPlan) -> [(batch: GenerationBatch, microBatch: MicroBatch)] {
        let once = stride(from: 0, to: rollouts.count, by: plan.microBatchSize).map { first in
            (batch: self, microBatch: MicroBatch(rollouts, first..<min(first + plan.microBatchSize, rollouts.count), generations: plan.generations))
        }
        return (0..<plan.iterations).flatMap { _ in once }
    }

    /// What the loss is computed from, in the order of the micro-batch.
    func objectiveBatch(_ microBatch: MicroBatch, _ statistics: TokenStatistics) -> PolicyObjective.Batch {
        let indices = microBatch.rollouts
        var offsets = [0]
        for index in indices { offsets.append(offsets[offsets.count - 1] + rollouts[index].ids.count) }
        return PolicyObjective.Batch(
            offsets: offsets, logps: statistics.logprobs, oldLogps: oldLogps.map { old in indices.flatMap { old[$0] } },
            referenceLogps: referenceLogps.map { reference in indices.flatMap { reference[$0] } }, entropies: statistics.entropies,
            mask: indices.flatMap { repeatElement(counts[$0], count: rollouts[$0].ids.count) },
            advantages: indices.map { rollouts[$0].advantage ?? 0 })
    }
}
