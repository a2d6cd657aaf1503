import CKernels
import Checkpoints

/// Chooses the next token of each row of logits, and tells its log-probability.
///
/// The log-probability is that of the model's distribution at the temperature (1 for greedy), before penalties, truncation and masks: what the
/// trainer's forward pass computes for the same token, bit for bit.
struct Sampler {
    let parameters: SamplingParameters
    let vocabularySize: Int
    let random: CounterRandom
    /// For scores that are not the logits themselves.
    private let scratch = GrowingBuffer()

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
        let uniforms = draws.map { random.uniform(stream: $0.stream, generation: $0.generation, position: $0.position) }
        let changes = parameters.repetitionPenalty != 1 || draws.contains { $0.allowed != nil }
        let scores = changes ? changed(logits, draws) : logits
        entropies.withUnsafeMutableBufferPointer {
            let entropies = keepsEntropy ? $0.baseAddress : nil
            if greedy {
                ck_argmax(&tokens, scores, rows, vocabularySize)
            } else if parameters.keepsAll {
                ck_sample(&tokens, scores, rows, vocabularySize, inverse, uniforms, &sums, &logprobs, entropies)
                if !changes { return }
            } else {
                tokens.withUnsafeMutableBufferPointer { tokens in
                    concurrently(rows) { tokens[$0] = choose(scores + $0 * vocabularySize, inverse, uniforms[$0]) }
                }
            }
            ck_log_softmax(logits, rows, vocabularySize, inverse, tokens, &sums, &logprobs, entropies)
        }
        return Drawn(tokens: tokens, logprobs: logprobs, logSumExps: sums, entropies: entropies)
    }

    /// The logits after the repetition penalty, those of forbidden tokens minus infinity.
    private func changed(_ logits: UnsafePointer<Float>, _ draws: [Draw]) -> UnsafeMutablePointer<Float> {
        let scores = scratch.floats(count: draws.count * vocabularySize)
        concurrently(draws.count) { row in
            let scores = scores + row * vocabularySize
            scores.update(from: logits + row * vocabularySize, count: vocabularySize)
            if parameters.repetitionPenalty != 1 {
                for token in Set(draws[row].context) {
                    let score = scores[Int(token)]
                    scores[Int(token)] = score > 0 ? score / parameters.repetitionPenalty : score * parameters.repetitionPenalty
                }
            }
            if let allowed = draws[row].allowed { for id in 0..<vocabularySize where !allowed[id] { scores[id] = -.infinity } }
        }
        return scores
    }
}
