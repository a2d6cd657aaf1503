import JSON
import Testing

@testable import Tokenizer

/// Batches, truncation, and files that are damaged.
@Suite struct BatchTests {
    @Test func aBatchIsItsTextsOneByOne() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        let texts = (0..<300).map { String(repeating: "héllo 社区 <|im_end|> ", count: $0 % 17) }
        let alone = try texts.map { try tokenizer.encode($0) }
        for threads in [nil, 1, 2, 7, 1000] { #expect(try tokenizer.encode(batch: texts, threads: threads) == alone) }
        #expect(try tokenizer.encode(batch: []) == [])
    }

    @Test func truncationKeepsEitherEnd() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        let text = "one two three four five"
        let (ids, whole) = (try tokenizer.encode(text), try tokenizer.encodeWithOffsets(text))
        for length in [0, 1, 3, ids.count, ids.count + 5] {
            #expect(try tokenizer.encode(text, truncation: Truncation(maxLength: length)) == Array(ids.prefix(length)))
            let last = try tokenizer.encodeWithOffsets(text, truncation: Truncation(maxLength: length, side: .left))
            #expect(last.ids == Array(ids.suffix(length)) && last.offsets == Array(whole.offsets.suffix(length)))
        }
    }

    @Test func specialTokensCountInATruncatedText() throws {
        var json = try #require(try Goldens.json("qwen2-tiny.json").object)
        json["post_processor"] = [
            "type": "TemplateProcessing", "single": [["SpecialToken": ["id": "b"]], ["Sequence": ["id": "A"]], ["SpecialToken": ["id": "e"]]],
            "special_tokens": ["b": ["ids": [5]], "e": ["ids": [6, 7]]],
        ]
        let tokenizer = try BPETokenizer(json: .object(json), source: "x")
        let ids = try tokenizer.encode("hello world")
        #expect(try tokenizer.encode("hello world", addSpecialTokens: true) == [5] + ids + [6, 7])
        let short = try tokenizer.encodeWithOffsets("hello world", addSpecialTokens: true, truncation: Truncation(maxLength: 5))
        #expect(short.ids == [5] + ids.prefix(2) + [6, 7] && short.offsets[0] == 0..<0 && short.offsets[4] == 0..<0)
        #expect(try tokenizer.encode("hello world", addSpecialTokens: true, truncation: Truncation(maxLength: 1)) == [5, 6, 7])
    }

    @Test func aTemplateMayLeaveTheTextOut() throws {
        var json = try #require(try Goldens.json("qwen2-tiny.json").object)
        json["post_processor"] = [
            "type": "TemplateProcessing", "single": [["SpecialToken": ["id": "b"]]], "special_tokens": ["b": ["ids": [5]]],
        ]
        let tokenizer = try BPETokenizer(json: .object(json), source: "x")
        for (special, ids) in [(false, []), (true, [5])] as [(Bool, [Int32])] {
            #expect(try tokenizer.encode("hello world", addSpecialTokens: special) == ids)
            #expect(try tokenizer.encodeWithOffsets("hello world", addSpecialTokens: special).ids == ids)
        }
    }

    /// Hugging Face's tokenizers take white space off the end of a token's range only if the text up to there has as many characters.
    @Test func offsetsAreTrimmedAsHuggingFaceTrims() throws {
        let file: JSONValue = [
            "normalizer": ["type": "Replace", "pattern": ["String": "x"], "content": "a   "],
            "post_processor": ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true],
            "model": [
                "vocab": ["a": 0, " ": 1, "  ": 2, "   ": 3, "a   ": 4, "b": 5], "merges": [[" ", " "], ["  ", " "], ["a", "   "]],
            ],
        ]
        let tokenizer = try BPETokenizer(json: file, source: "file.json")
        for (text, offsets) in [
            ("x", [0..<1]), ("bbbx", [0..<1, 1..<2, 2..<3, 3..<3]), ("bx", [0..<1, 1..<2]), ("bbx", [0..<1, 1..<2, 2..<2]), ("xb", [0..<1, 1..<2]),
            ("a   ", [0..<1]), ("ba   ", [0..<1, 1..<2]),
        ] {
            #expect(try tokenizer.encodeWithOffsets(text).offsets == offsets, "\(text)")
        }
    }

    @Test func offsetsCoverWhatTheIdsStandFor() throws {
        let tokenizer = try Goldens.tokenizer("gpt2-tiny")
        let text = "héllo 社区 🥳\n  x"
        let encoding = try tokenizer.encodeWithOffsets(text)
        let bytes = Array(text.utf8)
        for (id, range) in zip(encoding.ids, encoding.offsets) {
            let own = Array(try #require(tokenizer.model.vocabulary.bytes(of: id)))
            let covered = Array(bytes[range])
            #expect(covered.count >= own.count && (0...covered.count - own.count).contains { Array(covered[$0..<$0 + own.count]) == own })
        }
        #expect(encoding.offsets.first?.lowerBound == 0 && encoding.offsets.last?.upperBound == bytes.count)
    }

    @Test func offsetsOfALongPieceLieEndToEnd() throws {
        // A piece of 300 letters is merged by the heap.
        let tokenizer = try Goldens.tokenizer("gpt2-tiny")
        let text = String((0..<300).map { "abcdefghij"[String.Index(utf16Offset: $0 * $0 % 10, in: "abcdefghij")] })
        let encoding = try tokenizer.encodeWithOffsets(text)
        var end = 0
        for (id, range) in zip(encoding.ids, encoding.offsets) {
            let own = try #require(tokenizer.model.vocabulary.bytes(of: id))
            #expect(range == end..<end + own.count)
            end = range.upperBound
        }
        #expect(end == 300 && encoding.ids.count < 300)
    }

    @Test(arguments: UInt64(1)...10)
    func aDamagedFileIsReadOrRefused(seed: UInt64) throws {
        var generator = SeededGenerator(state: seed)
        let good = Array(try Goldens.json("qwen2-tiny.json").serialized().utf8)
        // The big members make up most of the file: half of the damage goes to the small ones around them.
        let vocab = try #require(good.firstRange(of: Array("\"vocab\"".utf8))).lowerBound
        for _ in 0..<100 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<(Bool.random(using: &generator) ? vocab : bytes.count), using: &generator) % bytes.count
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert("{}[]\",:\\0-9eu".utf8.randomElement(using: &generator) ?? 0, at: place)
                case 3: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...200, using: &generator)))
                default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 100)], at: place)
                }
            }
            do throws(TokenizerError) {
                let tokenizer = try BPETokenizer(bytes, source: "damaged")
                let ids = (try? tokenizer.encode("Hello 社区 12 <|im_end|> é\u{301}")) ?? []
                _ = tokenizer.decode(ids + [0, -1, 100_000], skipSpecialTokens: true)
                // What is read is JSON to the strict reader as well.
                #expect((try? JSONValue.parse(bytes, source: "damaged")) != nil)
            } catch {
                #expect(!error.description.contains("\n") && error.description.hasPrefix("damaged: "))
            }
        }
    }
}
