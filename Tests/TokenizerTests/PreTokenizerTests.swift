import JSON
import Testing

@testable import Tokenizer

/// How each pre-tokenizer cuts one text that has what they tell apart: runs of matches, white space, digits of two scripts, punctuation.
@Suite struct PreTokenizerTests {
    private static let text = "a--b  c-12 ३4!?é. x- "

    /// Components, and what Hugging Face's `pre_tokenize_str` makes of the text with them.
    private static let cuts: [(component: JSONValue, pieces: [String])] = [
        (split("Removed"), ["a", "b  c", "12 ३4!?é. x", " "]),
        (split("Removed", inverted: true), ["-", "-", "-", "-"]),
        (split("Isolated"), ["a", "-", "-", "b  c", "-", "12 ३4!?é. x", "-", " "]),
        (split("Isolated", inverted: true), ["a", "-", "-", "b  c", "-", "12 ३4!?é. x", "-", " "]),
        (split("MergedWithPrevious"), ["a-", "-", "b  c-", "12 ३4!?é. x-", " "]),
        (split("MergedWithPrevious", inverted: true), ["a", "-", "-b  c", "-12 ३4!?é. x", "- "]),
        (split("MergedWithNext"), ["a", "-", "-b  c", "-12 ३4!?é. x", "- "]),
        (split("MergedWithNext", inverted: true), ["a-", "-", "b  c-", "12 ३4!?é. x-", " "]),
        (split("Contiguous"), ["a", "--", "b  c", "-", "12 ३4!?é. x", "-", " "]),
        (split("Contiguous", inverted: true), ["a", "--", "b  c", "-", "12 ३4!?é. x", "-", " "]),
        (["type": "Punctuation", "behavior": "Removed"], ["a", "b  c", "12 ३4", "é", " x", " "]),
        (["type": "Punctuation"], ["a", "-", "-", "b  c", "-", "12 ३4", "!", "?", "é", ".", " x", "-", " "]),
        (["type": "Punctuation", "behavior": "MergedWithPrevious"], ["a-", "-", "b  c-", "12 ३4!", "?", "é.", " x-", " "]),
        (["type": "Punctuation", "behavior": "MergedWithNext"], ["a", "-", "-b  c", "-12 ३4", "!", "?é", ". x", "- "]),
        (["type": "Punctuation", "behavior": "Contiguous"], ["a", "--", "b  c", "-", "12 ३4", "!?", "é", ".", " x", "-", " "]),
        (["type": "Digits", "individual_digits": false], ["a--b  c-", "12", " ", "३4", "!?é. x- "]),
        (["type": "Digits", "individual_digits": true], ["a--b  c-", "1", "2", " ", "३", "4", "!?é. x- "]),
        (["type": "Whitespace"], ["a", "--", "b", "c", "-", "12", "३4", "!?", "é", ".", "x", "-"]),
        (["type": "WhitespaceSplit"], ["a--b", "c-12", "३4!?é.", "x-"]),
        (["type": "Metaspace", "replacement": "▁"], ["▁a--b", "▁", "▁c-12", "▁३4!?é.", "▁x-", "▁"]),
        (["type": "Metaspace", "replacement": "▁", "split": false], ["▁a--b▁▁c-12▁३4!?é.▁x-▁"]),
        (["type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"], ["a--b", "▁", "▁c-12", "▁३4!?é.", "▁x-", "▁"]),
        (["type": "ByteLevel"], ["Ġa", "--", "b", "Ġ", "Ġc", "-", "12", "Ġà¥©4", "!?", "Ã©", ".", "Ġx", "-", "Ġ"]),
        (["type": "ByteLevel", "add_prefix_space": false, "use_regex": false], ["a--bĠĠc-12Ġà¥©4!?Ã©.Ġx-Ġ"]),
    ]

    private static func split(_ behavior: String, inverted: Bool = false) -> JSONValue {
        ["type": "Split", "pattern": ["String": "-"], "behavior": .string(behavior), "invert": .bool(inverted)]
    }

    @Test func cutAsHuggingFaceCuts() throws {
        for (component, expected) in Self.cuts {
            let file: JSONValue = ["pre_tokenizer": component, "model": ["vocab": ["a": 0], "merges": []]]
            let tokenizer = try BPETokenizer(json: file, source: "file.json")
            var pieces: [String] = []
            try Array(Self.text.utf8).withUnsafeBufferPointer { bytes in
                let piece = Piece(text: UTF8Text(bytes: bytes), alignments: nil, originalStart: 0)
                try tokenizer.preTokenizer.forEachPiece(in: piece) { pieces.append(String(decoding: $0.bytes, as: UTF8.self)) }
            }
            #expect(pieces == expected, "\(component.serialized())")
        }
    }

    private func encodes(
        _ file: JSONValue, _ text: String, _ tokens: [String], _ offsets: [Range<Int>], sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let tokenizer = try BPETokenizer(json: file, source: "file.json")
        let encoding = try tokenizer.encodeWithOffsets(text)
        #expect(encoding.ids.map { tokenizer.token(of: $0) } == tokens, "\(text)", sourceLocation: sourceLocation)
        #expect(try tokenizer.encode(text) == encoding.ids, "\(text)", sourceLocation: sourceLocation)
        #expect(encoding.offsets == offsets, "\(text)", sourceLocation: sourceLocation)
    }

    /// A text whose start was stripped does not stand at the start of the whole, as with Hugging Face.
    @Test func metaspaceComesFirstOnlyWhereNothingWasStripped() throws {
        let file: JSONValue = [
            "normalizer": ["type": "Strip", "strip_left": true, "strip_right": true],
            "pre_tokenizer": ["type": "Metaspace", "replacement": "_", "prepend_scheme": "first"],
            "model": ["vocab": ["x": 0, "y": 1, "_": 2], "merges": []],
        ]
        try encodes(file, "x", ["_", "x"], [0..<1, 0..<1])
        try encodes(file, "x ", ["_", "x"], [0..<1, 0..<1])
        try encodes(file, " x", ["x"], [1..<2])
        try encodes(file, "\t x y", ["x", "_", "y"], [2..<3, 3..<4, 4..<5])
    }

    /// What an empty match puts before the text stands for nothing of it: Hugging Face's `ByteLevel` writes its bytes and leaves it there too.
    @Test func whatStandsForNothingIsSpelledAndStays() throws {
        let bytes = (UInt8.min...UInt8.max).map { String(decoding: ByteAlphabet.spelling(of: [$0]), as: UTF8.self) }
        func file(_ tokens: [String]) -> JSONValue {
            let vocabulary = JSONObject(tokens.enumerated().map { ($1, .integer(Int64($0))) })
            return [
                "normalizer": ["type": "Replace", "pattern": ["Regex": "x*"], "content": "▁"],
                "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false], "model": ["vocab": .object(vocabulary), "merges": []],
            ]
        }
        let spelled = ["â", "ĸ", "ģ"]
        let first = Array(repeating: 0..<0, count: 3)
        let second = Array(repeating: 0..<1, count: 3)
        let third = Array(repeating: 1..<2, count: 3)
        try encodes(file(bytes), "ab", spelled + ["a"] + spelled + ["b"] + spelled, first + [0..<1] + second + [1..<2] + third)
        try encodes(file(bytes + ["▁"]), "ab", spelled + ["▁", "a"] + spelled + ["b"] + spelled, first + [0..<0, 0..<1] + second + [1..<2] + third)
        try encodes(file(bytes + ["▁"]), "xa", spelled + ["a"] + spelled, second + [1..<2] + third)
    }
}
