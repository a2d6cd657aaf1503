internal import JSON

/// `added_tokens`.
extension TokenizerFile {
    /// More or longer added tokens than any tokenizer has would only cost memory and time.
    private static let mostAddedTokens = 100_000
    private static let longestAddedToken = 512

    /// Every flag present, no two with the same content, and the ids those that Hugging Face's tokenizers would give: of a token that is in the
    /// vocabulary its own, of others the next free one.
    func addedTokens(vocabulary: Vocabulary, normalizers: [Normalizer]) throws(TokenizerError) -> [AddedToken] {
        guard let list = (json["added_tokens"] ?? .array([])).array else { throw error("added_tokens", "expected an array") }
        guard list.count <= Self.mostAddedTokens else {
            throw error("added_tokens", "\(list.count) tokens, more than the \(Self.mostAddedTokens) allowed")
        }
        var tokens: [AddedToken] = []
        var contents: Set<[UInt8]> = []
        var searched: [Set<[UInt8]>] = [[], []]
        var nextID = vocabulary.entries
        var scratch = ByteBuffer()
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
            let learned = content.withUnsafeBufferPointer { vocabulary.id(spelled: $0, scratch: &scratch) }
            if let learned {
                guard id == learned else { throw error("\(location).id", "\(id), but the same token has the id \(learned) in model.vocab") }
            } else {
                guard vocabulary.bytes(of: id) == nil else { throw error("\(location).id", "\(id) is taken by another token") }
                guard Int(id) == nextID else {
                    throw error("\(location).id", "\(id), expected \(nextID): tokens that are not in model.vocab have the ids that follow it")
                }
                nextID += 1
            }
            let isNormalized = try flag("normalized")
            let form = isNormalized ? try normalized(content, by: normalizers) : content
            guard !form.isEmpty, searched[isNormalized ? 1 : 0].insert(form).inserted else {
                throw error("\(location).content", "normalised it is \(form.isEmpty ? "empty" : "the same as an earlier token")")
            }
            tokens.append(
                AddedToken(
                    id: id, content: content, searched: form, isSpecial: try flag("special"), isNormalized: isNormalized,
                    stripsLeft: try flag("lstrip"), stripsRight: try flag("rstrip"), isSingleWord: try flag("single_word")))
        }
        return tokens
    }

    private func normalized(_ content: [UInt8], by normalizers: [Normalizer]) throws(TokenizerError) -> [UInt8] {
        try content.withUnsafeBufferPointer { bytes throws(TokenizerError) in
            let piece = Piece(text: UTF8Text(bytes: bytes), alignments: nil, originalStart: 0)
            return try Normalizer.normalized(piece, by: normalizers)?.bytes ?? content
        }
    }
}
