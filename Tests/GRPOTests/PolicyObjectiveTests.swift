import GRPO
import Testing

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

    @Test(
        "losses are TRL's",
        arguments: [(LossType.grpo, 0.032288), (.bnpo, 0.087798), (.drGRPO, 0.049386), (.dapo, 0.087798)])
    func goldenLosses(lossType: LossType, expected: Double) {
        let result = objective(lossType).evaluate(Self.batch, in: .init(microBatches: 1, lossTokens: 9))
        #expect(abs(result.loss - expected) < 1e-6)
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

    @Test("the derivative is that of the loss, by central differences", arguments: LossType.allCases, [false, true])
    func derivative(lossType: LossType, corrected: Bool) {
        let objective = objective(lossType, corrected: corrected, epsilonHigh: 0.28)
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
            #expect(abs(difference - Double(analytic[token])) < 1e-6, "token \(token)")
        }
        #expect(analytic[4] == 0)
        #expect(analytic.contains { abs($0) > 0.005 })
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
        #expect(result.metrics.first { $0.name == "clip_ratio/low_min" }?.value.isNaN == true)
    }
}
