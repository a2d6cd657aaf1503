extension BPETokenizer {
    /// The ids of a text. `allowSpecial: false` treats the spelling of special tokens as plain text, for text that is not trusted.
    public func encode(_ text: String, allowSpecial: Bool = true) -> [Int32] {
        var text = text
        return text.withUTF8 { encode(UTF8Text(bytes: $0), allowSpecial: allowSpecial) }
    }

    /// The ids of UTF-8 bytes; what is not UTF-8 is read as U+FFFD, as Python's `errors="replace"` does.
    public func encode(utf8 bytes: some Collection<UInt8>, allowSpecial: Bool = true) -> [Int32] {
        encode(String(decoding: bytes, as: UTF8.self), allowSpecial: allowSpecial)
    }

    private func encode(_ text: UTF8Text, allowSpecial: Bool) -> [Int32] {
        merges.withLookup { merges in
            byteIDs.withUnsafeBufferPointer { byteIDs in
                var encoder = PieceEncoder(merges: merges, byteIDs: byteIDs, byteCount: text.count)
                for segment in addedTokens.split(original: text, allowSpecial: allowSpecial) {
                    if let id = segment.id {
                        encoder.append(id)
                    } else {
                        encodeSegment(text[segment.range], allowSpecial: allowSpecial, into: &encoder)
                    }
                }
                return encoder.ids
            }
        }
    }

    private func encodeSegment(_ text: UTF8Text, allowSpecial: Bool, into encoder: inout PieceEncoder) {
        if normalizesToNFC, let normalized = NFC.normalized(text) {
            normalized.withUnsafeBufferPointer { encodeNormalized(UTF8Text(bytes: $0), allowSpecial: allowSpecial, into: &encoder) }
        } else {
            encodeNormalized(text, allowSpecial: allowSpecial, into: &encoder)
        }
    }

    private func encodeNormalized(_ text: UTF8Text, allowSpecial: Bool, into encoder: inout PieceEncoder) {
        for segment in addedTokens.split(normalized: text, allowSpecial: allowSpecial) {
            if let id = segment.id {
                encoder.append(id)
            } else {
                let plain = text[segment.range]
                preTokenizer.forEachPiece(in: plain) { encoder.encode(plain[$0].bytes) }
            }
        }
    }
}

extension UTF8Text {
    /// A part of the text; the range must begin and end between characters.
    @inline(__always)
    subscript(range: Range<Int>) -> UTF8Text { UTF8Text(bytes: UnsafeBufferPointer(rebasing: bytes[range])) }
}
