internal import JSON

/// `model`.
extension TokenizerFile {
    /// The type, and the options of it that would change the ids and are not supported.
    func checkModel() throws(TokenizerError) {
        guard json["model"]?.object != nil else { throw error("model", "missing; is this a tokenizer.json?") }
        // Files of tokenizers before 0.9 have no type; what has merges is BPE.
        let type = (model["type"] ?? .null).isNull ? (model.lacks("merges") ? "none" : "BPE") : model["type"]?.string ?? "of no name"
        guard type == "BPE" else { throw error("model.type", "model '\(excerpt(type))' is not supported; BPE is") }
        for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
            switch model[key] {
            case nil, .null, .string(""), .integer(0), .number(0): continue
            default: throw error("model.\(key)", "is set, which is not supported")
            }
        }
    }

    /// A truth value of `model`; false if it is missing or null.
    func modelFlag(_ key: String) throws(TokenizerError) -> Bool {
        switch model[key] {
        case nil, .null: return false
        case .bool(let value): return value
        default: throw error("model.\(key)", "expected true or false")
        }
    }

    /// `unk_token`, `fuse_unk`, `byte_fallback`.
    func unknownCharacters(in vocabulary: Vocabulary) throws(TokenizerError) -> UnknownCharacters {
        var unknown = UnknownCharacters(fuses: try modelFlag("fuse_unk"))
        let fallsBack = try modelFlag("byte_fallback")
        // Every byte has an id: nothing is unknown, whatever the options say.
        if vocabulary.isByteLevel { return unknown }
        var scratch = ByteBuffer()
        func id(_ spelling: String) -> Int32? {
            Array(spelling.utf8).withUnsafeBufferPointer { vocabulary.id(spelled: $0, scratch: &scratch) }
        }
        if fallsBack {
            unknown.byteIDs = (0..<256).map { id("<0x" + ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) + ">") ?? -1 }
        }
        switch model["unk_token"] {
        case nil, .null: break
        case .string(let token):
            guard let id = id(token) else { throw error("model.unk_token", "'\(excerpt(token))' is not in model.vocab") }
            unknown.id = id
        default: throw error("model.unk_token", "expected a string")
        }
        return unknown
    }

    // MARK: vocab

    /// `model.vocab`. It is read as bytes if texts are, and every byte is in it.
    func vocabulary(isByteLevel: Bool) throws(TokenizerError) -> Vocabulary {
        let vocabulary = try readVocabulary(isByteLevel: isByteLevel)
        guard isByteLevel else { return vocabulary }
        let bytes = Array(UInt8.min...UInt8.max)
        let isWhole = bytes.withUnsafeBufferPointer { bytes in
            bytes.indices.allSatisfy { vocabulary.id(of: UnsafeBufferPointer(rebasing: bytes[$0..<$0 + 1])) != nil }
        }
        return isWhole ? vocabulary : try readVocabulary(isByteLevel: false)
    }

    private func readVocabulary(isByteLevel: Bool) throws(TokenizerError) -> Vocabulary {
        guard let extent = bigMembers[.vocab] else { throw error("model.vocab", "expected an object") }
        var vocabulary = Vocabulary(isByteLevel: isByteLevel, entries: extent.count, byteCount: extent.range.count)
        let idLimit = Vocabulary.idLimit(entries: extent.count)
        var failure: TokenizerError?
        do throws(JSONCursor.Malformed) {
            var cursor = JSONCursor(text, range: extent.range)
            if try cursor.open(UInt8(ascii: "{")) {
                repeat {
                    failure = try readEntry(&cursor, into: &vocabulary, idLimit: idLimit)
                    guard failure == nil else { break }
                } while try cursor.next(UInt8(ascii: "{"))
            }
        } catch {
            throw Self.malformed(text, source: source)
        }
        if let failure { throw refusal(failure) }
        if let twin = vocabulary.finish() {
            let spelling = vocabulary.spelling(of: twin).map { String(decoding: $0, as: UTF8.self) } ?? ""
            throw refusal(error("model.vocab", "token '\(excerpt(spelling))': stands twice"))
        }
        return vocabulary
    }

    /// Reads `"token": id`; the error that is not the text's but the vocabulary's.
    private func readEntry(
        _ cursor: inout JSONCursor, into vocabulary: inout Vocabulary, idLimit: Int
    ) throws(JSONCursor.Malformed) -> TokenizerError? {
        // The bytes stand in the text, or in the cursor until it reads another string: not while it reads a number.
        let spelling = try cursor.string()
        try cursor.colon()
        func refused(_ message: String) -> TokenizerError { error("model.vocab", "token '\(excerpt(spelling))': \(message)") }
        guard let id = cursor.id() else { return refused("expected an id from 0 to \(idLimit - 1)") }
        switch vocabulary.insert(spelling, id: id) {
        case nil: return nil
        case .idOutOfRange: return refused("\(id) is far above the number of tokens; expected an id from 0 to \(idLimit - 1)")
        case .idTaken: return refused("id \(id) is taken by another token")
        case .spellingTaken: return refused("stands twice")
        }
    }

    /// An error of the content, unless the text is not even JSON.
    private func refusal(_ failure: TokenizerError) -> TokenizerError {
        do throws(JSONError) {
            _ = try JSONValue.parse(UnsafeRawBufferPointer(text), source: source)
            return failure
        } catch {
            return Self.malformed(text, source: source)
        }
    }

    // MARK: merges

    /// `model.merges`, each `"a b"` or `["a", "b"]`, of pieces that are in the vocabulary, as is what they make.
    func merges(of vocabulary: Vocabulary) throws(TokenizerError) -> MergeTable {
        guard let extent = bigMembers[.merges] else { throw error("model.merges", "expected an array") }
        guard extent.count < Int(Int32.max) else { throw error("model.merges", "\(extent.count) merges are too many") }
        var reader = MergeReader(file: self, vocabulary: vocabulary, table: MergeTable(capacity: extent.count))
        var failure: TokenizerError?
        do throws(JSONCursor.Malformed) {
            var cursor = JSONCursor(text, range: extent.range)
            if try cursor.open(UInt8(ascii: "[")) {
                repeat {
                    failure = try reader.readMerge(&cursor)
                    guard failure == nil else { break }
                } while try cursor.next(UInt8(ascii: "["))
            }
            if failure == nil { failure = reader.finish() }
        } catch {
            throw Self.malformed(text, source: source)
        }
        if let failure { throw refusal(failure) }
        return reader.table
    }
}
