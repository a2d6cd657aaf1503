extension BPETokenizer {
    /// The text of ids. Ids that do not exist are skipped; bytes that are not UTF-8 become U+FFFD, as Python's `errors="replace"` does.
    public func decode(_ ids: some Sequence<Int32>, skipSpecialTokens: Bool = false) -> String {
        var bytes: [UInt8] = []
        for id in ids { bytes += self.bytes(of: id, skipSpecialTokens: skipSpecialTokens) }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The bytes an id adds to a text: none for an id that does not exist or is to be skipped.
    func bytes(of id: Int32, skipSpecialTokens: Bool) -> ArraySlice<UInt8> {
        skipSpecialTokens && isSpecial(id) ? [] : vocabulary.bytes(of: id) ?? []
    }
}

/// Decodes ids as they come, holding back the start of a character until the rest of it is there.
///
/// The pieces, joined, are what `decode` gives for all the ids at once.
public struct StreamingDecoder: Sendable {
    private let tokenizer: BPETokenizer
    private let skipSpecialTokens: Bool
    /// The bytes of an unfinished character, three at the most between calls.
    private var pending: [UInt8] = []

    /// A decoder at the start of a text.
    public init(_ tokenizer: BPETokenizer, skipSpecialTokens: Bool = false) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
    }

    /// The text that this id makes certain; often empty, never half a character.
    public mutating func append(_ id: Int32) -> String {
        pending += tokenizer.bytes(of: id, skipSpecialTokens: skipSpecialTokens)
        let certain = pending.count - UTF8Text.unfinishedSuffix(of: pending)
        let text = String(decoding: pending[..<certain], as: UTF8.self)
        pending.removeFirst(certain)
        return text
    }

    /// What is left at the end: a U+FFFD if the last character is not whole. The decoder is then at the start of a new text.
    public mutating func finish() -> String {
        defer { pending = [] }
        return String(decoding: pending, as: UTF8.self)
    }
}
