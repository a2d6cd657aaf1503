/// What is inside `{{ }}` and `{% %}`.
extension Lexer {
    mutating func tag(_ begin: Token.Kind, at offset: Int) throws(JinjaError) {
        add(begin, at: offset)
        brackets = []
        while true {
            skipSpace()
            let start = position
            if brackets.isEmpty, let end = takeEnd(of: begin) { return add(end, at: start) }
            guard let scalar = peek() else { return }
            if let number = try takeNumber() {
                add(number, at: start)
            } else if scalar.isWord {
                add(.name(try takeName()), at: start)
            } else if scalar == "'" || scalar == "\"", let string = try takeString() {
                add(.string(string), at: start)
            } else {
                add(.symbol(try takeSymbol()), at: start)
            }
        }
    }

    private mutating func takeEnd(of begin: Token.Kind) -> Token.Kind? {
        if begin == .variableBegin {
            if take("-}}") { skipSpace() } else if !take("}}") { return nil }
            return .variableEnd
        }
        if take("+%}") { return .blockEnd }
        if take("-%}") { skipSpace() } else if take("%}") { _ = take("\n") } else { return nil }
        return .blockEnd
    }

    private mutating func takeName() throws(JinjaError) -> Text {
        let start = position
        while let scalar = peek(), scalar.isWord || (!scalar.isASCII && scalar.properties.isXIDContinue) { position += 1 }
        let name = source[start..<position]
        guard let first = name.first, first == "_" || first.properties.isXIDStart,
            name.allSatisfy({ $0 == "_" || $0.properties.isXIDContinue })
        else { throw JinjaError("invalid character in the name '\(Text(name).string)'", at: start) }
        return Text(name)
    }

    private mutating func takeSymbol() throws(JinjaError) -> String {
        let start = position
        for symbol: StaticString in ["//", "**", "==", "!=", ">=", "<="] where take(symbol) { return symbol.description }
        guard let scalar = peek(), "+-/*%~[](){}><=.:|,;".unicodeScalars.contains(scalar) else {
            throw JinjaError("unexpected character \(peek().map { Text([$0]).representation.string } ?? "")", at: start)
        }
        position += 1
        switch scalar {
        case "(": brackets.append(")")
        case "[": brackets.append("]")
        case "{": brackets.append("}")
        case ")", "]", "}":
            guard let expected = brackets.popLast() else { throw JinjaError("unexpected '\(scalar)'", at: start) }
            guard expected == scalar else { throw JinjaError("unexpected '\(scalar)', expected '\(expected)'", at: start) }
        default: break
        }
        return String(Character(scalar))
    }

    // MARK: Numbers

    /// An integer, with Python's prefixes and underscores, or a number with a fraction or an exponent.
    private mutating func takeNumber() throws(JinjaError) -> Token.Kind? {
        guard let first = peek(), ("0"..."9") ~= first else { return nil }
        let start = position
        // After a dot, as in `rows.0.1`, a dot does not begin a fraction.
        let isAfterDot = start > 0 && source[start - 1] == "."
        if !isAfterDot, let end = endOfNumber() {
            position = end
            guard let number = Double(digits(start..<end)) else { throw JinjaError("not a number", at: start) }
            return .number(number)
        }
        let (radix, end) = endOfInteger()
        position = end
        guard let integer = Int(digits((radix == 10 ? start : start + 2)..<end), radix: radix) else {
            throw JinjaError("an integer that does not fit 64 bits", at: start)
        }
        return .integer(integer)
    }

    private func digits(_ range: Range<Int>) -> String {
        Text(source[range].filter { $0 != "_" }).string
    }

    /// The end of a run of digits with single underscores between them.
    private func endOfDigits(from start: Int, _ isDigit: (Unicode.Scalar) -> Bool = { ("0"..."9") ~= $0 }) -> Int? {
        var end = start
        while end < source.count {
            if isDigit(source[end]) {
                end += 1
            } else if end > start, source[end] == "_", end + 1 < source.count, isDigit(source[end + 1]) {
                end += 2
            } else {
                break
            }
        }
        return end > start ? end : nil
    }

    private func endOfNumber() -> Int? {
        guard let whole = endOfDigits(from: position) else { return nil }
        var end = whole
        if end < source.count, source[end] == ".", let fraction = endOfDigits(from: end + 1) { end = fraction }
        if end < source.count, source[end] == "e" || source[end] == "E" {
            let isSigned = end + 1 < source.count && (source[end + 1] == "+" || source[end + 1] == "-")
            if let exponent = endOfDigits(from: end + (isSigned ? 2 : 1)) { end = exponent }
        }
        return end > whole ? end : nil
    }

    private func endOfInteger() -> (radix: Int, end: Int) {
        if source[position] == "0", let prefix = peek(1) {
            let radix =
                switch prefix {
                case "b", "B": 2
                case "o", "O": 8
                case "x", "X": 16
                default: 10
                }
            // An underscore may follow the prefix.
            let first = position + (peek(2) == "_" ? 3 : 2)
            if radix != 10, let end = endOfDigits(from: first, { $0.isASCII && Int(String($0), radix: radix) != nil }) { return (radix, end) }
            // As in Python a decimal does not begin with a zero: "012" is two numbers, which is an error further on.
            return (10, endOfDigits(from: position) { $0 == "0" } ?? position + 1)
        }
        return (10, endOfDigits(from: position) ?? position + 1)
    }

    // MARK: Strings

    /// A string literal with Python's escapes; nil if its closing quote is missing.
    private mutating func takeString() throws(JinjaError) -> Text? {
        let start = position
        let quote = source[start]
        var end = start + 1
        while end < source.count, source[end] != quote { end += source[end] == "\\" ? 2 : 1 }
        guard end < source.count else { return nil }
        position = end + 1
        return try Text(Self.unescaped(source[start + 1..<end], at: start))
    }

    private static func unescaped(_ literal: ArraySlice<Unicode.Scalar>, at offset: Int) throws(JinjaError) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        var rest = literal
        while let scalar = rest.popFirst() {
            guard scalar == "\\", let escape = rest.popFirst() else {
                result.append(scalar)
                continue
            }
            switch escape {
            case "\n": break
            case "\\", "'", "\"": result.append(escape)
            case "a": result.append("\u{07}")
            case "b": result.append("\u{08}")
            case "f": result.append("\u{0C}")
            case "n": result.append("\n")
            case "r": result.append("\r")
            case "t": result.append("\t")
            case "v": result.append("\u{0B}")
            case "0"..."7":
                var digits = [escape]
                while digits.count < 3, let digit = rest.first, ("0"..."7") ~= digit { digits.append(rest.removeFirst()) }
                result.append(try codePoint(digits[...], radix: 8, count: digits.count, at: offset))
            case "x", "u", "U":
                let count = escape == "x" ? 2 : escape == "u" ? 4 : 8
                result.append(try codePoint(rest.prefix(count), radix: 16, count: count, at: offset))
                rest = rest.dropFirst(count)
            case "N": throw JinjaError("the escape \\N{...} is not supported; write the character or \\u", at: offset)
            default: result += ["\\", escape]
            }
        }
        return result
    }

    private static func codePoint(_ digits: ArraySlice<Unicode.Scalar>, radix: Int, count: Int, at offset: Int) throws(JinjaError)
        -> Unicode.Scalar
    {
        // `UInt32(_:radix:)` would take a sign.
        guard digits.count == count, digits.allSatisfy({ $0 != "+" && $0 != "-" }), let value = UInt32(Text(digits).string, radix: radix),
            let scalar = Unicode.Scalar(value)
        else { throw JinjaError("a string with a broken escape, or one that is not a Unicode character", at: offset) }
        return scalar
    }
}
