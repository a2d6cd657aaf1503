extension PolicyObjective {
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
        /// The entropy, in nats, of the distribution each token was drawn from; needed for `top_entropy_quantile` and the entropy bonus.
        public var entropies: [Float]?
        /// Which tokens count; a completion left out (`mask_truncated_completions`) counts none.
        public var mask: [Bool]
        /// One a completion.
        public var advantages: [Double]

        /// A micro-batch; without a mask every token counts.
        public init(
            offsets: [Int], logps: [Float], oldLogps: [Float]? = nil, referenceLogps: [Float]? = nil, entropies: [Float]? = nil, mask: [Bool]? = nil,
            advantages: [Double]
        ) {
            self.offsets = offsets
            self.logps = logps
            self.oldLogps = oldLogps
            self.referenceLogps = referenceLogps
            self.entropies = entropies
            self.mask = mask ?? Array(repeating: true, count: logps.count)
            self.advantages = advantages
        }

        /// Tokens that count.
        public var lossTokens: Int { mask.count(where: \.self) }

        /// The arrays fit each other and hold what the objective reads.
        func check(_ objective: PolicyObjective) {
            precondition(offsets.count == advantages.count + 1 && offsets.last == logps.count, "offsets, log-probs and advantages agree")
            precondition(mask.count == logps.count, "one mask a token")
            precondition(oldLogps.map { $0.count == logps.count } ?? true, "one old log-prob a token")
            precondition(objective.beta == 0 || referenceLogps?.count == logps.count, "beta needs one reference log-prob a token")
            precondition(entropies.map { $0.count == logps.count } ?? (objective.topEntropyQuantile >= 1), "one entropy a token")
        }
    }

    /// What a micro-batch needs to know about its optimizer step.
    public struct Step: Sendable {
        /// Micro-batches in this optimizer step (fewer than `gradient_accumulation_steps` at an epoch's end).
        public var microBatches: Int
        /// Tokens that count in all of them; `dapo`, `cispo` and `vespo` divide by it.
        public var lossTokens: Int
        /// The weight of the entropy bonus in this step; 0 is none.
        public var entropyCoefficient: Double

        /// An optimizer step of so many micro-batches and tokens.
        public init(microBatches: Int, lossTokens: Int, entropyCoefficient: Double = 0) {
            self.microBatches = microBatches
            self.lossTokens = lossTokens
            self.entropyCoefficient = entropyCoefficient
        }
    }

    /// The loss of a micro-batch and what it means for every token.
    public struct Result: Sendable {
        /// This micro-batch's part of the optimizer step's loss: the parts are summed.
        public var loss: Double
        /// The part without the entropy bonus, before it is divided among the micro-batches (TRL's metric `policy_loss`).
        public var policyLoss: Double
        /// d loss / d logp, one a token; 0 where the mask is.
        public var gradient: [Float]
        /// d loss / d entropy, one a token; nil without an entropy bonus.
        public var entropyGradient: [Float]?
        /// The entropies of the tokens that the bonus acts on, summed, and how many they are: what `AdaptiveEntropy` steers by.
        public var entropySum = 0.0
        /// See `entropySum`.
        public var entropyTokens = 0
        /// `kl` (only when beta is not 0), `entropy` (where entropies are given) and `clip_ratio/...` or its like, under TRL's names; NaN where no
        /// token counts.
        public var metrics: [(name: String, value: Double)]
    }
}
