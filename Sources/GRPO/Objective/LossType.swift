/// How a token's part in the loss is formed and how the parts become one loss (`loss_type`).
public enum LossType: String, Sendable, CaseIterable {
    /// The clipped ratio; the mean over completions of each one's mean over its tokens.
    case grpo
    /// The clipped ratio; the mean over the tokens of the micro-batch.
    case bnpo
    /// The clipped ratio; the sum over tokens divided by completions times `max_completion_length` (Dr. GRPO).
    case drGRPO = "dr_grpo"
    /// The clipped ratio; the mean over the tokens of the whole optimizer step.
    case dapo
    /// The log-prob, weighted by a ratio that is cut at `epsilon_high` and has no gradient (MiniMax-M1); averaged as `dapo`.
    case cispo
    /// A sigmoid of the ratio in place of the clipping, narrower for negative advantages; averaged as `grpo`.
    case sapo
    /// The clipped ratio; the mean over completions of each one's sum over its tokens (meant for `importance_sampling_level: sequence`).
    case luspo
    /// The log-prob, weighted by a gamma function of the whole completion's ratio that has no gradient; averaged as `dapo`.
    case vespo

    /// Whether the ratio is clipped to 1 - epsilon ... 1 + epsilon_high.
    var clipsRatio: Bool { [.grpo, .bnpo, .drGRPO, .dapo, .luspo].contains(self) }
}

/// What an importance ratio belongs to (`importance_sampling_level`).
public enum ImportanceSamplingLevel: String, Sendable, CaseIterable {
    /// Each token has its own.
    case token
    /// All tokens of a completion have the geometric mean of theirs (GSPO).
    case sequence
}
