import CKernels

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Draws from what top-k, top-p and min-p leave of a distribution.
extension Sampler {
    /// A token that may be drawn, and how probable it is beside the most probable one.
    private typealias Candidate = (id: Int32, weight: Double)

    /// top-k, then top-p, then min-p, each on what the one before left, as transformers orders them; then a draw among the rest.
    func choose(_ scores: UnsafePointer<Float>, _ inverse: Float, _ uniform: Double) -> Int32 {
        var candidates = parameters.topK > 0 ? likeliest(parameters.topK, scores, inverse) : nucleus(scores, inverse)
        if parameters.topK > 0 && parameters.topP < 1 { cut(&candidates, total: candidates.reduce(0) { $0 + $1.weight }) }
        candidates.removeAll { $0.weight < Double(parameters.minP) }
        var remaining = uniform * candidates.reduce(0) { $0 + $1.weight }
        for candidate in candidates {
            remaining -= candidate.weight
            if remaining < 0 { return candidate.id }
        }
        return candidates.last?.id ?? 0
    }

    /// The k most probable tokens, likeliest first. Ties with the last of them stay, as in transformers.
    private func likeliest(_ k: Int, _ scores: UnsafePointer<Float>, _ inverse: Float) -> [Candidate] {
        // k blocks hold a number that is no less than the k-th largest of the blocks' maxima: what is less is not among the k largest.
        let k = min(k, vocabularySize), block = min(max(vocabularySize / (4 * k), 1), 64), blocks = (vocabularySize + block - 1) / block
        let maxima = [Float](unsafeUninitializedCapacity: blocks) {
            ck_block_maxima($0.baseAddress!, scores, vocabularySize, block)
            $1 = blocks
        }
        let found = sorted(scores, inverse, top: maxima.max() ?? 0, atLeast: largest(k, of: maxima))
        guard found.count > k else { return found }
        return Array(found.prefix { $0.weight >= found[k - 1].weight })
    }

    /// Those that may matter to top-p and min-p, likeliest first: what top-p leaves, or what is no less than min-p.
    private func nucleus(_ scores: UnsafePointer<Float>, _ inverse: Float) -> [Candidate] {
        var top: Float = 0, sum: Float = 0
        ck_block_maxima(&top, scores, vocabularySize, vocabularySize)
        if parameters.topP >= 1 {
            return sorted(scores, inverse, top: top, atLeast: top + Float(log(Double(parameters.minP) * 0.999)) / inverse)
        }
        ck_log_softmax(scores, 1, vocabularySize, inverse, nil, &sum, nil, nil)
        let total = exp(Double(sum) - Double(top * inverse))
        // Deeper and deeper until they reach top-p: seldom far, and few are sorted.
        var depth: Float = 4
        while true {
            var candidates = sorted(scores, inverse, top: top, atLeast: top - depth / inverse)
            if depth > 700 || candidates.reduce(0, { $0 + $1.weight }) >= Double(parameters.topP) * total {
                cut(&candidates, total: total)
                return candidates
            }
            depth *= 2
        }
    }

    /// Leaves the smallest number of the likeliest that reach top-p of `total`.
    private func cut(_ candidates: inout [Candidate], total: Double) {
        var sum = 0.0
        let kept = candidates.prefix { candidate in
            defer { sum += candidate.weight }
            return sum < Double(parameters.topP) * total
        }
        candidates.removeLast(candidates.count - kept.count)
    }

    /// The tokens whose scores are no less than `least`, likeliest first, of equal ones the least id.
    private func sorted(_ scores: UnsafePointer<Float>, _ inverse: Float, top: Float, atLeast least: Float) -> [Candidate] {
        let ids = [Int32](unsafeUninitializedCapacity: vocabularySize) { $1 = ck_at_least($0.baseAddress!, scores, vocabularySize, least) }
        var candidates = ids.map { (id: $0, weight: exp(Double((scores[Int($0)] - top) * inverse))) }
        candidates.removeAll { !($0.weight > 0) }
        candidates.sort { ($0.weight, $1.id) > ($1.weight, $0.id) }
        return candidates
    }

    /// The k-th largest of some numbers, or the least where there are fewer; those that are no numbers do not count. In the time of a few passes,
    /// whatever the numbers: they are counted by eleven bits at a time, from the top, of keys that order as they do.
    private func largest(_ k: Int, of numbers: [Float]) -> Float {
        var keys = numbers.filter { !$0.isNaN }.map { $0.sign == .minus ? ~$0.bitPattern : $0.bitPattern | 1 << 31 }
        guard !keys.isEmpty else { return -.infinity }
        var k = min(k, keys.count)
        for shift in [21, 10, 0] {
            let digit = { (key: UInt32) in Int(key >> shift & 0x7FF) }
            var counts = [Int](repeating: 0, count: 0x800)
            for key in keys { counts[digit(key)] += 1 }
            var kth = 0x7FF
            while k > counts[kth] {
                k -= counts[kth]
                kth -= 1
            }
            keys.removeAll { digit($0) != kth }
        }
        return Float(bitPattern: keys[0] >> 31 == 1 ? keys[0] ^ 1 << 31 : ~keys[0])
    }
}
