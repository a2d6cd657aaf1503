/// The tokens at which the policy is least certain (`top_entropy_quantile`, Wang et al. 2025): the policy's loss is theirs alone.
enum HighEntropyTokens {
    /// Which of the tokens that count have an entropy of at least the 1 - `share` quantile of theirs.
    static func mask(_ entropies: [Float], mask: [Bool], share: Double) -> [Bool] {
        let sorted = zip(entropies, mask).filter(\.1).map(\.0).sorted()
        guard !sorted.isEmpty else { return mask }
        let threshold = quantile(sorted, Float(1 - share))
        return zip(entropies, mask).map { $1 && $0 >= threshold }
    }

    /// torch.quantile of sorted numbers, in its FP32 arithmetic, so that a token on the threshold falls on the same side.
    private static func quantile(_ sorted: [Float], _ q: Float) -> Float {
        let rank = q * Float(sorted.count - 1)
        let below = Int(rank)
        let weight = rank - Float(below)
        let (a, b) = (sorted[below], sorted[min(below + 1, sorted.count - 1)])
        return weight < 0.5 ? a + weight * (b - a) : b - (b - a) * (1 - weight)
    }
}
