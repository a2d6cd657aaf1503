internal import JSON

extension TokenizerFile {
    /// More or longer added tokens than any tokenizer has would only cost memory and time.
    private static let mostAddedTokens = 100_000
    private static let longestAddedToken = 512

    /// `added_tokens`: every flag present, no two with the same id or content.
    func addedTokens(normalizesToNFC: Bool) throws(TokenizerError) -> [AddedToken] {
        guard let list = (json["added_tokens"] ?? .array([])).array else { throw error("added_tokens", "expected an array") }
        guard list.count <= Self.mostAddedTokens else {
            throw error("added_tokens", "\(list.count) tokens, more than the \(Self.mostAddedTokens) allowed")
        }
        var tokens: [AddedToken] = []
        var contents: Set<[UInt8]> = []
        for (index, entry) in list.enumerated() {
            let location = "added_tokens[\(index)]"
            func flag(_ key: String) throws(TokenizerError) -> Bool {
                guard let value = entry[key]?.bool else { throw error("\(location).\(key)", "expected true or false") }
                return value
            }
            guard let id = entry["id"]?.int.flatMap(Int32.init(exactly:)), id >= 0 else {
                throw error("\(location).id", "expected an integer from 0 to 2147483647")
            }
            guard let content = (entry["content"]?.string).map({ Array($0.utf8) }), 1...Self.longestAddedToken ~= content.count else {
                throw error("\(location).content", "expected a string of 1 to \(Self.longestAddedToken) bytes")
            }
            guard contents.insert(content).inserted else { throw error("\(location).content", "the same content as an earlier token") }
            let isNormalized = try flag("normalized")
            let normalized =
                isNormalized && normalizesToNFC ? content.withUnsafeBufferPointer { NFC.normalized(UTF8Text(bytes: $0)) } : nil
            tokens.append(
                AddedToken(
                    id: id, content: content, searched: normalized ?? content, isSpecial: try flag("special"), isNormalized: isNormalized,
                    stripsLeft: try flag("lstrip"), stripsRight: try flag("rstrip"), isSingleWord: try flag("single_word")))
        }
        return tokens
    }

    /// `model.vocab` and the added tokens together: ids unique and without holes, spellings of the byte alphabet.
    func vocabulary(added: [AddedToken]) throws(TokenizerError) -> Vocabulary {
        guard let members = json["model"]?["vocab"]?.object?.members else { throw error("model.vocab", "expected an object") }
        var spellings = [[UInt8]?](repeating: nil, count: members.count + added.count)
        var learned = [Bool](repeating: false, count: spellings.count)
        for (key, value) in members {
            guard let id = value.int, spellings.indices.contains(id) else {
                throw error("model.vocab", "token '\(excerpt(key))': expected an id from 0 to \(spellings.count - 1), so that there are no holes")
            }
            guard spellings[id] == nil else { throw error("model.vocab", "token '\(excerpt(key))': id \(id) is taken by another token") }
            spellings[id] = Array(key.utf8)
            learned[id] = true
        }
        var addedByID: [Int: AddedToken] = [:]
        for (index, token) in added.enumerated() {
            let id = Int(token.id)
            guard spellings.indices.contains(id) else {
                throw error("added_tokens[\(index)].id", "\(id) leaves a hole: with model.vocab there are at most \(spellings.count) tokens")
            }
            guard spellings[id] == nil || spellings[id] == token.content else {
                throw error("added_tokens[\(index)].id", "\(id) is taken by another token")
            }
            spellings[id] = token.content
            addedByID[id] = token
        }
        while spellings.last == .some(nil) { spellings.removeLast() }
        var vocabulary = Vocabulary(capacity: spellings.count)
        var bytes: [UInt8] = []
        for (id, spelling) in spellings.enumerated() {
            guard let spelling else { throw error("model.vocab", "no token has the id \(id), but some have higher ones") }
            let added = addedByID[id]
            bytes.removeAll(keepingCapacity: true)
            let text = added?.searched ?? spelling
            let isOfAlphabet = text.withUnsafeBufferPointer { ByteAlphabet.append($0, to: &bytes) }
            guard isOfAlphabet || added != nil else {
                throw error(
                    "model.vocab", "token '\(excerpt(String(decoding: spelling, as: UTF8.self)))' (id \(id)) is not in the byte-level alphabet")
            }
            // As in Hugging Face's decoder, a token outside the alphabet, which only an added one may be, stands for its own UTF-8.
            vocabulary.append(isOfAlphabet ? bytes : text, findable: isOfAlphabet && learned[id])
        }
        for (index, token) in added.enumerated() {
            guard let learned = ByteAlphabet.bytes(spelledBy: token.content).flatMap(vocabulary.id(of:)), learned != token.id else { continue }
            throw error("added_tokens[\(index)].id", "\(token.id), but the same token has the id \(learned) in model.vocab")
        }
        return vocabulary
    }

    /// The id of every byte. One that were missing would silently vanish from texts.
    func byteIDs(in vocabulary: Vocabulary) throws(TokenizerError) -> [Int32] {
        var ids: [Int32] = []
        for byte in UInt8.min...UInt8.max {
            guard let id = vocabulary.id(of: [byte]) else {
                throw error(
                    "model.vocab", "no token for byte \(byte), spelled '\(ByteAlphabet.spelling(of: [byte]))'; this is not a byte-level vocabulary")
            }
            ids.append(id)
        }
        return ids
    }

    /// `model.merges`, each `"a b"` or `["a", "b"]`, of pieces that are in the vocabulary, as is what they make.
    func merges(of vocabulary: Vocabulary) throws(TokenizerError) -> MergeTable {
        guard let list = json["model"]?["merges"]?.array else { throw error("model.merges", "expected an array") }
        guard list.count < Int(UInt32.max) else { throw error("model.merges", "\(list.count) merges are too many") }
        var table = MergeTable(capacity: list.count)
        var made: [UInt8] = []
        var part: [UInt8] = []
        for (rank, entry) in list.enumerated() {
            guard let (left, right) = Self.parts(of: entry) else {
                throw error("model.merges[\(rank)]", "expected \"a b\" or [\"a\", \"b\"]")
            }
            made.removeAll(keepingCapacity: true)
            func id(_ spelling: String) throws(TokenizerError) -> Int32 {
                part.removeAll(keepingCapacity: true)
                var spelling = spelling
                guard spelling.withUTF8({ ByteAlphabet.append($0, to: &part) }), let id = vocabulary.id(of: part) else {
                    throw error("model.merges[\(rank)]", "piece '\(excerpt(spelling))' is not in model.vocab")
                }
                made += part
                return id
            }
            let (leftID, rightID) = (try id(left), try id(right))
            guard let id = vocabulary.id(of: made) else {
                throw error("model.merges[\(rank)]", "what '\(excerpt(left))' and '\(excerpt(right))' make is not in model.vocab")
            }
            table.insert(left: leftID, right: rightID, rank: rank, id: id)
        }
        return table
    }

    private static func parts(of merge: JSONValue) -> (String, String)? {
        switch merge {
        case .array(let pair):
            guard pair.count == 2, let left = pair[0].string, let right = pair[1].string else { return nil }
            return (left, right)
        case .string(let text):
            guard let space = text.utf8.firstIndex(of: UInt8(ascii: " ")) else { return nil }
            return (String(text[..<space]), String(text[text.utf8.index(after: space)...]))
        default: return nil
        }
    }
}
