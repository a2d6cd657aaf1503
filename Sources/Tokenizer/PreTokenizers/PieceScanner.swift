/// Cuts a text by the expressions that most tokenizers have, each written out as a walk over bytes, linear in the text whatever the text is.
struct PieceScanner {
    /// A known expression.
    enum Rule: Sendable, Equatable {
        /// `ByteLevel` with `use_regex`, as GPT-2.
        case gpt2
        /// The `Split` of Llama 3 and Qwen2: they differ in how many digits make a piece.
        case llama3(digits: Int)
        /// `Digits`: numbers apart from the rest, each character alone if `individually`.
        case digits(individually: Bool)
    }

    /// GPT-2's expression, which `tokenizer.json` need not spell out.
    static let gpt2Pattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// Qwen2's expression, as it stands in `tokenizer.json`.
    static let qwen2Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// Llama 3's.
    static let llama3Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// The rule for an expression whose matches are the pieces; nil if it has none.
    static func rule(for pattern: String) -> Rule? {
        let known = [(gpt2Pattern, Rule.gpt2), (qwen2Pattern, .llama3(digits: 1)), (llama3Pattern, .llama3(digits: 3))]
        return known.first { $0.0.utf8.elementsEqual(pattern.utf8) }?.1
    }

    /// Calls `body` with the range of every piece of a text, in order, nothing left out.
    @inline(__always)
    static func forEachPiece(in text: UTF8Text, _ rule: Rule, _ body: (Range<Int>) -> Void) {
        let scanner = PieceScanner(text: text, classes: CharacterClass.table)
        var start = 0
        switch rule {
        case .gpt2:
            while start < text.count {
                let end = scanner.gpt2PieceEnd(from: start)
                body(start..<end)
                start = end
            }
        case .llama3(let digits):
            while start < text.count {
                let end = scanner.llama3PieceEnd(from: start, digits: digits)
                body(start..<end)
                start = end
            }
        case .digits(let individually):
            while start < text.count {
                let end = scanner.digitsPieceEnd(from: start, individually: individually)
                body(start..<end)
                start = end
            }
        }
    }

    private let text: UTF8Text
    private let classes: ScalarTable

    private static let apostrophe = UInt8(ascii: "'")
    private static let space = UInt8(ascii: " ")
    private static let classMask = CharacterClass.letter | CharacterClass.number | CharacterClass.whitespace

    // MARK: The expressions

    /// Where the piece that starts at `start` ends, by `llama3Pattern` with so many digits.
    @inline(__always)
    private func llama3PieceEnd(from start: Int, digits: Int) -> Int {
        let byte = text.bytes[start]
        let first = character(at: start)
        let next = start + first.length
        // (?i:'s|'t|'re|'ve|'m|'ll|'d)
        if byte == Self.apostrophe, let end = contractionEnd(from: next, ignoresCase: true) { return end }
        // [^\r\n\p{L}\p{N}]?\p{L}+
        if first.class == CharacterClass.letter { return end(ofRun: CharacterClass.letter, from: next) }
        // \p{N}{1,digits}
        if first.class == CharacterClass.number { return numberEnd(from: next, most: digits - 1) }
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

    /// Where the piece that starts at `start` ends, by `gpt2Pattern`.
    @inline(__always)
    private func gpt2PieceEnd(from start: Int) -> Int {
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

    private func digitsPieceEnd(from start: Int, individually: Bool) -> Int {
        var end = start
        var isNumber = false
        while end < text.count {
            let (itsClass, length) = character(at: end)
            if end == start {
                isNumber = itsClass == CharacterClass.number
            } else if isNumber != (itsClass == CharacterClass.number) {
                break
            }
            end += length
            if isNumber, individually { break }
        }
        return end
    }

    // MARK: Their parts

    /// The class of a character (0: none of letter, number and white space) and its length in bytes.
    @inline(__always)
    private func character(at position: Int) -> (class: UInt8, length: Int) {
        let lead = text.bytes[position]
        if lead < 0x80 { return (classes.ascii(lead) & Self.classMask, 1) }
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

    /// Behind at most so many numbers more.
    @inline(__always)
    private func numberEnd(from start: Int, most: Int) -> Int {
        var end = start
        var left = most
        while left > 0, end < text.count {
            let (itsClass, length) = character(at: end)
            guard itsClass == CharacterClass.number else { break }
            end += length
            left -= 1
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
