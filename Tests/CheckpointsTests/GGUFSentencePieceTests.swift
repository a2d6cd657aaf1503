import GGUF
import JSON
import Testing

@testable import Checkpoints

/// Tokenizers of SentencePiece's kind between tokenizer.json, which has merges, and GGUF, which has scores.
@Suite struct GGUFSentencePieceTests {
    private func tokens(_ words: String...) -> [[UInt8]?] { words.map { $0.isEmpty ? nil : Array($0.utf8) } }

    /// All splits of a token are merges; the best score first, then the longer left part.
    @Test func scoresTellTheMerges() throws {
        let vocabulary = tokens("a", "b", "ab", "ba", "aba", "ä", "äb", "", "▁", "▁a")
        let scores: [Float] = [-9, -9, -2, -1, -3, -9, -5, -9, -9, -4]
        let merges = try #require(GGUFSentencePiece.merges(vocabulary, scores: scores))
        #expect(merges.map { [$0.left, $0.right, $0.made] } == [[1, 0, 3], [0, 1, 2], [2, 0, 4], [0, 3, 4], [8, 0, 9], [5, 1, 6]])
        // And back: other numbers, the same order.
        let made = try #require(GGUFSentencePiece.scores(vocabulary, merges: merges))
        #expect(try #require(GGUFSentencePiece.merges(vocabulary, scores: made)).map(\.made) == merges.map(\.made))
        // A split that is missing, or merges of one token that are apart, are no scores' doing.
        #expect(GGUFSentencePiece.scores(vocabulary, merges: Array(merges.dropLast())) == nil)
        #expect(GGUFSentencePiece.scores(vocabulary, merges: [merges[2], merges[0], merges[1]] + merges[3...]) == nil)
    }

    @Test func tokensThatTakeForeverAreRefused() {
        #expect(GGUFSentencePiece.merges([[UInt8](repeating: 97, count: 1 << 20)], scores: [0]) == nil)
    }

    @Test func spacesAreReadInEverySpelling() {
        func adds(_ normalizer: JSONValue, _ splitting: JSONValue = nil) -> Bool? {
            GGUFSentencePiece.addsPrefixSpace(["normalizer": normalizer, "pre_tokenizer": splitting])
        }
        let replace: JSONValue = ["type": "Replace", "pattern": ["String": " "], "content": "▁"]
        let prepend: JSONValue = ["type": "Prepend", "prepend": "▁"]
        #expect(adds(["type": "Sequence", "normalizers": [prepend, replace]]) == true)
        #expect(adds(["type": "Sequence", "normalizers": [replace]]) == false)
        #expect(adds(replace) == false)
        #expect(adds(["type": "NFC"]) == nil)
        func metaspace(_ scheme: String) -> JSONValue {
            ["type": "Metaspace", "replacement": "▁", "prepend_scheme": .string(scheme), "split": false]
        }
        #expect(adds(nil, metaspace("first")) == true && adds(nil, metaspace("always")) == true && adds(nil, metaspace("never")) == false)
        #expect(adds(replace, metaspace("first")) == nil)
        func difference(_ scheme: String) -> String { GGUFSentencePiece.difference(["pre_tokenizer": metaspace(scheme)]) ?? "none" }
        #expect(difference("first").contains("after special tokens") && difference("always").contains("begins with one"))
        #expect(difference("never") == "none" && GGUFSentencePiece.difference(["normalizer": replace]) == nil)
        #expect(adds(nil, ["type": "ByteLevel"]) == nil)
    }
}
