#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// GRPO's policy loss in all of TRL's forms, with its derivative with respect to every token's log-prob and entropy.
///
/// Per token, with ratio = exp(logp - old) and the completion's advantage A, the clipped forms are
/// l = -min(min(ratio, delta) A, clip(ratio, 1 - epsilon, 1 + epsilonHigh) A); `PolicyTerm` has the others. To it comes beta kl, where
/// d = reference - logp and kl = exp(d) - d - 1 (times the ratio with `biasCorrectedKL`, which makes its gradient that of the reverse KL).
/// The masks of `topEntropyQuantile` and `offPolicyMaskThreshold` take the policy's part away and leave the KL's.
public struct PolicyObjective: Sendable {
    /// What a token adds and how tokens are averaged.
    public var lossType: LossType
    /// Whether a token's ratio is its own or its completion's.
    public var importanceSamplingLevel = ImportanceSamplingLevel.token
    /// The ratio is clipped below 1 - epsilon.
    public var epsilon: Double
    /// The ratio is clipped above 1 + epsilonHigh; for `cispo`, above epsilonHigh.
    public var epsilonHigh: Double
    /// The largest ratio that a negative advantage is multiplied by (INTELLECT-2); nil is no limit.
    public var delta: Double?
    /// The steepness of `sapo` for positive advantages.
    public var sapoTemperaturePositive = 1.0
    /// The steepness of `sapo` for the others.
    public var sapoTemperatureNegative = 1.05
    /// The power of `vespo` for advantages of at least 0.
    public var vespoKPositive = 2.0
    /// The decay of `vespo` for advantages of at least 0.
    public var vespoLambdaPositive = 3.0
    /// The power of `vespo` for negative advantages.
    public var vespoKNegative = 3.0
    /// The decay of `vespo` for negative advantages.
    public var vespoLambdaNegative = 2.0
    /// The share of tokens, those of the highest entropy in the micro-batch, that the policy's loss is made of.
    public var topEntropyQuantile = 1.0
    /// A completion of negative advantage is left out of the policy's loss when the mean of old - logp over its tokens exceeds this (DeepSeek-V3.2).
    public var offPolicyMaskThreshold: Double?
    /// The weight of the KL penalty; 0 needs no reference.
    public var beta: Double
    /// Whether the KL term is multiplied by the ratio, through which the gradient flows (`use_bias_correction_kl`).
    public var biasCorrectedKL: Bool
    /// The divisor of `dr_grpo`, in tokens.
    public var maxCompletionLength: Int

    /// An objective; `epsilonHigh` is `epsilon` unless given.
    public init(
        lossType: LossType, epsilon: Double = 0.2, epsilonHigh: Double? = nil, beta: Double = 0, biasCorrectedKL: Bool = true,
        maxCompletionLength: Int
    ) {
        self.lossType = lossType
        self.epsilon = epsilon
        self.epsilonHigh = epsilonHigh ?? epsilon
        self.beta = beta
        self.biasCorrectedKL = biasCorrectedKL
        self.maxCompletionLength = maxCompletionLength
    }

    /// The loss and its derivatives, accumulated in Float64 in the order of the tokens.
    public func evaluate(_ batch: Batch, in step: Step) -> Result {
        batch.check(self)
        let chosen =
            batch.entropies.flatMap { topEntropyQuantile < 1 ? HighEntropyTokens.mask($0, mask: batch.mask, share: topEntropyQuantile) : nil }
            ?? batch.mask
        let weigh = weights(of: batch, in: step)
        var result = Result(loss: 0, policyLoss: 0, gradient: .init(repeating: 0, count: batch.logps.count), metrics: [])
        var kl = 0.0
        var ratios = RatioMetrics()
        var phi = 0.0
        for index in batch.advantages.indices {
            let tokens = batch.offsets[index]..<batch.offsets[index + 1]
            let counted = batch.mask[tokens].count(where: \.self)
            let logRatios = tokens.map { token in
                batch.mask[token] ? Double(batch.logps[token]) - Double(batch.oldLogps?[token] ?? batch.logps[token]) : 0
            }
            let row = row(logRatios, advantage: batch.advantages[index], counted: counted)
            let isKept = row.advantage >= 0 || -row.meanLogRatio <= offPolicyMaskThreshold ?? .infinity
            let weight = weigh(counted)
            // d loss / d ratio of the whole completion, summed over its tokens.
            var byRowRatio = 0.0
            var flat = (low: 0, high: 0)
            for token in tokens where batch.mask[token] {
                let logp = Double(batch.logps[token])
                let ratio = importanceSamplingLevel == .token ? exp(logRatios[token - tokens.lowerBound]) : row.ratio
                var term = isKept && chosen[token] ? policyTerm(ratio: ratio, logp: logp, row) : PolicyTerm()
                if beta != 0, let reference = batch.referenceLogps {
                    let penalty = klTerm(ratio: ratio, logp: logp, reference: Double(reference[token]))
                    kl += penalty.kl
                    term.loss += penalty.term.loss
                    term.byRatio += penalty.term.byRatio
                    term.byLogp += penalty.term.byLogp
                }
                result.loss += term.loss * weight
                // d ratio / d logp = ratio, even where the old log-prob is the present one, which counts as a constant.
                if importanceSamplingLevel == .token { term.byLogp += term.byRatio * ratio } else { byRowRatio += term.byRatio }
                result.gradient[token] = Float(term.byLogp * weight)
                let side = clippedSide(ratio, advantage: row.advantage)
                flat = (flat.low + (side < 0 ? 1 : 0), flat.high + (side > 0 ? 1 : 0))
            }
            if importanceSamplingLevel == .token {
                ratios.add(ratios: counted, low: flat.low, high: flat.high)
            } else {
                // d (geometric mean) / d logp = mean / tokens.
                let share = byRowRatio * row.ratio / Double(max(counted, 1)) * weight
                for token in tokens where batch.mask[token] { result.gradient[token] += Float(share) }
                let side = clippedSide(row.ratio, advantage: row.advantage)
                ratios.add(ratios: 1, low: side < 0 ? 1 : 0, high: side > 0 ? 1 : 0)
            }
            phi += row.phi
        }
        result.policyLoss = [.dapo, .cispo, .vespo].contains(lossType) ? result.loss : result.loss * Double(step.microBatches)
        if beta != 0 { result.metrics.append(("kl", kl / Double(max(batch.lossTokens, 1)))) }
        addEntropy(to: &result, batch, chosen: chosen, step)
        if lossType.clipsRatio { result.metrics += ratios.clipped }
        if lossType == .cispo { result.metrics.append(("cispo_clip_ratio", ratios.highShare)) }
        if lossType == .vespo { result.metrics.append(("vespo/phi_seq_mean", phi / Double(max(batch.advantages.count, 1)))) }
        return result
    }

    private func row(_ logRatios: [Double], advantage: Double, counted: Int) -> PolicyRow {
        PolicyRow(
            advantage: advantage, meanLogRatio: logRatios.reduce(0, +) / Double(max(counted, 1)),
            phi: lossType == .vespo ? vespoWeight(logRatios, advantage: advantage) : 1)
    }

    /// -1 or 1 for a ratio that the clipping has made flat below or above, 0 for the others; what TRL counts.
    private func clippedSide(_ ratio: Double, advantage: Double) -> Int {
        if lossType == .cispo { return ratio > epsilonHigh && advantage > 0 ? 1 : 0 }
        let capped = min(ratio, delta ?? .infinity)
        if capped < 1 - epsilon && advantage < 0 { return -1 }
        return capped > 1 + epsilonHigh && advantage > 0 ? 1 : 0
    }

    /// The weight of each token of a completion, as a function of how many of its tokens count.
    private func weights(of batch: Batch, in step: Step) -> (Int) -> Double {
        let completions = Double(batch.advantages.count)
        let accumulation = Double(step.microBatches)
        let weight: Double
        switch lossType {
        case .grpo, .sapo: return { 1 / (Double(max($0, 1)) * completions * accumulation) }
        case .bnpo: weight = 1 / (Double(max(batch.lossTokens, 1)) * accumulation)
        case .drGRPO: weight = 1 / (completions * Double(maxCompletionLength) * accumulation)
        case .luspo: weight = 1 / (completions * accumulation)
        case .dapo, .cispo, .vespo: weight = 1 / Double(max(step.lossTokens, 1))
        }
        return { _ in weight }
    }

    /// loss -= coefficient * mean entropy of the chosen tokens, whatever the loss's own averaging; and the metric `entropy`.
    private func addEntropy(to result: inout Result, _ batch: Batch, chosen: [Bool], _ step: Step) {
        guard let entropies = batch.entropies else { return }
        func sum(_ mask: [Bool]) -> Double { zip(entropies, mask).reduce(0) { $0 + ($1.1 ? Double($1.0) : 0) } }
        result.metrics.append(("entropy", sum(batch.mask) / Double(max(batch.lossTokens, 1))))
        result.entropySum = sum(chosen)
        result.entropyTokens = chosen.count(where: \.self)
        guard step.entropyCoefficient != 0 else { return }
        let weight = step.entropyCoefficient / (Double(max(result.entropyTokens, 1)) * Double(step.microBatches))
        result.loss -= weight * result.entropySum
        result.entropyGradient = chosen.map { $0 ? Float(-weight) : 0 }
    }
}
