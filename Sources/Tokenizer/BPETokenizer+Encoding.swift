extension BPETokenizer {
    /// The ids of a text.
    ///
    /// - Parameter allowSpecial: `false` reads the spelling of special tokens as plain text, for text that is not trusted.
    /// - Parameter addSpecialTokens: puts around the text what the post-processor's template says, such as a token for the beginning. A chat
    ///   template writes those itself.
    /// - Parameter truncation: how many ids to keep of a long text; all, unless said otherwise.
    /// - Throws: if an expression of the tokenizer's takes too many steps on this text; never with the pre-tokenizers of common models.
    public func encode(
        _ text: String, allowSpecial: Bool = true, addSpecialTokens: Bool = false, truncation: Truncation? = nil
    ) throws(TokenizerError) -> [Int32] {
        var text = text
        return try text.withUTF8 { bytes in
            Result { () throws(TokenizerError) in
                var encoder = PieceEncoder(model, byteCount: bytes.count)
                try encode(UTF8Text(bytes: bytes), allowSpecial: allowSpecial, into: &encoder, noting: nil)
                if truncation == nil, postProcessor.keepsTextAlone { return encoder.ids.array }
                let ids = encoder.ids.array
                let kept = truncation?.kept(of: ids.count, adding: addSpecialTokens ? postProcessor.specialCount : 0) ?? ids.indices
                return postProcessor.around(Array(ids[kept]), addSpecialTokens: addSpecialTokens) { $0 }
            }
        }.get()
    }

    /// The ids of UTF-8 bytes; what is not UTF-8 is read as U+FFFD, as Python's `errors="replace"` does.
    public func encode(
        utf8 bytes: some Collection<UInt8>, allowSpecial: Bool = true, addSpecialTokens: Bool = false, truncation: Truncation? = nil
    ) throws(TokenizerError) -> [Int32] {
        try encode(
            String(decoding: bytes, as: UTF8.self), allowSpecial: allowSpecial, addSpecialTokens: addSpecialTokens, truncation: truncation)
    }

    /// The ids of a text with their places in it; see `encode`, which is faster.
    public func encodeWithOffsets(
        _ text: String, allowSpecial: Bool = true, addSpecialTokens: Bool = false, truncation: Truncation? = nil
    ) throws(TokenizerError) -> Encoding {
        var text = text
        return try text.withUTF8 { bytes in
            Result { () throws(TokenizerError) in
                let text = UTF8Text(bytes: bytes)
                var encoder = PieceEncoder(model, byteCount: text.count, tracksEnds: true)
                let places = PlaceRecorder()
                try encode(text, allowSpecial: allowSpecial, into: &encoder, noting: places)
                let ids = encoder.ids.array
                var offsets = places.offsets
                for addsPrefixSpace in postProcessor.trims { trim(&offsets, of: ids, places, in: text, addsPrefixSpace: addsPrefixSpace) }
                let kept = truncation?.kept(of: ids.count, adding: addSpecialTokens ? postProcessor.specialCount : 0) ?? ids.indices
                return Encoding(
                    ids: postProcessor.around(Array(ids[kept]), addSpecialTokens: addSpecialTokens) { $0 },
                    offsets: postProcessor.around(Array(offsets[kept]), addSpecialTokens: addSpecialTokens) { _ in 0..<0 })
            }
        }.get()
    }

    // MARK: The steps

    private func encode(
        _ text: UTF8Text, allowSpecial: Bool, into encoder: inout PieceEncoder, noting places: PlaceRecorder?
    ) throws(TokenizerError) {
        guard text.count < Int(Int32.max) else {
            throw TokenizerError(source: "text", location: "", message: "\(text.count) bytes are more than the \(Int32.max) that one call encodes")
        }
        for segment in addedTokens.split(original: text, allowSpecial: allowSpecial) {
            let plain = Piece(text: text[segment.range], alignments: nil, originalStart: segment.range.lowerBound)
            if let id = segment.id {
                encoder.append(id, length: segment.range.count)
                places?.add(segment.range, spelled: plain.text)
            } else if places != nil || needsAlignments {
                let aligned = AlignedText(plain.text, originalStart: segment.range.lowerBound, isTracked: true)
                try aligned.withPiece { piece throws(TokenizerError) in
                    try encodePlain(piece, allowSpecial: allowSpecial, into: &encoder, noting: places)
                }
            } else {
                try encodePlain(plain, allowSpecial: allowSpecial, into: &encoder, noting: nil)
            }
        }
    }

    /// Text between the added tokens of the original text.
    private func encodePlain(
        _ piece: Piece, allowSpecial: Bool, into encoder: inout PieceEncoder, noting places: PlaceRecorder?
    ) throws(TokenizerError) {
        if let normalized = try Normalizer.normalized(piece, by: normalizers) {
            try normalized.withPiece { piece throws(TokenizerError) in
                try encodeNormalized(piece, allowSpecial: allowSpecial, into: &encoder, noting: places)
            }
        } else {
            try encodeNormalized(piece, allowSpecial: allowSpecial, into: &encoder, noting: places)
        }
    }

    private func encodeNormalized(
        _ piece: Piece, allowSpecial: Bool, into encoder: inout PieceEncoder, noting places: PlaceRecorder?
    ) throws(TokenizerError) {
        guard piece.text.count > 0 else { return }
        // As a part of what it was, the text starts where its first character comes from: white space that is stripped is before it.
        guard addedTokens.hasNormalized else { return try encodeText(piece[0..<piece.text.count], into: &encoder, noting: places) }
        for segment in addedTokens.split(normalized: piece.text, allowSpecial: allowSpecial) where !segment.range.isEmpty {
            let part = piece[segment.range]
            if let id = segment.id {
                encoder.append(id, length: segment.range.count)
                places?.add(part.original(0..<segment.range.count), spelled: part.text)
            } else {
                try encodeText(part, into: &encoder, noting: places)
            }
        }
    }

    /// Normalised text without added tokens.
    private func encodeText(_ piece: Piece, into encoder: inout PieceEncoder, noting places: PlaceRecorder?) throws(TokenizerError) {
        if places == nil, let rule = preTokenizer.onlyRule {
            let text = piece.text
            PieceScanner.forEachPiece(in: text, rule) { range in
                encoder.encode(text[range].bytes, following: text.count - range.upperBound)
            }
            return
        }
        // A struct that cannot be copied cannot be borrowed by an escaping closure, but by this one it can.
        try preTokenizer.forEachPiece(in: piece) { piece in
            let first = encoder.ids.count
            encoder.encode(piece.bytes, following: 0)
            guard let places else { return }
            var start = 0
            for index in first..<encoder.ids.count {
                let end = Int(encoder.ends.base[index])
                places.add(piece.original(min(start, piece.text.count)..<min(end, piece.text.count)), spelled: nil)
                start = end
            }
        }
    }

    // MARK: Offsets

    /// `ByteLevel`'s `trim_offsets`: takes the white space that a token begins and ends with out of its range.
    private func trim(_ offsets: inout [Range<Int>], of ids: [Int32], _ places: PlaceRecorder, in text: UTF8Text, addsPrefixSpace: Bool) {
        for index in offsets.indices {
            var (leading, trailing) = places.spaces[index] ?? Self.spaces(around: model.vocabulary.spelling(of: ids[index]) ?? [])
            var (start, end) = (offsets[index].lowerBound, offsets[index].upperBound)
            // What was put before the text is not in it; more than one space was not put there.
            if addsPrefixSpace, leading == 1, index == 0 || start == 0 { leading = 0 }
            while leading > 0, start < end {
                start += text.scalar(at: start).length
                leading -= 1
            }
            start = min(start, end)
            // As in Hugging Face's tokenizers, nothing is taken off the end if the text up to there has fewer characters than that.
            var place = end
            while trailing > 0, place > 0 {
                place = text.start(before: place)
                trailing -= 1
            }
            if trailing == 0 { end = max(place, start) }
            offsets[index] = start..<end
        }
    }

    /// How many characters of white space (or `Ġ`) a spelling begins and ends with.
    fileprivate static func spaces(around spelling: [UInt8]) -> (leading: Int, trailing: Int) {
        var isSpace: [Bool] = []
        spelling.withUnsafeBufferPointer { bytes in
            UTF8Text(bytes: bytes).forEachScalar { isSpace.append($0 == 0x120 || CharacterClass.table[$0] & CharacterClass.whitespace != 0) }
        }
        return (isSpace.prefix { $0 }.count, isSpace.reversed().prefix { $0 }.count)
    }
}

/// Notes where each id comes from, for `encodeWithOffsets`.
private final class PlaceRecorder {
    private(set) var offsets: [Range<Int>] = []
    /// For added tokens, by their index, the white space around what matched: that may be more than their spelling has.
    private(set) var spaces: [Int: (leading: Int, trailing: Int)] = [:]

    func add(_ range: Range<Int>, spelled: UTF8Text?) {
        if let spelled { spaces[offsets.count] = BPETokenizer.spaces(around: Array(spelled.bytes)) }
        offsets.append(range)
    }
}

extension Piece {
    /// The range of the original text that a part of this one stands for.
    fileprivate func original(_ range: Range<Int>) -> Range<Int> {
        guard let alignments, !range.isEmpty else { return originalStart..<originalStart }
        let (start, end) = (Int(alignments[range.lowerBound].start), Int(alignments[range.upperBound - 1].end))
        return start..<max(start, end)
    }
}
