import JSON
import Testing

@testable import Tokenizer

/// Every `tokenizer.json` that cannot be done exactly is refused, with its place.
@Suite struct TokenizerFileTests {
    /// The good file with one thing changed: `path` is keys and, in arrays, indices.
    private func changed(_ path: [String], to value: JSONValue?) throws -> JSONValue {
        func change(_ json: JSONValue, _ path: ArraySlice<String>) throws -> JSONValue {
            guard let key = path.first else { return try #require(value) }
            if case .array(var list) = json {
                let index = key == "+" ? list.count : try #require(Int(key))
                if index == list.count { list.append(.null) }
                list[index] = try change(list[index], path.dropFirst())
                return .array(list)
            }
            var object = json.object ?? JSONObject()
            object[key] = value == nil && path.count == 1 ? nil : try change(object[key] ?? .null, path.dropFirst())
            return .object(object)
        }
        return try change(try Goldens.json("qwen2-tiny.json"), path[...])
    }

    private static func added(_ id: JSONValue, _ content: JSONValue) -> JSONValue {
        ["id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true]
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var path: [String]
        var value: JSONValue?
        var place: String
        var testDescription: String { path.joined(separator: ".") + " " + (value?.serialized().prefix(60) ?? "removed") }

        init(_ path: String, _ value: JSONValue?, _ place: String? = nil) {
            self.path = path.split(separator: ".").map(String.init)
            self.value = value
            self.place = place ?? path
        }
    }

    static let refused: [Case] = [
        Case("version", "2.0"), Case("version", 1.0), Case("version", .null),
        Case("normalizer", ["type": "BertNormalizer"]), Case("normalizer", ["type": "Sequence", "normalizers": [["type": "NFC"], ["type": "Nmt"]]]),
        Case("normalizer", "NFC"), Case("normalizer", ["type": "Sequence"]),
        Case("normalizer", ["type": "Strip", "strip_left": true], "strip_right"),
        Case("normalizer", ["type": "Prepend"], "normalizer.prepend"),
        Case("normalizer", ["type": "Replace", "pattern": "x", "content": ""], "normalizer.pattern"),
        Case("normalizer", ["type": "Replace", "pattern": ["String": "x"]], "normalizer.content"),
        Case("pre_tokenizer", ["type": "BertPreTokenizer"]), Case("pre_tokenizer", ["type": "UnicodeScripts"]),
        Case("pre_tokenizer", ["type": "Metaspace", "replacement": "ab"], "pre_tokenizer.replacement"),
        Case("pre_tokenizer", ["type": "Metaspace", "replacement": "_", "prepend_scheme": "last"], "pre_tokenizer.prepend_scheme"),
        Case("pre_tokenizer", ["type": "Metaspace", "replacement": "_", "add_prefix_space": false], "pre_tokenizer.add_prefix_space"),
        Case("pre_tokenizer", ["type": "Digits"], "pre_tokenizer.individual_digits"),
        Case("pre_tokenizer.pretokenizers.0.behavior", "Merged", "behavior"), Case("pre_tokenizer.pretokenizers.0.invert", nil, "invert"),
        Case("pre_tokenizer.pretokenizers.1.use_regex", 1, "use_regex"),
        Case("post_processor", ["type": "BertProcessing"]),
        Case("post_processor", ["type": "TemplateProcessing", "single": [["SpecialToken": ["id": "<s>"]], ["Sequence": ["id": "A"]]]], "single[0]"),
        Case("post_processor", ["type": "TemplateProcessing", "single": [["Sequence": ["id": "B"]]]], "single[0]"),
        Case(
            "post_processor", ["type": "TemplateProcessing", "single": [["SpecialToken": ["id": "x"]]], "special_tokens": ["x": ["ids": [715]]]],
            "single[0]"),
        Case("decoder", ["type": "Metaspace"]), Case("decoder", ["type": "WordPiece"]), Case("decoder", ["type": "CTC"]),
        Case("decoder", ["type": "Strip", "content": " ", "start": -1, "stop": 0]),
        Case("decoder", ["type": "Replace", "pattern": ["Regex": "a"], "content": ""], "decoder.pattern"),
        Case("model", nil), Case("model.type", "Unigram"), Case("model.type", "WordPiece"), Case("model.type", "WordLevel"),
        Case("model.dropout", 0.1),
        Case("model.byte_fallback", 1),
        Case("model.ignore_merges", "yes"), Case("model.end_of_word_suffix", "</w>"), Case("model.continuing_subword_prefix", "##"),
        Case("model.vocab", []), Case("model.vocab.a", -1, "model.vocab"), Case("model.vocab.a", 1_000_000, "model.vocab"),
        Case("model.vocab.a", 0, "model.vocab"), Case("model.vocab.a", 1.5, "model.vocab"), Case("model.vocab.a", "1", "model.vocab"),
        Case("model.vocab.a", nil, "model.vocab"), Case("model.vocab.日本", 714, "model.vocab"), Case("model.vocab.new", 715, "model.vocab"),
        Case("model.merges", nil), Case("model.merges.3", "a", "model.merges[3]"), Case("model.merges.3", "a b c", "model.merges[3]"),
        Case("model.merges.3", ["a"], "model.merges[3]"), Case("model.merges.3", ["a", "b", "c"], "model.merges[3]"),
        Case("model.merges.3", 5, "model.merges[3]"), Case("model.merges.3", ["a", "zzzqqq"], "model.merges[3]"),
        Case("model.merges.3", ["z", "q"], "model.merges[3]"), Case("model.merges.3", ["", "a"], "model.merges[3]"),
        Case("added_tokens", "x"), Case("added_tokens.+", added(5, "<x>"), "added_tokens[14].id"),
        Case("added_tokens.+", added(900, "<x>"), "added_tokens[14].id"),
        Case("added_tokens.+", added(-1, "<x>"), "added_tokens[14].id"), Case("added_tokens.+", added(2_147_483_648, "<x>"), "added_tokens[14].id"),
        Case("added_tokens.+", added(714, ""), "added_tokens[14].content"),
        Case("added_tokens.+", added(714, "<|im_end|>"), "added_tokens[14].content"),
        Case("added_tokens.+", added(714, .string(String(repeating: "x", count: 1 << 20))), "added_tokens[14].content"),
        Case("added_tokens.+", added(714, "a"), "added_tokens"), Case("added_tokens.+.id", 714, "added_tokens[14].content"),
        Case("added_tokens.0.lstrip", nil, "added_tokens[0].lstrip"),
    ]

    @Test(arguments: refused)
    func isRefused(_ bad: Case) throws {
        let json = try changed(bad.path, to: bad.value)
        let error = #expect(throws: TokenizerError.self) { try BPETokenizer(json: json, source: "file.json") }
        let line = error?.description ?? ""
        #expect(line.hasPrefix("file.json: ") && line.contains(bad.place) && !line.contains("\n") && line.utf8.count < 600, "\(line)")
    }

    /// What is not supported is named, so that whoever reads the error knows what the file wants.
    @Test(arguments: [
        ("model.type", "Unigram"), ("model.type", "WordPiece"), ("model.type", "WordLevel"), ("normalizer", "BertNormalizer"),
        ("normalizer", "Precompiled"),
        ("normalizer", "StripAccents"), ("normalizer", "Nmt"), ("normalizer", "ByteLevel"), ("pre_tokenizer", "BertPreTokenizer"),
        ("pre_tokenizer", "UnicodeScripts"), ("pre_tokenizer", "CharDelimiterSplit"), ("pre_tokenizer", "FixedLength"),
        ("post_processor", "BertProcessing"), ("post_processor", "RobertaProcessing"), ("decoder", "WordPiece"), ("decoder", "CTC"),
        ("decoder", "BPEDecoder"),
    ])
    func isRefusedByName(place: String, name: String) throws {
        let path = place.split(separator: ".").map(String.init)
        let json = try changed(path, to: path.count == 2 ? .string(name) : ["type": .string(name)])
        let error = #expect(throws: TokenizerError.self) { try BPETokenizer(json: json, source: "file.json") }
        #expect(error?.description.contains("\(place): ") == true && error?.description.contains("'\(name)' is not supported") == true)
    }

    /// Expressions that would not mean in PCRE2 what they mean in Oniguruma, or that are too much.
    static let refusedPatterns = [
        "(", "[", "a{2}+", #"\K"#, #"\X"#, "[a[bc]]", "[a&&b]", "a(?i)b", "(?<name>a)", "(?~a)", #"\p{Nonsense}"#, #"[\W]"#, #"\xE9"#, #"\g<1>"#,
        "(?<=a*)b", "a)",
        String(repeating: "(", count: 200) + String(repeating: ")", count: 200), String(repeating: "a", count: 1 << 17),
        "(((((a{999}){999}){999}){999}){999})",
        #"\"#, "[a", "(?#", "(?", #"\x{110000}"#, #"\u12"#, "[[:alpha:]]",
    ]

    @Test(arguments: refusedPatterns)
    func patternIsRefused(_ pattern: String) throws {
        let json = try changed(["pre_tokenizer", "pretokenizers", "0", "pattern", "Regex"], to: .string(pattern))
        let error = #expect(throws: TokenizerError.self) { try BPETokenizer(json: json, source: "file.json") }
        let line = error?.description ?? ""
        #expect(line.contains("pre_tokenizer.pretokenizers[0].pattern.Regex") && !line.contains("\n") && line.utf8.count < 700, "\(line)")
    }

    @Test func aPatternThatExplodesEndsWithAnError() throws {
        let json = try changed(["pre_tokenizer", "pretokenizers", "0", "pattern", "Regex"], to: #"(?:(a|aa)+)+\z(?<!a)"#)
        let tokenizer = try BPETokenizer(json: json, source: "file.json")
        let time = ContinuousClock().measure {
            let error = #expect(throws: TokenizerError.self) { try tokenizer.encode(String(repeating: "a", count: 5000)) }
            #expect(error?.description.contains("too many steps") == true)
        }
        #expect(time < .seconds(5))
        #expect(try tokenizer.decode(tokenizer.encode("hello")) == "hello")
    }

    @Test func stepsThatMultiplyATextAreRefused() throws {
        let doubling: JSONValue = ["type": "Replace", "pattern": ["String": "a"], "content": "aaaaaaaaaaaaaaaa"]
        let between: JSONValue = ["type": "Replace", "pattern": ["Regex": "x*"], "content": "aaaaaaaaaaaaaaa"]
        let prefix: JSONValue = ["type": "Prepend", "prepend": "aaaaaaaaaaaaaaa"]
        let spelling: JSONValue = ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false]
        let spaced: JSONValue = ["type": "ByteLevel", "add_prefix_space": true, "use_regex": false]
        let meta: JSONValue = ["type": "Metaspace", "replacement": "▁"]
        func read(_ section: String, _ list: String, _ step: JSONValue, _ count: Int) throws -> BPETokenizer {
            let sequence: JSONValue = ["type": "Sequence", list: .array(Array(repeating: step, count: count))]
            return try BPETokenizer(json: try changed([section], to: sequence), source: "file.json")
        }
        // The most of each that is allowed, 16 and 4 and 2 times a step; one more is too much.
        let most: [(String, String, JSONValue, Int)] = [
            ("normalizer", "normalizers", doubling, 3), ("normalizer", "normalizers", between, 3), ("normalizer", "normalizers", prefix, 3),
            ("pre_tokenizer", "pretokenizers", spelling, 14), ("pre_tokenizer", "pretokenizers", spaced, 7),
            ("pre_tokenizer", "pretokenizers", meta, 7), ("decoder", "decoders", doubling, 3),
        ]
        for (section, list, step, count) in most {
            _ = try read(section, list, step, count).encode("aaa é")
            let error = #expect(throws: TokenizerError.self) { try read(section, list, step, count + 1) }
            #expect(error?.description.contains("\(section).\(list)[\(count)]: the steps together could make a text") == true)
        }
        // Normalizers and pre-tokenizers count together.
        let both = try changed(["normalizer"], to: ["type": "Sequence", "normalizers": [doubling, doubling, doubling]])
        var file = try #require(both.object)
        file["pre_tokenizer"] = ["type": "Sequence", "pretokenizers": .array(Array(repeating: spelling, count: 3))]
        #expect(throws: TokenizerError.self) { try BPETokenizer(json: .object(file), source: "file.json") }
    }

    @Test func aTextThatStepsMakeTooLongEndsWithAnError() throws {
        let thousand: JSONValue = ["type": "Replace", "pattern": ["String": "a"], "content": .string(String(repeating: "b", count: 1024))]
        let tokenizer = try BPETokenizer(json: try changed(["normalizer"], to: thousand), source: "file.json")
        let error = #expect(throws: TokenizerError.self) { try tokenizer.encode(String(repeating: "a", count: 1 << 18 + 1)) }
        #expect(error?.description.contains("more than the 268435456 allowed") == true)
        #expect(try tokenizer.encode("cac").count > 100)
    }

    static let accepted: [Case] = [
        Case("normalizer", nil), Case("normalizer", ["type": "Sequence", "normalizers": [["type": "NFC"]]]), Case("post_processor", nil),
        Case("post_processor", ["type": "TemplateProcessing", "single": [["Sequence": ["id": "A", "type_id": 0]]], "special_tokens": [:]]),
        Case("truncation", ["max_length": 2]), Case("model.unk_token", "<|endoftext|>"), Case("model.dropout", 0.0), Case("model.type", nil),
        Case("added_tokens.+", added(714, "<new>")), Case("pre_tokenizer", nil), Case("pre_tokenizer", ["type": "Sequence", "pretokenizers": []]),
        Case("pre_tokenizer.pretokenizers.1.use_regex", true), Case("pre_tokenizer.pretokenizers.0.behavior", "Contiguous"),
        Case("model.byte_fallback", true), Case("model.ignore_merges", true),
    ]

    @Test(arguments: accepted)
    func isAccepted(_ good: Case) throws {
        let tokenizer = try BPETokenizer(json: try changed(good.path, to: good.value), source: "file.json")
        let ids = try tokenizer.encode("hello")
        #expect(tokenizer.decode(ids) == "hello")
    }

    @Test func aTokenStandsOnce() throws {
        let text = try changed(["added_tokens"], to: []).serialized()
        // The same token in two spellings: only the table of all tokens can tell.
        let twice = text.replacing("\"vocab\":{", with: "\"vocab\":{\"\\u0061b\":720,", maxReplacements: 1)
        let error = #expect(throws: TokenizerError.self) { try BPETokenizer(Array(twice.utf8), source: "file.json") }
        #expect(error?.description.contains("twice") == true, "\(error?.description ?? "")")
        let once = text.replacing("\"vocab\":{", with: "\"vocab\":{\"\\u0061\\u4e2db\":720,", maxReplacements: 1)
        #expect(try BPETokenizer(Array(once.utf8), source: "file.json").decode([720]) == "a中b")
    }

    @Test func mergesThatNoTextLeadsToCountInTheRanks() throws {
        // Behind ByteLevel no text has these characters; what they make must be in the vocabulary all the same.
        let pieces = ["日": 720, "本": 721, "日本": 722, "日a": 723]
        var vocabulary = try #require(try Goldens.json("qwen2-tiny.json")["model"]?["vocab"]?.object)
        for (piece, id) in pieces { vocabulary[piece] = .integer(Int64(id)) }
        func tokenizer(_ merge: JSONValue) throws -> BPETokenizer {
            let json = try changed(["model", "vocab"], to: .object(vocabulary))
            let merges = [merge] + (json["model"]?["merges"]?.array ?? [])
            var model = json["model"]?.object ?? JSONObject()
            model["merges"] = .array(merges)
            var file = json.object ?? JSONObject()
            file["model"] = .object(model)
            file["added_tokens"] = []
            return try BPETokenizer(json: .object(file), source: "file.json")
        }
        let plain = try Goldens.tokenizer("qwen2-tiny")
        for merge: JSONValue in [["日", "本"], ["日", "a"]] {
            #expect(try tokenizer(merge).encode("the 日本 ab aab") == plain.encode("the 日本 ab aab"))
        }
        for merge: JSONValue in [["本", "日"], ["日", "月"]] {
            let error = #expect(throws: TokenizerError.self) { try tokenizer(merge) }
            #expect(error?.description.contains("model.merges[0]") == true)
        }
    }

    @Test func filesThatAreNotTokenizersAreRefused() {
        for json: JSONValue in [nil, [], [:], "x", ["model": [:]], ["model": 3]] {
            #expect(throws: TokenizerError.self) { try BPETokenizer(json: json, source: "x") }
        }
        for path in ["/nonexistent/tokenizer.json", "/", "/dev/zero", #filePath] {
            #expect(throws: TokenizerError.self) { try BPETokenizer(contentsOf: path) }
        }
    }
}
