import CKernels

/// How far a model's next-token distributions are from a reference's, token by token.
public struct Divergence: Sendable {
    /// Kullback-Leibler divergence in nats, sum over the vocabulary of p (log p - log q), p the reference's: what is lost by taking q for p.
    public internal(set) var divergences: [Float] = []
    /// Whether both think the same id most probable.
    public internal(set) var agreements: [Bool] = []
    /// Log-probability of each token by the reference and by the model.
    public internal(set) var referenceLogprobs: [Float] = [], logprobs: [Float] = []

    init(divergences: [Float], agreements: [Bool], referenceLogprobs: [Float], logprobs: [Float]) {
        (self.divergences, self.agreements, self.referenceLogprobs, self.logprobs) = (divergences, agreements, referenceLogprobs, logprobs)
    }

    /// Of no tokens.
    public init() {}

    /// Adds the tokens of another text.
    public mutating func append(_ other: Divergence) {
        divergences += other.divergences
        agreements += other.agreements
        referenceLogprobs += other.referenceLogprobs
        logprobs += other.logprobs
    }
}

extension Qwen2Model {
    /// Compares the distributions from which every completion token of the groups comes with those of another model with the same vocabulary.
    public func divergence(from reference: Qwen2Model, on groups: [TokenGroup]) -> Divergence {
        let n = configuration.vocabularySize
        precondition(reference.configuration.vocabularySize == n, "models of one vocabulary are compared")
        let packed = PackedGroups(groups)
        let (own, theirs) = (outputs(of: packed), reference.outputs(of: packed))
        var result = Divergence()
        for tokens in chunks(of: packed, rows: Self.headRows) {
            let targets = Array(packed.targets[tokens])
            let q = logits(of: tokens, packed, normed: own), p = reference.logits(of: tokens, packed, normed: theirs)
            func normalized(_ logits: UnsafePointer<Float>) -> (sums: [Float], logprobs: [Float]) {
                var sums = [Float](repeating: 0, count: targets.count), logprobs = sums
                ck_log_softmax(logits, targets.count, n, 1, targets, &sums, &logprobs, nil)
                return (sums, logprobs)
            }
            let (pSums, pLogprobs) = normalized(p), (qSums, qLogprobs) = normalized(q)
            var divergences = [Float](repeating: 0, count: targets.count), agreements = [UInt8](repeating: 0, count: targets.count)
            ck_divergence(p, pSums, q, qSums, targets.count, n, &divergences, &agreements)
            result.append(
                Divergence(divergences: divergences, agreements: agreements.map { $0 == 1 }, referenceLogprobs: pLogprobs, logprobs: qLogprobs))
        }
        return result
    }
}
