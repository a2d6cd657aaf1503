import Foundation
import Testing

@testable import Qwen2

/// What is drawn under top_k, top_p, min_p, temperature and repetition_penalty, beside transformers' distributions.
@Suite struct SamplerTests {
    struct Case: Decodable {
        struct Setting: Decodable {
            var temperature, top_p, min_p, repetition_penalty: Float?
            var top_k: Int?
        }
        var setting: Setting
        var logits: [Float]
        var context: [Int32]
        var probabilities: [Double]
    }

    static var cases: [Case] {
        get throws {
            try JSONDecoder().decode([Case].self, from: Data(contentsOf: Golden.directory.appendingPathComponent("sampling.json")))
        }
    }

    /// 5,000 draws: a token that transformers leaves out never comes, any other as often as it says, within five standard deviations.
    @Test func drawsAreThoseOfTransformers() throws {
        let draws = 5_000, cases = try Self.cases
        #expect(cases.count == 26 && cases.contains { $0.probabilities.contains(0) })
        for (number, golden) in cases.enumerated() {
            var parameters = SamplingParameters()
            parameters.temperature = golden.setting.temperature ?? 1
            parameters.topK = golden.setting.top_k ?? 0
            parameters.topP = golden.setting.top_p ?? 1
            parameters.minP = golden.setting.min_p ?? 0
            parameters.repetitionPenalty = golden.setting.repetition_penalty ?? 1
            let sampler = Sampler(parameters: parameters, vocabularySize: golden.logits.count)
            var logits = (0..<draws).flatMap { _ in golden.logits }
            let drawn = sampler.sample(
                &logits, (0..<draws).map { Sampler.Draw(stream: UInt64($0), generation: 0, position: 0, context: golden.context, allowed: nil) })
            var counts = [Double](repeating: 0, count: golden.logits.count)
            for token in drawn.tokens { counts[Int(token)] += 1 }
            for (token, p) in golden.probabilities.enumerated() {
                let expected = Double(draws) * p
                #expect(abs(counts[token] - expected) <= 5 * (expected * (1 - p)).squareRoot(), "case \(number), token \(token)")
            }
        }
    }

    /// Half of the logits are equal, infinite or zero with a sign: what is drawn is never less than the k-th largest.
    @Test func topKOfStrangeLogits() {
        let n = 50_000
        var parameters = SamplingParameters()
        for (k, strange) in [(3, -Float.infinity), (700, 2), (1, -0.0), (20_000, 0), (2 * n, -1)] {
            parameters.topK = k
            let logits = (0..<n).map { $0 % 2 == 0 ? strange : Float(($0 * 7919) % n) / 3000 - 8 }
            let least = logits.sorted(by: >)[min(k, n) - 1]
            let draws = (0..<100).map { Sampler.Draw(stream: $0, generation: 0, position: 0, context: [], allowed: nil) }
            var rows = draws.flatMap { _ in logits }
            let drawn = Sampler(parameters: parameters, vocabularySize: n).sample(&rows, draws)
            #expect(drawn.tokens.allSatisfy { logits[Int($0)] >= least }, "top_k \(k), half of the logits \(strange)")
        }
    }
}
