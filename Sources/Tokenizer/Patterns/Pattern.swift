/// What a `Split` or `Replace` looks for.
enum Pattern: Sendable {
    /// Bytes as they are, not none.
    case literal([UInt8])
    /// Every single character of some classes (bits of `CharacterClass`).
    case characters(UInt8)
    /// Runs of word characters, and runs of what is neither word nor white space: the `Whitespace` pre-tokenizer's `\w+|[^\w\s]+`.
    case wordsAndSymbols
    /// A regular expression.
    case expression(RegularExpression)

    /// A part of a text: a match, or what stands between two.
    struct Part {
        var range: Range<Int>
        var isMatch: Bool
    }

    /// The whole text (not empty) as matches and what stands between them.
    func matches(in text: UTF8Text) throws(TokenizerError) -> [Part] {
        var parts: [Part] = []
        var end = 0
        func add(_ match: Range<Int>) {
            if end != match.lowerBound { parts.append(Part(range: end..<match.lowerBound, isMatch: false)) }
            parts.append(Part(range: match, isMatch: true))
            end = match.upperBound
        }
        switch self {
        case .literal(let wanted): Self.findLiteral(wanted, in: text, add)
        case .characters(let classes):
            var position = 0
            while position < text.count {
                let (scalar, length) = text.scalar(at: position)
                if CharacterClass.table[scalar] & classes != 0 { add(position..<position + length) }
                position += length
            }
        case .wordsAndSymbols: Self.findWordsAndSymbols(in: text, add)
        case .expression(let expression): try expression.findAll(in: text, add)
        }
        if end != text.count { parts.append(Part(range: end..<text.count, isMatch: false)) }
        return parts
    }

    /// Calls `found` with every place of some bytes, from left to right, none overlapping.
    static func findLiteral(_ wanted: [UInt8], in text: UTF8Text, _ found: (Range<Int>) -> Void) {
        wanted.withUnsafeBufferPointer { wanted in
            guard let first = wanted.first else { return }
            var position = 0
            while position + wanted.count <= text.count {
                if text.bytes[position] == first,
                    Vocabulary.equal(UnsafeBufferPointer(rebasing: text.bytes[position..<position + wanted.count]), wanted)
                {
                    found(position..<position + wanted.count)
                    position += wanted.count
                } else {
                    position += 1
                }
            }
        }
    }

    private static func findWordsAndSymbols(in text: UTF8Text, _ found: (Range<Int>) -> Void) {
        var (start, kind) = (0, UInt8(0))
        var position = 0
        while position < text.count {
            let (scalar, length) = text.scalar(at: position)
            // A word, white space, or neither.
            let its = CharacterClass.table[scalar] & (CharacterClass.word | CharacterClass.whitespace)
            if position > 0, its != kind {
                if kind != CharacterClass.whitespace { found(start..<position) }
                start = position
            }
            kind = its
            position += length
        }
        if start < position, kind != CharacterClass.whitespace { found(start..<position) }
    }
}
