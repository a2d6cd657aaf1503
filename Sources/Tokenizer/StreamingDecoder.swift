/// Decodes ids as they come, holding back what later ids may change: the start of a character, or what a decoder still has to see the end of.
///
/// The pieces, joined, are what `decode` gives for all the ids at once; none ends inside a character.
public struct StreamingDecoder: Sendable {
    private let tokenizer: BPETokenizer
    private let skipSpecialTokens: Bool
    /// The decoders at work; nil where bytes are all there is to it.
    private var chain: DecoderChain?
    /// The bytes of an unfinished character, three at the most between calls.
    private var pending: [UInt8] = []

    /// A decoder at the start of a text.
    public init(_ tokenizer: BPETokenizer, skipSpecialTokens: Bool = false) {
        self.tokenizer = tokenizer
        self.skipSpecialTokens = skipSpecialTokens
        chain = tokenizer.isByteLevel ? nil : DecoderChain(tokenizer.decoders)
    }

    /// The text that this id makes certain; often empty, never half a character.
    public mutating func append(_ id: Int32) -> String {
        guard chain == nil else {
            if let token = tokenizer.decodedToken(of: id, skipSpecialTokens: skipSpecialTokens) { chain?.append(token) }
            return chain?.takeOutput() ?? ""
        }
        var bytes = ByteBuffer()
        tokenizer.appendBytes(of: id, skipSpecialTokens: skipSpecialTokens, to: &bytes)
        pending += bytes.contents
        let certain = pending.count - UTF8Text.unfinishedSuffix(of: pending)
        let text = String(decoding: pending[..<certain], as: UTF8.self)
        pending.removeFirst(certain)
        return text
    }

    /// What is left at the end: a U+FFFD if the last character is not whole. The decoder is then at the start of a new text.
    public mutating func finish() -> String {
        defer {
            pending = []
            if chain != nil { chain = DecoderChain(tokenizer.decoders) }
        }
        chain?.finish()
        return chain?.takeOutput() ?? String(decoding: pending, as: UTF8.self)
    }
}
