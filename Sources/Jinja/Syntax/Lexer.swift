/// Cuts a template's source into tokens: the text between tags here, what is inside a tag in `Lexer+Tags`.
struct Lexer {
    let source: [Unicode.Scalar]
    var position = 0
    private var found: [Token] = []
    /// Brackets that are open inside a tag: within them `}}` and `%}` do not end it.
    var brackets: [Unicode.Scalar] = []

    init(_ source: [Unicode.Scalar]) { self.source = source }

    /// The scalars of a template's text: `\n` for every line ending, and the last one dropped, as Jinja2 does.
    static func normalized(_ text: String) -> [Unicode.Scalar] {
        var source = normalizedLineEndings(text.unicodeScalars)
        if source.last == "\n" { source.removeLast() }
        return source
    }

    static func normalizedLineEndings(_ text: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        var previous: Unicode.Scalar?
        for scalar in text {
            // The line feed of "\r\n" was written at the carriage return.
            if !(scalar == "\n" && previous == "\r") { result.append(scalar == "\r" ? "\n" : scalar) }
            previous = scalar
        }
        return result
    }

    /// All tokens, the last of them `.end`.
    mutating func tokens() throws(JinjaError) -> [Token] {
        while let tag = nextTag() {
            let start = position
            position = tag + 2
            let sign = takeSign()
            data(start, upTo: tag, keepingIndent: source[tag + 1] == "{" || sign != nil, stripping: sign == "-")
            switch source[tag + 1] {
            case "#": try comment(from: tag)
            case "%":
                if takeRawBegin() { try raw(from: tag) } else { try self.tag(.blockBegin, at: tag) }
            default: try self.tag(.variableBegin, at: tag)
            }
        }
        data(position, upTo: source.count, keepingIndent: true)
        add(.end, at: source.count)
        return found
    }

    mutating func add(_ kind: Token.Kind, at offset: Int) {
        found.append(Token(kind: kind, offset: offset))
    }

    func peek(_ distance: Int = 0) -> Unicode.Scalar? {
        position + distance < source.count ? source[position + distance] : nil
    }

    /// Takes a text, if the source goes on with it.
    mutating func take(_ text: StaticString) -> Bool {
        var end = position
        for index in 0..<text.utf8CodeUnitCount {
            guard end < source.count, source[end].value == UInt32(text.utf8Start[index]) else { return false }
            end += 1
        }
        position = end
        return true
    }

    mutating func skipSpace() {
        while let scalar = peek(), scalar.isSpace { position += 1 }
    }

    /// Where the next `{{`, `{%` or `{#` is.
    private func nextTag() -> Int? {
        var index = position
        while index + 1 < source.count {
            if source[index] == "{", source[index + 1] == "{" || source[index + 1] == "%" || source[index + 1] == "#" { return index }
            index += 1
        }
        return nil
    }

    private mutating func takeSign() -> Unicode.Scalar? {
        guard let sign = peek(), sign == "-" || sign == "+" else { return nil }
        position += 1
        return sign
    }

    /// The text in front of a tag: without the white space at its end, without the tag's indent, or as it is.
    private mutating func data(_ start: Int, upTo end: Int, keepingIndent: Bool, stripping: Bool = false) {
        var end = end
        if stripping {
            while end > start, source[end - 1].isSpace { end -= 1 }
        } else if !keepingIndent {
            var indent = end
            while indent > start, source[indent - 1] != "\n", source[indent - 1].isSpace { indent -= 1 }
            let isLineStart = indent == 0 || source[indent - 1] == "\n"
            if isLineStart { end = indent }
        }
        if end > start { add(.data(Text(source[start..<end])), at: start) }
    }

    // MARK: Comments and raw text

    private mutating func comment(from tag: Int) throws(JinjaError) {
        while position < source.count {
            if take("+#}") { return }
            if take("-#}") { return skipSpace() }
            if take("#}") {
                _ = take("\n")
                return
            }
            position += 1
        }
        throw JinjaError("a comment that does not end: '#}' is missing", at: tag)
    }

    /// Takes the rest of `{% raw %}`, if that is what this tag is.
    private mutating func takeRawBegin() -> Bool {
        let start = position
        skipSpace()
        if take("raw") {
            skipSpace()
            if take("%}") { return true }
            if take("-%}") {
                skipSpace()
                return true
            }
        }
        position = start
        return false
    }

    private mutating func raw(from tag: Int) throws(JinjaError) {
        let start = position
        while position < source.count {
            let end = position
            if take("{%") {
                let sign = takeSign()
                skipSpace()
                if take("endraw") {
                    skipSpace()
                    let isEnd = take("+%}") || take("%}")
                    let isStripping = !isEnd && take("-%}")
                    if isEnd || isStripping {
                        if isStripping { skipSpace() } else if source[position - 3] != "+" { _ = take("\n") }
                        return data(start, upTo: end, keepingIndent: sign != nil, stripping: sign == "-")
                    }
                }
            }
            position = end + 1
        }
        throw JinjaError("raw text that does not end: '{% endraw %}' is missing", at: tag)
    }
}
