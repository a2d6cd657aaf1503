import CKernels

/// Log-probabilities and entropies of completion tokens, in the order of the groups, their completions, their tokens.
public struct TokenStatistics: Sendable {
    /// Natural logarithm of each token's probability at the temperature that was asked for.
    public internal(set) var logprobs: [Float] = []
    /// Entropy in nats of the distribution that each token was drawn from.
    public internal(set) var entropies: [Float] = []
    /// log of the sum of exp over the vocabulary: what the backward pass starts from.
    var logSumExps: [Float] = []
    /// Where the logits of each token are kept; empty when they are not.
    var logitPlaces: [Int32] = []

    /// Appends those of some of the other's tokens.
    mutating func append(_ other: TokenStatistics, _ tokens: Range<Int>) {
        logprobs += other.logprobs[tokens]
        entropies += other.entropies[tokens]
        logSumExps += other.logSumExps[tokens]
        if !other.logitPlaces.isEmpty { logitPlaces += other.logitPlaces[tokens] }
    }
}

extension Qwen2Model {
    /// Rows of logits that exist at a time: the full logits never do. 128 rows of Qwen2's vocabulary are 78 MB. Where the head is trained it is four
    /// times as many: each chunk but the first reads and writes all of the head's gradient, 0.5 GB.
    public static func headRows(isTrained: Bool) -> Int { isTrained ? 512 : 128 }

    /// What the head reads to predict some of the tokens, [tokens][hidden] of `normed`, a matrix input, and room for as many logits.
    private func headChunk(
        _ tokens: Range<Int>, _ packed: PackedGroups, normed: UnsafeRawPointer
    ) -> (hidden: UnsafeMutableRawPointer, logits: UnsafeMutablePointer<Float>) {
        let width = configuration.hiddenSize * computeType.byteCount
        let hidden = workspace.hidden.raw(byteCount: tokens.count * width)
        for (i, token) in tokens.enumerated() {
            (hidden + i * width).copyMemory(from: normed + Int(packed.predictors[token]) * width, byteCount: width)
        }
        return (hidden, workspace.logits.floats(count: tokens.count * configuration.vocabularySize))
    }

    /// The logits from which some of the tokens come, [tokens][vocabulary].
    func logits(of tokens: Range<Int>, _ packed: PackedGroups, normed: UnsafeRawPointer) -> UnsafeMutablePointer<Float> {
        let (hidden, logits) = headChunk(tokens, packed, normed: normed)
        linear.forward([(head, nil, logits)], hidden, rows: tokens.count)
        return logits
    }

    /// The tokens that are predicted, so many at a time.
    func chunks(of packed: PackedGroups, rows: Int) -> [Range<Int>] {
        stride(from: 0, to: packed.targets.count, by: rows).map { $0..<min($0 + rows, packed.targets.count) }
    }

    func statistics(of packed: PackedGroups, normed: UnsafeRawPointer, temperature: Float) -> TokenStatistics {
        let count = packed.targets.count
        var result = TokenStatistics(
            logprobs: .init(repeating: 0, count: count), entropies: .init(repeating: 0, count: count), logSumExps: .init(repeating: 0, count: count))
        let targets = packed.targets
        result.logSumExps.withUnsafeMutableBufferPointer { sums in
            result.logprobs.withUnsafeMutableBufferPointer { logprobs in
                result.entropies.withUnsafeMutableBufferPointer { entropies in
                    targets.withUnsafeBufferPointer { targets in
                        guard let sums = sums.baseAddress, let logprobs = logprobs.baseAddress, let entropies = entropies.baseAddress,
                            let targets = targets.baseAddress
                        else { return }
                        for tokens in chunks(of: packed, rows: Self.headRows(isTrained: false)) {
                            let first = tokens.lowerBound
                            ck_log_softmax(
                                logits(of: tokens, packed, normed: normed), tokens.count, configuration.vocabularySize, 1 / temperature,
                                targets + first, sums + first, logprobs + first, entropies + first)
                        }
                    }
                }
            }
        }
        return result
    }

    /// dnormed += and the head's gradient += those of sum of dlogprob * logprob + dentropy * entropy; logits that are not kept are made a second time.
    func backwardHead(
        _ packed: PackedGroups, normed: UnsafeRawPointer, temperature: Float, _ active: ActiveTokens, _ logits: KeptLogits?,
        dNormed: UnsafeMutablePointer<Float>
    ) {
        let statistics = active.statistics
        let hidden = configuration.hiddenSize
        let rows = Self.headRows(isTrained: head.gradientBuffer != nil)
        let dHidden = workspace.dHidden.floats(count: rows * hidden)
        for tokens in chunks(of: packed, rows: rows) {
            let slice = { (array: [Float]) in Array(array[tokens]) }
            let (inputs, gradient) = headChunk(tokens, packed, normed: normed)
            if logits == nil { linear.forward([(head, nil, gradient)], inputs, rows: tokens.count) }
            ck_log_softmax_backward(
                gradient, logits?.rows ?? UnsafePointer(gradient), logits.map { _ in Array(statistics.logitPlaces[tokens]) }, tokens.count,
                configuration.vocabularySize, 1 / temperature, Array(packed.targets[tokens]), slice(statistics.logSumExps),
                slice(statistics.entropies), slice(active.dLogprobs), active.dEntropies.map(slice))
            linear.backward(
                [(head, nil, gradient)], x: inputs, rows: tokens.count, inputs: hidden, dx: dHidden, scratch: workspace.packedInput)
            ck_scatter_add(dNormed, Array(packed.predictors[tokens]), dHidden, tokens.count, hidden)
        }
    }
}
