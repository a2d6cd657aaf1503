import CKernels

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Chooses the next token of each row of logits, and tells its log-probability.
///
/// The log-probability is that of the model's distribution at the temperature (1 for greedy), before penalties, truncation and masks: what the
/// trainer's forward pass computes for the same token, bit for bit.
struct Sampler {
    let parameters: SamplingParameters
    let vocabularySize: Int
    let random: CounterRandom

    init(parameters: SamplingParameters, vocabularySize: Int) {
        self.parameters = parameters
        self.vocabularySize = vocabularySize
        random = CounterRandom(seed: parameters.seed)
    }

    /// One row's draw: whose random numbers it uses, and what it has seen.
    struct Draw {
        var stream: UInt64
        var generation: UInt32
        var position: UInt32
        /// Prompt and completion so far; read for the repetition penalty only.
        var context: [Int32]
        /// The tokens that may be drawn; nil allows all.
        var allowed: TokenMask?
    }

    /// The tokens drawn, a row each, and what the trainer's forward pass would say of them.
    struct Drawn {
        var tokens: [Int32]
        var logprobs, logSumExps: [Float]
        /// Empty unless they were asked for.
        var entropies: [Float]
    }

    func sample(_ logits: UnsafeMutablePointer<Float>, _ draws: [Draw], keepsEntropy: Bool = false) -> Drawn {
        let rows = draws.count
        let greedy = parameters.temperature == 0
        let inverse = greedy ? 1 : 1 / parameters.temperature
        var tokens = [Int32](repeating: 0, count: rows)
        var logprobs = [Float](repeating: 0, count: rows), sums = logprobs, entropies = keepsEntropy ? logprobs : []
        let asTheyAre = parameters.repetitionPenalty == 1 && draws.allSatisfy { $0.allowed == nil }
        let uniforms = draws.map { random.uniform(stream: $0.stream, generation: $0.generation, position: $0.position) }
        entropies.withUnsafeMutableBufferPointer {
            let entropies = keepsEntropy ? $0.baseAddress : nil
            if asTheyAre && !greedy && parameters.keepsAll {
                ck_sample(&tokens, logits, rows, vocabularySize, inverse, uniforms, &sums, &logprobs, entropies)
                return
            }
            if asTheyAre && greedy {
                ck_argmax(&tokens, logits, rows, vocabularySize)
            } else {
                for (row, draw) in draws.enumerated() {
                    var scores = Array(UnsafeBufferPointer(start: logits + row * vocabularySize, count: vocabularySize))
                    penalize(&scores, draw.context)
                    if let allowed = draw.allowed { for id in scores.indices where !allowed[id] { scores[id] = -.infinity } }
                    tokens[row] = greedy ? argmax(scores) : choose(scores.map { $0 * inverse }, uniforms[row])
                }
            }
            ck_log_softmax(logits, rows, vocabularySize, inverse, tokens, &sums, &logprobs, entropies)
        }
        return Drawn(tokens: tokens, logprobs: logprobs, logSumExps: sums, entropies: entropies)
    }

    private func penalize(_ scores: inout [Float], _ context: [Int32]) {
        guard parameters.repetitionPenalty != 1 else { return }
        for token in Set(context) {
            let score = scores[Int(token)]
            scores[Int(token)] = score > 0 ? score / parameters.repetitionPenalty : score * parameters.repetitionPenalty
        }
    }

    private func argmax(_ scores: [Float]) -> Int32 {
        var best = 0
        for i in scores.indices where scores[i] > scores[best] { best = i }
        return Int32(best)
    }

    /// top-k, then top-p, then min-p, each on what the one before left, as transformers orders them; then a draw among the rest.
    private func choose(_ scores: [Float], _ uniform: Double) -> Int32 {
        let top = scores.max() ?? 0
        let below = scores.map { $0 - top }
        // Ties with the last of the top k stay, as in transformers. Without top-k: tokens this improbable sum to less than what top-p drops, or fall
        // under min-p, so that sorting them would change nothing.
        let floor = max(Double(1 - parameters.topP) / Double(scores.count), Double(parameters.minP)) * 0.999
        let least = parameters.topK > 0 ? largest(parameters.topK, of: below) : Float(log(floor)).nextDown
        var candidates = below.indices.filter { below[$0] >= least }.map { (id: $0, weight: exp(Double(below[$0]))) }
        candidates.removeAll { $0.weight == 0 }
        // Only what leaves some out goes by their order.
        if !parameters.keepsAll { candidates.sort { ($0.weight, $1.id) > ($1.weight, $0.id) } }
        if parameters.topP < 1 {
            let total = parameters.topK > 0 ? candidates.reduce(0) { $0 + $1.weight } : scores.reduce(0) { $0 + exp(Double($1 - top)) }
            var sum = 0.0
            let kept = candidates.prefix { candidate in
                defer { sum += candidate.weight }
                return sum < Double(parameters.topP) * total
            }
            candidates = Array(kept)
        }
        candidates.removeAll { $0.weight < Double(parameters.minP) }
        var remaining = uniform * candidates.reduce(0) { $0 + $1.weight }
        for candidate in candidates {
            remaining -= candidate.weight
            if remaining < 0 { return Int32(candidate.id) }
        }
        return Int32(candidates.last?.id ?? 0)
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
