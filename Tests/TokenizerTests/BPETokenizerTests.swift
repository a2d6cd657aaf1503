import JSON
import Testing

@testable import Tokenizer

@Suite struct BPETokenizerTests {
    @Test(arguments: ["qwen2-tiny", "gpt2-tiny"])
    func encodesAndDecodesAsHuggingFace(name: String) throws {
        let tokenizer = try Goldens.tokenizer(name)
        let golden = try Goldens.json("\(name).golden.json")
        let encoded = try #require(golden["encode"]?.array)
        for row in encoded {
            let text = try #require(row["text"]?.string)
            let ids = try #require(row["ids"]).ids
            #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)")
            #expect(try tokenizer.encode(utf8: Array(text.utf8)) == ids)
            #expect(try tokenizer.encode(text, allowSpecial: false) == row["plain"]?.ids ?? ids, "\(text.debugDescription)")
        }
        let decoded = try #require(golden["decode"]?.array)
        for row in decoded {
            let ids = try #require(row["ids"]).ids
            #expect(same(tokenizer.decode(ids), row["text"]?.string), "\(ids)")
            #expect(same(tokenizer.decode(ids, skipSpecialTokens: true), (row["skipped"] ?? row["text"])?.string), "\(ids)")
        }
        #expect(encoded.count > 400 && decoded.count > 900)
    }

    @Test(arguments: ["qwen2-tiny", "gpt2-tiny"])
    func cutsIntoTheSamePieces(name: String) throws {
        let tokenizer = try Goldens.tokenizer(name)
        let rows = try #require(try Goldens.json("\(name).golden.json")["split"]?.array)
        for row in rows {
            let text = try #require(row["text"]?.string)
            var pieces: [[UInt8]] = []
            try Array(text.utf8).withUnsafeBufferPointer { bytes in
                let piece = Piece(text: UTF8Text(bytes: bytes), alignments: nil, originalStart: 0)
                try tokenizer.preTokenizer.forEachPiece(in: piece) { pieces.append(Array($0.bytes)) }
            }
            #expect(pieces == row["pieces"]?.array?.map { Array(($0.string ?? "").utf8) }, "\(text.debugDescription)")
        }
        #expect(rows.count == 250)
    }

    @Test func encodesAsHuggingFaceWithTheRealVocabulary() throws {
        guard let path = Goldens.realTokenizerPath else {
            print("SKIPPED: no real tokenizer.json; set GRPO_MODEL to a Qwen2.5 checkpoint directory to compare with it")
            return
        }
        let tokenizer = try BPETokenizer(contentsOf: path)
        for row in try #require(try Goldens.json("qwen2.5.golden.json")["encode"]?.array) {
            let text = try #require(row["text"]?.string)
            let normalized = try #require(row["ids"]).ids
            let ids = !tokenizer.normalizers.isEmpty ? normalized : row["without_nfc"]?.ids ?? normalized
            #expect(try tokenizer.encode(text) == ids, "\(text.debugDescription)")
        }
        #expect(tokenizer.decode([55336, 76952, 122, 23836, 99491, 105266]) == "Swift 社区非常活跃")
        #expect(try tokenizer.encode("Who are you?") == [15191, 525, 498, 30])
        #expect(tokenizer.id(of: "<|im_end|>") == 151645)
        #expect(tokenizer.isSpecial(151645) && !tokenizer.isSpecial(30))
    }

    @Test func spellsEveryTokenAndFindsItAgain() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        for id in 0..<Int32(tokenizer.vocabularySize) {
            let spelling = try #require(tokenizer.token(of: id))
            #expect(tokenizer.id(of: spelling) == id)
        }
        #expect(tokenizer.token(of: Int32(tokenizer.vocabularySize)) == nil && tokenizer.token(of: -1) == nil)
        #expect(tokenizer.id(of: "no such token") == nil)
        let space = try tokenizer.encode(" ").first
        #expect(tokenizer.id(of: "Ġ") == space)
    }

    @Test func idsOutsideTheVocabularyAreSkipped() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        let ids = try tokenizer.encode("hello")
        #expect(tokenizer.decode([-1] + ids + [.max, .min, Int32(tokenizer.vocabularySize)]) == "hello")
        #expect(tokenizer.decode([]) == "")
    }

    @Test(arguments: UInt64(1)...20)
    func anyBytesEncodeAndComeBack(seed: UInt64) throws {
        let tokenizer = try Goldens.tokenizer("gpt2-tiny")
        var generator = SeededGenerator(state: seed)
        for _ in 0..<50 {
            let bytes = (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            // This tokenizer does not normalise, so what is valid comes back as it was.
            #expect(same(tokenizer.decode(try tokenizer.encode(utf8: bytes)), String(decoding: bytes, as: UTF8.self)))
        }
    }

    @Test func piecesOfZerosAreToldApart() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        // Zeros fill up the key of a cached piece, so that only the length tells these from each other.
        let runs = (1...20).map { String(repeating: "\0", count: $0) }
        let alone = try runs.map { try tokenizer.encode($0) }
        let one = try tokenizer.encode("1")
        #expect(try tokenizer.encode((runs + runs).joined(separator: "1")) == Array((alone + alone).joined(separator: one)))
    }

    /// A character of several bytes is taken as a whole only where no merge across its start or end comes before it is made; as Hugging Face does.
    @Test func mergesAcrossTheEndsOfACharacterComeFirst() throws {
        let tokens = (UInt8.min...UInt8.max).map { ByteAlphabet.spelling(of: [$0]) } + ["©a", "bÃ", "Ã©"].map { Array($0.utf8) }
        let ids = Dictionary(uniqueKeysWithValues: tokens.enumerated().map { (String(decoding: $1, as: UTF8.self), Int32($0)) })
        let file: JSONValue = [
            "pre_tokenizer": ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
            "model": ["vocab": .object(JSONObject(ids.map { ($0, .integer(Int64($1))) })), "merges": [["©", "a"], ["b", "Ã"], ["Ã", "©"]]],
        ]
        let tokenizer = try BPETokenizer(json: file, source: "file.json")
        for (text, expected) in [
            ("é", ["Ã©"]), ("aéb", ["a", "Ã©", "b"]), ("éé", ["Ã©", "Ã©"]), ("éa", ["Ã", "©a"]), ("bé", ["bÃ", "©"]), ("béa", ["bÃ", "©a"]),
            ("bbéaa", ["b", "bÃ", "©a", "a"]),
        ] {
            #expect(try tokenizer.encode(text) == expected.map { ids[$0] }, "\(text)")
        }
    }

    /// With `ignore_merges` a piece that is in the vocabulary is its id, though merges would make others of it.
    @Test(arguments: [(false, [3, 2, 3, 2, 2, 3, 2, 4]), (true, [5, 3, 2, 2, 3, 2, 4])] as [(Bool, [Int32])])
    func wholePiecesComeFirstWhereMergesAreIgnored(ignores: Bool, ids: [Int32]) throws {
        let file: JSONValue = [
            "pre_tokenizer": ["type": "WhitespaceSplit"],
            "model": [
                "vocab": ["a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5], "merges": [["a", "b"], ["b", "c"]], "ignore_merges": .bool(ignores),
            ],
        ]
        #expect(try BPETokenizer(json: file, source: "file.json").encode("abc abcc ab cbc") == ids)
    }

    @Test func aLastPieceThatVanishesTakesNothing() throws {
        // 64 ids fill what is set aside for them; behind them comes a piece of none.
        let file: JSONValue = ["pre_tokenizer": ["type": "WhitespaceSplit"], "model": ["vocab": ["a": 0], "merges": []]]
        let tokenizer = try BPETokenizer(json: file, source: "file.json")
        for count in 60...70 { #expect(try tokenizer.encode(String(repeating: "a", count: count) + " é é") == Array(repeating: 0, count: count)) }
    }

    @Test func aMegabyteOfOneLetterIsNotQuadratic() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        let clock = ContinuousClock()
        for text in [String(repeating: "a", count: 1 << 20), String(repeating: " ", count: 1 << 20), String(repeating: "e\u{301}", count: 1 << 19)] {
            var ids: [Int32] = []
            let time = clock.measure { ids = (try? tokenizer.encode(text, allowSpecial: false)) ?? [] }
            #expect(time < .seconds(20))
            #expect(ids.count < text.utf8.count)
        }
        // A million marks of two classes in the wrong order: sorting them must not be quadratic either.
        let marks = String(repeating: "\u{301}\u{323}", count: 1 << 18)
        #expect(clock.measure { _ = try? tokenizer.encode("a" + marks) } < .seconds(20))
    }

    @Test(arguments: UInt64(1)...20)
    func longAndShortPiecesMergeAlike(seed: UInt64) throws {
        // A tokenizer of random merges of random pieces, so that neighbours change all the time; and pieces on both sides of the length
        // where the heap takes over, against the plainest possible merging.
        var generator = SeededGenerator(state: seed)
        var vocabulary = Vocabulary(isByteLevel: true, entries: 400, byteCount: 8000)
        var ids: [[UInt8]: Int32] = [:]
        var pieces: [[UInt8]] = []
        func insert(_ bytes: [UInt8]) {
            ids[bytes] = Int32(pieces.count)
            ByteAlphabet.spelling(of: bytes).withUnsafeBufferPointer { _ = vocabulary.insert($0, id: Int32(pieces.count)) }
            pieces.append(bytes)
        }
        for byte in UInt8.min...UInt8.max { insert([byte]) }
        var known = Array("abc中é".utf8).map(Int.init)
        let merges = MergeTable(capacity: 400)
        for rank in (0..<160).shuffled(using: &generator) {
            let (left, right) = (known.randomElement(using: &generator) ?? 97, known.randomElement(using: &generator) ?? 97)
            let made = pieces[left] + pieces[right]
            if made.count > 8 { continue }
            if ids[made] == nil {
                known.append(pieces.count)
                insert(made)
            }
            merges.insert(left: Int32(left), right: Int32(right), rank: rank, id: try #require(ids[made]))
        }
        #expect(vocabulary.finish() == nil)
        let tokenizer = BPETokenizer(
            preTokenizer: PreTokenizer(steps: [.scan(.llama3(digits: 1))]), model: BPEModel(vocabulary: vocabulary, merges: merges))
        for _ in 0..<100 {
            // Characters of several bytes, whose parts merge with their neighbours as the merges come.
            let text = (0..<Int.random(in: 2...150, using: &generator)).map { _ in "abc中é".randomElement(using: &generator) ?? "a" }
            let letters = Array(String(text).utf8)
            var ids = letters.map(Int32.init)
            while true {
                let candidates = ids.indices.dropLast().map { merges.merge(ids[$0], ids[$0 + 1]) }
                guard let best = candidates.min(), best != MergeTable.none, let place = candidates.firstIndex(of: best) else { break }
                ids.replaceSubrange(place...place + 1, with: [Int32(truncatingIfNeeded: best)])
            }
            #expect(try tokenizer.encode(utf8: letters) == ids)
        }
    }
}
