#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What one token adds to the loss, before any averaging, with its derivatives.
struct PolicyTerm {
    var loss = 0.0
    /// d loss / d ratio, where the ratio has a gradient.
    var byRatio = 0.0
    /// d loss / d logp beside what goes through the ratio.
    var byLogp = 0.0
}

/// What the tokens of one completion share.
struct PolicyRow {
    let advantage: Double
    /// The mean of the tokens' log-ratios.
    let meanLogRatio: Double
    /// Its exponential, the geometric mean of the tokens' ratios.
    let ratio: Double
    /// The weight of `vespo`; 1 for the other losses.
    let phi: Double

    init(advantage: Double, meanLogRatio: Double, phi: Double) {
        self.advantage = advantage
        self.meanLogRatio = meanLogRatio
        self.phi = phi
        ratio = exp(meanLogRatio)
    }
}

extension PolicyObjective {
    /// The policy's part of a token, whose ratio is its own or its completion's.
    func policyTerm(ratio: Double, logp: Double, _ row: PolicyRow) -> PolicyTerm {
        let advantage = row.advantage
        switch lossType {
        case .grpo, .bnpo, .drGRPO, .dapo, .luspo:
            // -min(min(ratio, delta) A, clip(ratio) A); where both sides are equal their derivatives share, as torch.min has it.
            let clipped = min(max(ratio, 1 - epsilon), 1 + epsilonHigh)
            let capped = min(ratio, delta ?? .infinity)
            let byCapped = capped == ratio ? -advantage : 0
            let byClipped = clipped == ratio ? -advantage : 0
            let (a, b) = (capped * advantage, clipped * advantage)
            return PolicyTerm(loss: -min(a, b), byRatio: a < b ? byCapped : b < a ? byClipped : (byCapped + byClipped) / 2)
        case .cispo:
            let weight = min(ratio, epsilonHigh) * advantage
            return PolicyTerm(loss: -weight * logp, byLogp: -weight)
        case .sapo:
            let temperature = advantage > 0 ? sapoTemperaturePositive : sapoTemperatureNegative
            let sigmoid = 1 / (1 + exp(-temperature * (ratio - 1)))
            return PolicyTerm(loss: -sigmoid * 4 / temperature * advantage, byRatio: -4 * sigmoid * (1 - sigmoid) * advantage)
        case .vespo:
            let weight = row.phi * advantage
            return PolicyTerm(loss: -weight * logp, byLogp: -weight)
        }
    }

    /// beta times the k3 estimate of the KL divergence from the reference, and the estimate itself.
    func klTerm(ratio: Double, logp: Double, reference: Double) -> (term: PolicyTerm, kl: Double) {
        let difference = reference - logp
        let growth = exp(difference)
        let k3 = growth - difference - 1
        // d k3 / d logp = 1 - growth.
        guard biasCorrectedKL else { return (PolicyTerm(loss: beta * k3, byLogp: beta * (1 - growth)), k3) }
        return (PolicyTerm(loss: beta * ratio * k3, byRatio: beta * k3, byLogp: beta * ratio * (1 - growth)), ratio * k3)
    }

    /// VESPO's weight of a completion whose tokens' log-ratios are given: w^k exp(lambda (1 - w)), 1 at w = 1.
    func vespoWeight(_ logRatios: some Sequence<Double>, advantage: Double) -> Double {
        let least = log(1e-8)
        let logWeight = min(max(logRatios.reduce(0) { $0 + min(max($1, -20), 20) }, least), 20)
        let (k, lambda) = advantage >= 0 ? (vespoKPositive, vespoLambdaPositive) : (vespoKNegative, vespoLambdaNegative)
        let steepness = max(lambda, 1e-4)
        let phi = exp(steepness + k * logWeight - steepness * exp(logWeight))
        return phi.isFinite ? phi : 0
    }
}
