#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How the terms of the tokens become one loss (`loss_type`).
public enum LossType: String, Sendable, CaseIterable {
    /// The mean over completions of each one's mean over its tokens.
    case grpo
    /// The mean over the tokens of the micro-batch.
    case bnpo
    /// The sum over tokens divided by completions times `max_completion_length` (Dr. GRPO).
    case drGRPO = "dr_grpo"
    /// The mean over the tokens of the whole optimizer step.
    case dapo
}

/// GRPO's clipped policy loss with an optional k3 penalty, and its derivative with respect to every token's log-prob.
///
/// Per token, with ratio = exp(logp - old) and the completion's advantage A:
/// l = -min(ratio A, clip(ratio, 1 - epsilon, 1 + epsilonHigh) A) + beta kl, where d = reference - logp and kl = exp(d) - d - 1
/// (times the ratio with `biasCorrectedKL`, which makes its gradient that of the reverse KL).
public struct PolicyObjective: Sendable {
    /// How the tokens are averaged.
    public var lossType: LossType
    /// The ratio is clipped below 1 - epsilon.
    public var epsilon: Double
    /// The ratio is clipped above 1 + epsilonHigh.
    public var epsilonHigh: Double
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

    /// The completions of one micro-batch, their tokens one after the other without padding.
    public struct Batch: Sendable {
        /// Where each completion's tokens begin, and after the last where they end: completions + 1 numbers, the first 0.
        public var offsets: [Int]
        /// log p(token | context) of the policy being trained.
        public var logps: [Float]
        /// The same under the policy that made the tokens; nil when that is the present one: every ratio is then exactly 1, and its derivative is too.
        public var oldLogps: [Float]?
        /// The same under the reference policy; needed when beta is not 0.
        public var referenceLogps: [Float]?
        /// Which tokens count; a completion left out (`mask_truncated_completions`) counts none.
        public var mask: [Bool]
        /// One a completion.
        public var advantages: [Double]

        /// A micro-batch; without a mask every token counts.
        public init(
            offsets: [Int], logps: [Float], oldLogps: [Float]? = nil, referenceLogps: [Float]? = nil, mask: [Bool]? = nil, advantages: [Double]
        ) {
            self.offsets = offsets
            self.logps = logps
            self.oldLogps = oldLogps
            self.referenceLogps = referenceLogps
            self.mask = mask ?? Array(repeating: true, count: logps.count)
            self.advantages = advantages
        }

        /// Tokens that count.
        public var lossTokens: Int { mask.count(where: \.self) }
    }

    /// What a micro-batch needs to know about its optimizer step.
    public struct Step: Sendable {
        /// Micro-batches in this optimizer step (fewer than `gradient_accumulation_steps` at an epoch's end).
        public var microBatches: Int
        /// Tokens that count in all of them; `dapo` divides by it.
        public var lossTokens: Int

        /// An optimizer step of so many micro-batches and tokens.
        public init(microBatches: Int, lossTokens: Int) {
            self.microBatches = microBatches
            self.lossTokens = lossTokens
        }
    }

    /// The loss of a micro-batch and what it means for every token.
    public struct Result: Sendable {
        /// This micro-batch's part of the optimizer step's loss: the parts are summed.
        public var loss: Double
        /// d loss / d logp, one a token; 0 where the mask is.
        public var gradient: [Float]
        /// `kl` (only when beta is not 0) and `clip_ratio/...`, under TRL's names; NaN where no token counts.
        public var metrics: [(name: String, value: Double)]
    }

    /// The loss and its derivative, accumulated in Float64 in the order of the tokens.
    public func evaluate(_ batch: Batch, in step: Step) -> Result {
        let completions = batch.advantages.count
        precondition(batch.offsets.count == completions + 1 && batch.offsets.last == batch.logps.count, "offsets, log-probs and advantages agree")
        precondition(batch.mask.count == batch.logps.count, "one mask a token")
        precondition(batch.oldLogps.map { $0.count == batch.logps.count } ?? true, "one old log-prob a token")
        precondition(beta == 0 || batch.referenceLogps?.count == batch.logps.count, "beta needs one reference log-prob a token")

        let weigh = weights(of: batch, in: step)
        var loss = 0.0
        var gradient = [Float](repeating: 0, count: batch.logps.count)
        var kl = 0.0
        var clips = ClipCounts()
        for row in 0..<completions {
            let advantage = batch.advantages[row]
            let tokens = batch.offsets[row]..<batch.offsets[row + 1]
            let counted = batch.mask[tokens].count(where: \.self)
            let weight = weigh(counted)
            clips.beginCompletion(tokens: counted)
            for token in tokens where batch.mask[token] {
                let term = self.term(of: token, in: batch, advantage: advantage)
                loss += term.loss * weight
                gradient[token] = Float(term.derivative * weight)
                kl += term.kl
                if term.ratio < 1 - epsilon && advantage < 0 { clips.countLow() }
                if term.ratio > 1 + epsilonHigh && advantage > 0 { clips.countHigh() }
            }
            clips.endCompletion()
        }
        let klMetric = beta == 0 ? [] : [(name: "kl", value: kl / Double(max(clips.tokens, 1)))]
        return Result(loss: loss, gradient: gradient, metrics: klMetric + clips.metrics)
    }

    /// The weight of each token of a completion, as a function of how many of its tokens count.
    private func weights(of batch: Batch, in step: Step) -> (Int) -> Double {
        let completions = Double(batch.advantages.count)
        let accumulation = Double(step.microBatches)
        switch lossType {
        case .grpo: return { 1 / (Double(max($0, 1)) * completions * accumulation) }
        case .bnpo:
            let weight = 1 / (Double(max(batch.lossTokens, 1)) * accumulation)
            return { _ in weight }
        case .drGRPO:
            let weight = 1 / (completions * Double(maxCompletionLength) * accumulation)
            return { _ in weight }
        case .dapo:
            let weight = 1 / Double(max(step.lossTokens, 1))
            return { _ in weight }
        }
    }

    private struct Term {
        var loss: Double
        /// d loss / d logp.
        var derivative: Double
        var ratio: Double
        var kl: Double
    }

    private func term(of token: Int, in batch: Batch, advantage: Double) -> Term {
        let logp = Double(batch.logps[token])
        let ratio = exp(logp - (batch.oldLogps.map { Double($0[token]) } ?? logp))
        let clipped = min(max(ratio, 1 - epsilon), 1 + epsilonHigh)
        let isFlat = clipped != ratio && clipped * advantage < ratio * advantage
        // d ratio / d logp = ratio, even where the old log-prob is the present one, which counts as a constant.
        var term = Term(loss: -min(ratio * advantage, clipped * advantage), derivative: isFlat ? 0 : -ratio * advantage, ratio: ratio, kl: 0)
        if beta != 0, let reference = batch.referenceLogps {
            let difference = Double(reference[token]) - logp
            let growth = exp(difference)
            let k3 = growth - difference - 1
            term.kl = biasCorrectedKL ? ratio * k3 : k3
            term.loss += beta * term.kl
            term.derivative += beta * (biasCorrectedKL ? ratio * (k3 + 1 - growth) : 1 - growth)
        }
        return term
    }
}

/// How many tokens the clipping has made flat, in all and by completion.
private struct ClipCounts {
    var tokens = 0
    private var low = 0
    private var high = 0
    private var lowestLow = Double.nan
    private var highestHigh = Double.nan
    private var row = (tokens: 0, low: 0, high: 0)

    mutating func beginCompletion(tokens: Int) { row = (tokens, 0, 0) }
    mutating func countLow() { row.low += 1 }
    mutating func countHigh() { row.high += 1 }

    mutating func endCompletion() {
        tokens += row.tokens
        low += row.low
        high += row.high
        guard row.tokens > 0 else { return }
        // IEEE minimum and maximum of a number and NaN are the number.
        lowestLow = Double.minimum(lowestLow, Double(row.low) / Double(row.tokens))
        highestHigh = Double.maximum(highestHigh, Double(row.high) / Double(row.tokens))
    }

    var metrics: [(name: String, value: Double)] {
        let all = Double(max(tokens, 1))
        return [
            ("clip_ratio/low_mean", Double(low) / all), ("clip_ratio/low_min", lowestLow),
            ("clip_ratio/high_mean", Double(high) / all), ("clip_ratio/high_max", highestHigh),
            ("clip_ratio/region_mean", Double(low + high) / all),
        ]
    }
}
