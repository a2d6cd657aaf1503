import Foundation
import Testing

@testable import GRPO

@Suite struct PolicyObjectiveTests {
    /// The golden vector, without its padding: 3, 2, 3 and 1 tokens.
    private static let advantages = Advantages(rewards: [1, 0, 0.5, 2], groupSize: 2, scale: .group).values
    private static let batch = PolicyObjective.Batch(
        offsets: [0, 3, 5, 8, 9],
        logps: [-1, -0.5, -2, -0.7, -1.2, -0.9, -0.1, -1.5, -2.2],
        oldLogps: [-1.1, -0.8, -1.6, -0.7, -1, -1, -0.2, -1.2, -1.9],
        referenceLogps: [-1.2, -0.6, -1.9, -0.6, -1.1, -0.9, -0.3, -1.4, -2],
        advantages: advantages)

    private func objective(_ lossType: LossType, beta: Double = 0.04, corrected: Bool = false, epsilonHigh: Double? = nil) -> PolicyObjective {
        PolicyObjective(lossType: lossType, epsilonHigh: epsilonHigh, beta: beta, biasCorrectedKL: corrected, maxCompletionLength: 4)
    }

    /// The whole vector as one optimizer step.
    private func loss(_ objective: PolicyObjective) -> Double { objective.evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9)).loss }

    @Test(
        "losses are TRL's",
        arguments: [(LossType.grpo, 0.032288), (.bnpo, 0.087798), (.drGRPO, 0.049386), (.dapo, 0.087798), (.sapo, -0.013783), (.vespo, 0.188025)])
    func goldenLosses(lossType: LossType, expected: Double) {
        let result = objective(lossType).evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9))
        #expect(abs(result.loss - expected) < 1e-6)
    }

    @Test("cispo cuts the ratio at epsilon_high itself, not at 1 + epsilon_high")
    func cispo() {
        #expect(abs(loss(objective(.cispo, epsilonHigh: 5)) - 0.067277) < 1e-6)
        #expect(abs(loss(objective(.cispo, epsilonHigh: 0.2)) - 0.020799) < 1e-6)
        // The derivative is the cut ratio times the advantage: the ratio itself has none.
        let result = objective(.cispo, beta: 0, epsilonHigh: 5).evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9))
        let ratio = exp(Double(Self.batch.logps[1]) - Double(Self.batch.oldLogps![1]))
        #expect(abs(Double(result.gradient[1]) + ratio * Self.advantages[0] / 9) < 1e-7)
        let cut = objective(.cispo, epsilonHigh: 1.15).evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9))
        // exp(0.3) of the first completion's second token exceeds it, exp(0.1) does not; the third completion has exp(0.1) twice.
        #expect(cut.metrics.first { $0.name == "cispo_clip_ratio" }?.value == 1.0 / 9)
    }

    @Test("one ratio a completion: GSPO's loss and LUSPO's, and their metrics")
    func sequenceLevel() {
        var gspo = objective(.grpo)
        gspo.importanceSamplingLevel = .sequence
        #expect(abs(loss(gspo) - 0.023639) < 1e-6)
        var luspo = objective(.luspo, beta: 0)
        luspo.importanceSamplingLevel = .sequence
        #expect(abs(loss(luspo) - 0.171556) < 1e-6)
        // The mean log-ratios are 0, -0.1, -0.033 and -0.3: one ratio of four is below 0.8, but its advantage is positive.
        let metrics = gspo.evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9)).metrics
        #expect(metrics.first { $0.name == "clip_ratio/region_mean" }?.value == 0)
        gspo.epsilonHigh = 0
        gspo.epsilon = 0.05
        let tight = gspo.evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9)).metrics
        #expect(tight.first { $0.name == "clip_ratio/low_mean" }?.value == 0.25)
    }

    @Test("delta limits the ratio of a negative advantage")
    func delta() {
        var limited = objective(.grpo)
        limited.delta = 1.1
        #expect(abs(loss(limited) - 0.038484) < 1e-6)
    }

    @Test("the high-entropy mask is torch.quantile's, over the tokens that count", arguments: [(1.0, 8), (0.5, 4), (0.2, 2), (0.0, 1)])
    func highEntropyMask(share: Double, kept: Int) {
        let entropies: [Float] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 9]
        let mask = HighEntropyTokens.mask(entropies, mask: [true, true, true, true, true, true, true, true, false], share: share)
        #expect(mask.count { $0 } == kept)
        #expect(mask == entropies.indices.map { (8 - kept..<8).contains($0) })
    }

    @Test("the high-entropy mask takes the policy's part, not the penalty's nor the divisor")
    func highEntropyLoss() {
        var batch = Self.batch
        batch.entropies = [3, 1, 1, 3, 1, 1, 1, 3, 1]
        var objective = objective(.dapo)
        let step = PolicyObjective.Step(microBatches: 1, lossTokens: 9)
        let whole = objective.evaluate(batch, in: step)
        objective.topEntropyQuantile = 0.3
        let top = objective.evaluate(batch, in: step)
        #expect(top.metrics.first { $0.name == "kl" }?.value == whole.metrics.first { $0.name == "kl" }?.value)
        #expect(top.gradient[0] == whole.gradient[0] && top.gradient[3] == whole.gradient[3] && top.gradient[7] == whole.gradient[7])
        objective.beta = 0
        let policyOnly = objective.evaluate(batch, in: step)
        #expect(policyOnly.gradient.indices.filter { policyOnly.gradient[$0] != 0 }.allSatisfy { [0, 3, 7].contains($0) })
        #expect(abs(top.loss - policyOnly.loss - 0.04 * 0.009376) < 1e-6)
    }

    @Test("completions that became unlikely drop out, unless their advantage is positive")
    func offPolicyMask() {
        var objective = objective(.dapo, beta: 0)
        let step = PolicyObjective.Step(microBatches: 1, lossTokens: 9)
        let whole = objective.evaluate(Self.batch, in: step).gradient
        // Of the second completion, of negative advantage, old - logp has the mean 0.1; of the fourth, of positive advantage, 0.3.
        objective.offPolicyMaskThreshold = 0.09
        let masked = objective.evaluate(Self.batch, in: step).gradient
        #expect(masked[3...4].allSatisfy { $0 == 0 } && whole[3] != 0)
        #expect(masked[8] == whole[8] && masked[0] == whole[0])
        objective.offPolicyMaskThreshold = 0.11
        #expect(objective.evaluate(Self.batch, in: step).gradient == whole)
    }

    @Test("the entropy bonus is the mean entropy, whatever the loss's divisor", arguments: LossType.allCases)
    func entropyBonus(lossType: LossType) {
        var batch = Self.batch
        batch.entropies = [3, 1, 1, 3, 1, 1, 1, 3, 4]
        batch.mask[8] = false
        let without = objective(lossType).evaluate(batch, in: .init(microBatches: 2, lossTokens: 20))
        let with = objective(lossType).evaluate(batch, in: .init(microBatches: 2, lossTokens: 20, entropyCoefficient: 0.5))
        #expect(abs(with.loss - (without.loss - 0.5 * 14.0 / 8 / 2)) < 1e-12)
        #expect(with.policyLoss == without.policyLoss && without.entropyGradient == nil)
        #expect(with.entropyGradient == [Float](repeating: -0.5 / 8 / 2, count: 8) + [0])
        #expect(with.metrics.first { $0.name == "entropy" }?.value == 14.0 / 8)
    }

    @Test("without beta there is no kl")
    func withoutBeta() {
        var batch = Self.batch
        batch.referenceLogps = nil
        let result = objective(.dapo, beta: 0).evaluate(batch, in: .init(microBatches: 1, lossTokens: 9))
        #expect(abs(result.loss - 0.087423) < 1e-6)
        #expect(!result.metrics.contains { $0.name == "kl" })
    }

    @Test("kl and clip metrics are TRL's")
    func goldenMetrics() {
        let result = objective(.grpo).evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9))
        let metrics = Dictionary(uniqueKeysWithValues: result.metrics.map { ($0.name, $0.value) })
        #expect(abs((metrics["kl"] ?? .nan) - 0.009376) < 1e-6)
        #expect(abs((metrics["clip_ratio/low_mean"] ?? .nan) - 1.0 / 9) < 1e-12)
        #expect(abs((metrics["clip_ratio/high_mean"] ?? .nan) - 1.0 / 9) < 1e-12)
        #expect(abs((metrics["clip_ratio/region_mean"] ?? .nan) - 2.0 / 9) < 1e-12)
        #expect(metrics["clip_ratio/low_min"] == 0)
        #expect(abs((metrics["clip_ratio/high_max"] ?? .nan) - 1.0 / 3) < 1e-12)
    }

    /// Losses whose weights have no gradient are not their own derivative's integral.
    private static let differentiable = LossType.allCases.filter { ![.cispo, .vespo].contains($0) }

    @Test("the derivative is that of the loss, by central differences", arguments: differentiable, ImportanceSamplingLevel.allCases)
    func derivative(lossType: LossType, level: ImportanceSamplingLevel) {
        for corrected in [false, true] {
            var objective = objective(lossType, corrected: corrected, epsilonHigh: 0.28)
            objective.importanceSamplingLevel = level
            let step = PolicyObjective.Step(microBatches: 3, lossTokens: 25)
            var batch = Self.batch
            batch.mask[4] = false
            let analytic = objective.evaluate(batch, in: step).gradient
            for token in batch.logps.indices {
                var up = batch
                var down = batch
                up.logps[token] += 1 / 1024
                down.logps[token] -= 1 / 1024
                let width = Double(up.logps[token]) - Double(down.logps[token])
                let difference = (objective.evaluate(up, in: step).loss - objective.evaluate(down, in: step).loss) / width
                #expect(abs(difference - Double(analytic[token])) < 2e-6, "token \(token)")
            }
            #expect(analytic[4] == 0)
            #expect(analytic.contains { abs($0) > 0.005 })
        }
    }

    @Test("on policy the ratio is 1 and the gradient that of exp(logp - old)", arguments: [false, true])
    func onPolicy(corrected: Bool) {
        var detached = Self.batch
        detached.oldLogps = nil
        var equal = Self.batch
        equal.oldLogps = equal.logps
        let step = PolicyObjective.Step(microBatches: 1, lossTokens: 9)
        let result = objective(.dapo, corrected: corrected).evaluate(detached, in: step)
        #expect(result.gradient == objective(.dapo, corrected: corrected).evaluate(equal, in: step).gradient)
        let policyOnly = objective(.dapo, beta: 0).evaluate(detached, in: step)
        #expect(policyOnly.gradient[0] == Float(-Self.advantages[0] / 9))
    }

    @Test("dapo over several micro-batches is the token mean of the optimizer step, however they are cut")
    func dapoOverMicroBatches() {
        let whole = objective(.dapo).evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9))
        let first = PolicyObjective.Batch(
            offsets: [0, 3], logps: Array(Self.batch.logps[..<3]), oldLogps: Array(Self.batch.oldLogps![..<3]),
            referenceLogps: Array(Self.batch.referenceLogps![..<3]), advantages: [Self.advantages[0]])
        let rest = PolicyObjective.Batch(
            offsets: [0, 2, 5, 6], logps: Array(Self.batch.logps[3...]), oldLogps: Array(Self.batch.oldLogps![3...]),
            referenceLogps: Array(Self.batch.referenceLogps![3...]), advantages: Array(Self.advantages[1...]))
        let step = PolicyObjective.Step(microBatches: 2, lossTokens: 9)
        let parts = [first, rest].map { objective(.dapo).evaluate($0, in: step) }
        #expect(abs(parts[0].loss + parts[1].loss - whole.loss) < 1e-15)
        #expect(parts[0].gradient + parts[1].gradient == whole.gradient)
    }

    @Test("when every token is masked the loss and the gradient are exactly 0", arguments: LossType.allCases)
    func allMasked(lossType: LossType) {
        var batch = Self.batch
        batch.mask = Array(repeating: false, count: 9)
        let result = objective(lossType).evaluate(batch, in: .init(microBatches: 1, lossTokens: 0))
        #expect(result.loss == 0)
        #expect(result.gradient.allSatisfy { $0 == 0 })
        if lossType.clipsRatio { #expect(result.metrics.first { $0.name == "clip_ratio/low_min" }?.value.isNaN == true) }
    }
}
