import JSON
import Tokenizer

/// Mutates `tokenizer.json` files and texts, and uses whatever still loads. Shared by the tests and `scripts/fuzz tokenizer`.
struct TokenizerFuzzing {
    /// What went wrong, with the file's text.
    struct Finding: Error, CustomStringConvertible {
        var description: String
        var file: [UInt8]
    }

    var random: any RandomNumberGenerator
    /// The file in use.
    private var file: [UInt8] = []
    /// Files that could be loaded.
    private(set) var loaded = 0

    init(random: any RandomNumberGenerator) { self.random = random }

    private static let words = [
        "null", "true", "false", "0", "-1", "1", "2147483647", "2147483648", "4294967296", "1e9", "\"\"", "[]", "{}", "\"Sequence\"", "\"ByteLevel\"",
        "\"Split\"", "\"Metaspace\"", "\"Removed\"", "\"MergedWithNext\"", "\"Contiguous\"", "\"NFKC\"", "\"NFD\"", "\"Lowercase\"", "\"Strip\"",
        "\"Replace\"", "\"Prepend\"", "\"ByteFallback\"", "\"Fuse\"", "\"Punctuation\"", "\"Digits\"", "\"WhitespaceSplit\"",
        "\"TemplateProcessing\"",
        "{\"type\":\"NFC\"}", "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}",
        "{\"type\":\"Prepend\",\"prepend\":\"▁\"}", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x*\"},\"content\":\"yy\"}",
        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a|aa)+$\"},\"behavior\":\"Isolated\",\"invert\":true}", "\\u0000", "\\ud83d\\ude00", "\\ud800",
        "Ġ",
        "▁", "<0xE4>", "\u{301}", "日", "{\"Regex\":\"\\\\s+(?!\\\\S)|.\"}", "\"unk_token\":\"a\"", "\"byte_fallback\":true", "\"ignore_merges\":true",
        ",", ":", "[", "{",
    ].map { Array($0.utf8) }

    private static let texts = [
        "", "hello world", "  The 日本 é e\u{301} ﬁ\u{1F469}\u{200D}\u{1F469} 12345\n\n\t x", "<|im_start|>user\n<|im_end|>",
        "\u{0}\u{7F}\u{FFFD}\u{10FFFF}",
        "a\u{301}\u{323}\u{301} ▁ Ġ <0xE4> 'll !!to?'d", String(repeating: "ab ", count: 500), String(repeating: "a", count: 3000),
    ].map { Array($0.utf8) }

    /// A damaged copy of a file. Half of them stay JSON, with other values in their small members; of the other half little can be loaded.
    mutating func mutation(of seed: [UInt8]) -> [UInt8] {
        if Bool.random(using: &random), let json = try? JSONValue.parse(seed, source: "seed") { return Array(changed(json).serialized().utf8) }
        return mutated(seed, with: Self.words)
    }

    /// Loads a file and puts a few texts through it; throws what must not be.
    mutating func use(_ file: [UInt8]) throws {
        self.file = file
        failure = nil
        let tokenizer: BPETokenizer
        do throws(TokenizerError) {
            tokenizer = try BPETokenizer(file, source: "file")
        } catch {
            if error.description.contains("\n") { throw finding("an error of more than one line: \(error)") }
            return
        }
        loaded += 1
        for _ in 0..<3 {
            let bytes = mutated(Self.texts.randomElement(using: &random) ?? [], with: Self.texts)
            do throws(TokenizerError) {
                try check(tokenizer, String(decoding: bytes, as: UTF8.self))
                _ = try tokenizer.encode(utf8: bytes)
            } catch {
                if error.description.contains("\n") { throw finding("an error of more than one line: \(error)") }
            }
        }
        if let failure { throw failure }
    }

    private var failure: Finding?

    private func finding(_ text: String) -> Finding { Finding(description: text, file: file) }

    private mutating func check(_ tokenizer: BPETokenizer, _ text: String) throws(TokenizerError) {
        let ids = try tokenizer.encode(text)
        let encoding = try tokenizer.encodeWithOffsets(text)
        if encoding.ids != ids { failure = finding("with offsets other ids: \(text.debugDescription)") }
        let end = text.utf8.count
        if !encoding.offsets.allSatisfy({ $0.lowerBound >= 0 && $0.upperBound <= end }) {
            failure = finding("offsets outside: \(text.debugDescription)")
        }
        if !ids.allSatisfy({ $0 >= 0 && Int($0) < tokenizer.vocabularySize }) { failure = finding("ids outside: \(text.debugDescription)") }
        let some = ids.shuffled(using: &random) + [-1, .max, Int32.random(in: 0...800, using: &random)]
        for skips in [false, true] {
            var decoder = StreamingDecoder(tokenizer, skipSpecialTokens: skips)
            var pieces = ""
            for id in some { pieces += decoder.append(id) }
            pieces += decoder.finish()
            if !pieces.utf8.elementsEqual(tokenizer.decode(some, skipSpecialTokens: skips).utf8) { failure = finding("streaming differs: \(some)") }
        }
    }

    // MARK: Mutation

    /// One value of a file for another, anywhere but in the vocabulary and the merges (those seldom).
    private mutating func changed(_ json: JSONValue) -> JSONValue {
        switch json {
        case .object(let object) where !object.members.isEmpty && Int.random(in: 0..<12, using: &random) > 0:
            var members = object.members
            let place = members.indices.randomElement(using: &random) ?? 0
            if ["vocab", "merges"].contains(members[place].key), Int.random(in: 0..<8, using: &random) > 0 { return json }
            if Int.random(in: 0..<12, using: &random) == 0 {
                members.remove(at: place)
            } else {
                members[place].value = changed(members[place].value)
            }
            return .object(JSONObject(members.map { ($0.key, $0.value) }))
        case .array(let items) where !items.isEmpty && Int.random(in: 0..<12, using: &random) > 0:
            var items = items
            let place = items.indices.randomElement(using: &random) ?? 0
            switch Int.random(in: 0..<6, using: &random) {
            case 0: items.remove(at: place)
            case 1: items.insert(items.randomElement(using: &random) ?? .null, at: place)
            default: items[place] = changed(items[place])
            }
            return .array(items)
        case .bool(let value): return .bool(!value)
        default:
            let word = Self.words.randomElement(using: &random) ?? []
            return (try? JSONValue.parse(word, source: "word")) ?? .string(String(decoding: word, as: UTF8.self))
        }
    }

    private mutating func mutated(_ bytes: [UInt8], with words: [[UInt8]]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let at = Int.random(in: 0...bytes.count, using: &random)
            let run = at..<min(bytes.count, at + Int.random(in: 1...24, using: &random))
            switch Int.random(in: 0..<8, using: &random) {
            case 0 where at < bytes.count: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(run)
            case 2: bytes.insert(contentsOf: bytes[run], at: at)
            case 3: bytes.removeLast(min(bytes.count, Int.random(in: 0...40, using: &random)))
            case 4: bytes.insert(contentsOf: words.randomElement(using: &random) ?? [], at: at)
            default:
                // A value, a number, or a string of JSON for another.
                let value = Self.value(in: bytes, at: at)
                bytes.replaceSubrange(value, with: words.randomElement(using: &random) ?? [])
            }
        }
        return bytes
    }

    /// The literal or string around a place, as far as that can be told cheaply.
    private static func value(in bytes: [UInt8], at place: Int) -> Range<Int> {
        let separators = Array(",:[]{}".utf8)
        let start = bytes[..<place].lastIndex { separators.contains($0) }.map { $0 + 1 } ?? 0
        let end = bytes[place...].firstIndex { separators.contains($0) } ?? bytes.count
        return start..<max(start, end)
    }
}
