/// The rule that cuts a text into the pieces inside which bytes are merged.
///
/// Each rule is a regular expression in `tokenizer.json`; only known ones are accepted, and each has a scanner written for it,
/// linear in the text whatever the text is.
enum PreTokenizer: Sendable {
    /// The `Split` of Qwen2, Qwen2.5 and Qwen3.
    case qwen2
    /// `ByteLevel` with `use_regex`, as GPT-2.
    case gpt2

    /// Qwen2's expression, as it stands in `tokenizer.json`.
    static let qwen2Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// GPT-2's expression, which `tokenizer.json` does not spell out.
    static let gpt2Pattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// Calls `body` with the range of every piece of a text, in order, nothing left out.
    @inline(__always)
    func forEachPiece(in text: UTF8Text, _ body: (Range<Int>) -> Void) {
        CharacterClass.table.withLookup { classes in
            let scanner = PieceScanner(text: text, classes: classes)
            var start = 0
            while start < text.count {
                let end = self == .qwen2 ? scanner.qwen2PieceEnd(from: start) : scanner.gpt2PieceEnd(from: start)
                body(start..<end)
                start = end
            }
        }
    }
}

/// Matches the alternatives of a pre-tokenizer's expression, in their order.
struct PieceScanner {
    let text: UTF8Text
    let classes: ScalarTable.Lookup

    private static let apostrophe = UInt8(ascii: "'")
    private static let space = UInt8(ascii: " ")
    private static let classMask = CharacterClass.letter | CharacterClass.number | CharacterClass.whitespace

    /// Where the piece that starts at `start` ends, by `PreTokenizer.qwen2Pattern`.
    @inline(__always)
    func qwen2PieceEnd(from start: Int) -> Int {
        let byte = text.bytes[start]
        let first = character(at: start)
        let next = start + first.length
        // (?i:'s|'t|'re|'ve|'m|'ll|'d)
        if byte == Self.apostrophe, let end = contractionEnd(from: next, ignoresCase: true) { return end }
        // [^\r\n\p{L}\p{N}]?\p{L}+
        if first.class == CharacterClass.letter { return end(ofRun: CharacterClass.letter, from: next) }
        // \p{N}
        if first.class == CharacterClass.number { return next }
        let follower = next < text.count ? character(at: next) : (class: CharacterClass.whitespace, length: 0)
        if follower.class == CharacterClass.letter, !isNewline(byte) { return end(ofRun: CharacterClass.letter, from: next + follower.length) }
        //  ?[^\s\p{L}\p{N}]+[\r\n]*
        if first.class == 0 || (byte == Self.space && follower.class == 0) {
            var end = end(ofRun: 0, from: next)
            while end < text.count, isNewline(text.bytes[end]) { end += 1 }
            return end
        }
        // \s*[\r\n]+|\s+(?!\S)|\s+
        return whitespaceEnd(from: start, stopsAtNewline: true)
    }

    /// Where the piece that starts at `start` ends, by `PreTokenizer.gpt2Pattern`.
    @inline(__always)
    func gpt2PieceEnd(from start: Int) -> Int {
        let byte = text.bytes[start]
        let first = character(at: start)
        let next = start + first.length
        // 's|'t|'re|'ve|'m|'ll|'d
        if byte == Self.apostrophe, let end = contractionEnd(from: next, ignoresCase: false) { return end }
        //  ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+
        if first.class != CharacterClass.whitespace { return end(ofRun: first.class, from: next) }
        if byte == Self.space, next < text.count {
            let follower = character(at: next)
            if follower.class != CharacterClass.whitespace { return end(ofRun: follower.class, from: next + follower.length) }
        }
        // \s+(?!\S)|\s+
        return whitespaceEnd(from: start, stopsAtNewline: false)
    }

    /// The class of a character (0: none of letter, number and white space) and its length in bytes.
    @inline(__always)
    private func character(at position: Int) -> (class: UInt8, length: Int) {
        let (scalar, length) = text.scalar(at: position)
        return (classes[scalar] & Self.classMask, length)
    }

    @inline(__always)
    private func isNewline(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

    /// The end of the run of characters of one class.
    @inline(__always)
    private func end(ofRun wanted: UInt8, from start: Int) -> Int {
        var end = start
        while end < text.count {
            let (itsClass, length) = character(at: end)
            guard itsClass == wanted else { break }
            end += length
        }
        return end
    }

    /// The end of `s`, `t`, `re`, `ve`, `m`, `ll` or `d` at `start`, just behind an apostrophe.
    private func contractionEnd(from start: Int, ignoresCase: Bool) -> Int? {
        func letter(_ position: Int) -> UInt8 { position < text.count ? text.bytes[position] | (ignoresCase ? 0x20 : 0) : 0 }
        switch (letter(start), letter(start + 1)) {
        case (UInt8(ascii: "s"), _), (UInt8(ascii: "t"), _), (UInt8(ascii: "m"), _), (UInt8(ascii: "d"), _): return start + 1
        case (UInt8(ascii: "r"), UInt8(ascii: "e")), (UInt8(ascii: "v"), UInt8(ascii: "e")), (UInt8(ascii: "l"), UInt8(ascii: "l")):
            return start + 2
        default:
            // The long s, ſ (U+017F), is an s to whoever ignores case.
            let isLongS = ignoresCase && start + 1 < text.count && text.bytes[start] == 0xC5 && text.bytes[start + 1] == 0xBF
            return isLongS ? start + 2 : nil
        }
    }

    /// White space from `start`: to behind its last newline if that counts, else all but the last character, which the next word takes.
    @inline(__always)
    private func whitespaceEnd(from start: Int, stopsAtNewline: Bool) -> Int {
        var (end, last) = (start, start)
        var newlineEnd: Int?
        while end < text.count {
            let (itsClass, length) = character(at: end)
            guard itsClass == CharacterClass.whitespace else { break }
            last = end
            end += length
            if stopsAtNewline, isNewline(text.bytes[last]) { newlineEnd = end }
        }
        if let newlineEnd { return newlineEnd }
        return end == text.count || last == start ? end : last
    }
}
