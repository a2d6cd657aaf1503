import Foundation
import Testing

@testable import Tokenizer

/// Not a test but a measurement, for `scripts/oracles/tokenizer_speed.py`: loads GRPO_MODEL's tokenizer and encodes the files that
/// GRPO_TOKENIZER_TEXTS names (with colons between them), on one thread.
@Suite struct SpeedTests {
    static let texts = ProcessInfo.processInfo.environment["GRPO_TOKENIZER_TEXTS"]

    @Test(.enabled(if: texts != nil, "a measurement, run by scripts/oracles/tokenizer_speed.py")) func speed() throws {
        let texts = try #require(Self.texts)
        let path = try #require(Goldens.realTokenizerPath)
        let clock = ContinuousClock()
        func median(_ body: () throws -> Void) rethrows -> Double {
            try (0..<7).map { _ in try clock.measure(body) }.sorted()[3] / .seconds(1)
        }
        var tokenizer = try BPETokenizer(contentsOf: path)
        print("SPEED load", try median { tokenizer = try BPETokenizer(contentsOf: path) })
        for file in texts.split(separator: ":") {
            let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: String(file))), as: UTF8.self)
            var ids: [Int32] = []
            let seconds = try median { ids = try tokenizer.encode(text) }
            // A sum over all ids and their places, modulo 2^64, so that both sides are seen to have done the same.
            print("SPEED", file, seconds, ids.count, ids.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) })
        }
    }
}
