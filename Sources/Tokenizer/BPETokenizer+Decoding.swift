extension BPETokenizer {
    /// The text of ids. Ids that do not exist are skipped; bytes that are not UTF-8 become U+FFFD, as Python's `errors="replace"` does.
    public func decode(_ ids: some Sequence<Int32>, skipSpecialTokens: Bool = false) -> String {
        guard isByteLevel else {
            var chain = DecoderChain(decoders)
            for id in ids { if let token = decodedToken(of: id, skipSpecialTokens: skipSpecialTokens) { chain.append(token) } }
            chain.finish()
            return chain.takeOutput()
        }
        var bytes = ByteBuffer()
        for id in ids { appendBytes(of: id, skipSpecialTokens: skipSpecialTokens, to: &bytes) }
        return String(decoding: bytes.contents, as: UTF8.self)
    }

    /// Whether decoding is no more than putting the bytes of ids one behind the other, as with Qwen2, Llama 3 and GPT-2.
    public var isByteLevel: Bool {
        if decoders.count == 1, case .byteLevel = decoders[0] { model.vocabulary.isByteLevel } else { false }
    }

    /// The bytes that an id adds to a text, which need not be whole characters; nil where `isByteLevel` is not so, and for an id that does not exist.
    public func bytes(of id: Int32) -> [UInt8]? {
        guard isByteLevel, addedTokens.token(of: id) != nil || model.vocabulary.bytes(of: id) != nil else { return nil }
        var bytes = ByteBuffer()
        appendBytes(of: id, skipSpecialTokens: false, to: &bytes)
        return Array(bytes.contents)
    }

    /// What an id hands to the decoders; nil for an id that does not exist or is to be skipped.
    func decodedToken(of id: Int32, skipSpecialTokens: Bool) -> [UInt8]? {
        guard let token = addedTokens.token(of: id)?.searched ?? model.vocabulary.spelling(of: id) else { return nil }
        return skipSpecialTokens && addedTokens.isSkipped(token) ? nil : token
    }

    /// The bytes an id adds to a text, where decoding is `byteLevel`.
    func appendBytes(of id: Int32, skipSpecialTokens: Bool, to out: inout ByteBuffer) {
        if let token = addedTokens.token(of: id)?.searched {
            guard !(skipSpecialTokens && addedTokens.isSkipped(token)) else { return }
            // As in Hugging Face's decoder, a token outside the alphabet, which only an added one may be, stands for its own UTF-8.
            token.withUnsafeBufferPointer { if !ByteAlphabet.append($0, to: &out) { out.append($0) } }
        } else if let bytes = model.vocabulary.bytes(of: id) {
            out.append(bytes)
        }
    }
}
