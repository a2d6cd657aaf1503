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
    /// Rows of logits that exist at a time in a forward pass: the full logits never do. 128 rows of Qwen2's vocabulary are 78 MB.
    public static let headRows = 128

    /// Outputs of the head whose logits and gradients exist at a time in the backward pass of so many tokens: 16 MB, so that the products find them in a
    /// cache, but not fewer than these take at a time.
    public static func headOutputs(tokens: Int) -> Int { max(1216, (1 << 22) / tokens / 16 * 16) }

    /// What the head reads to predict some of the tokens, [tokens][hidden] of `normed`, a matrix input.
    private func headInputs(_ tokens: Range<Int>, _ packed: PackedGroups, normed: UnsafeRawPointer) -> UnsafeMutableRawPointer {
        let width = configuration.hiddenSize * computeType.byteCount
        let hidden = workspace.hidden.raw(byteCount: tokens.count * width)
        for (i, token) in tokens.enumerated() {
            (hidden + i * width).copyMemory(from: normed + Int(packed.predictors[token]) * width, byteCount: width)
        }
        return hidden
    }

    /// The logits from which some of the tokens come, [tokens][vocabulary].
    func logits(of tokens: Range<Int>, _ packed: PackedGroups, normed: UnsafeRawPointer) -> UnsafeMutablePointer<Float> {
        let logits = workspace.logits.floats(count: tokens.count * configuration.vocabularySize)
        linear.forward([(head, nil, logits)], headInputs(tokens, packed, normed: normed), rows: tokens.count)
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
                        for tokens in chunks(of: packed, rows: Self.headRows) {
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
        let (statistics, count) = (active.statistics, packed.targets.count)
        let input = linear.input(
            headInputs(0..<count, packed, normed: normed), rows: count, width: configuration.hiddenSize, scratch: workspace.packedInput)
        let dHidden = workspace.dHidden.floats(count: count * configuration.hiddenSize)
        var first = 0
        for part in head.parts(rows: workspace.headOutputs ?? Self.headOutputs(tokens: count)) {
            let width = part.rowCount
            let gradient = workspace.logits.floats(count: count * width)
            if logits == nil { linear.forward([(part, nil, gradient)], input.x, rows: count) }
            let rows = (0..<count).map { token in
                logits.map { $0.row(statistics.logitPlaces[token]) + first } ?? UnsafePointer(gradient + token * width)
            }
            ck_log_softmax_backward(
                gradient, rows, count, first, width, 1 / temperature, packed.targets, statistics.logSumExps, statistics.entropies, active.dLogprobs,
                active.dEntropies)
            linear.inputGradient(part, gradient, rows: count, into: dHidden, accumulate: first > 0)
            linear.weightGradient(part, gradient, input, rows: count)
            first += width
        }
        ck_scatter_add(dNormed, packed.predictors, dHidden, count, configuration.hiddenSize)
    }
}
