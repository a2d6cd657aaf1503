/// The weight of the entropy bonus from step to step (`entropy_coef`, `use_adaptive_entropy`; Skywork-OR1).
///
/// Adaptive, it grows by `delta` after a step whose entropy was at or below `target` and shrinks after one above; a step has the bonus only if the
/// one before it was at or below the target, the first step none.
struct AdaptiveEntropy: Equatable {
    private(set) var coefficient: Double
    /// The mean entropy of the last step's tokens; infinite before the first.
    private(set) var lastEntropy = Double.infinity

    /// As a configuration begins.
    init(_ configuration: GRPOConfiguration) { coefficient = configuration.entropyCoefficient }

    /// As an earlier run left it.
    init(coefficient: Double, lastEntropy: Double) {
        self.coefficient = coefficient
        self.lastEntropy = lastEntropy
    }

    /// The weight that the next step applies.
    func applied(_ configuration: GRPOConfiguration) -> Double {
        configuration.usesAdaptiveEntropy && lastEntropy > configuration.entropyTarget ? 0 : coefficient
    }

    /// Ends a step whose bonus acted on `tokens` tokens with this sum of entropies.
    mutating func end(sum: Double, tokens: Int, _ configuration: GRPOConfiguration) {
        guard configuration.usesAdaptiveEntropy else { return }
        lastEntropy = sum / Double(max(tokens, 1))
        coefficient =
            lastEntropy <= configuration.entropyTarget
            ? min(coefficient + configuration.entropyCoefficientDelta, configuration.entropyCoefficientMax)
            : max(coefficient - configuration.entropyCoefficientDelta, configuration.entropyCoefficientMin)
    }
}
