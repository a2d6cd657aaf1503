internal import CPCRE2

/// Oniguruma's regular expressions (its Ruby syntax, which Hugging Face's tokenizers use) in PCRE2's.
///
/// Both are close; what means something else is rewritten, and what would mean something else and cannot be is refused. Character classes are
/// spelled out for Unicode 16.0, which Oniguruma knows, where PCRE2 may be older.
struct OnigurumaSyntax {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var out = ""

    /// The same expression for PCRE2.
    static func pcre2(_ pattern: String) throws(RegularExpression.Refusal) -> String {
        var syntax = OnigurumaSyntax(scalars: Array(pattern.unicodeScalars))
        try syntax.translate()
        return syntax.out
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private func refusal(_ what: String) -> RegularExpression.Refusal {
        RegularExpression.Refusal(message: "\(what) (character \(position + 1) of the expression)")
    }

    private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take() throws(RegularExpression.Refusal) -> Unicode.Scalar {
        guard let scalar = peek else { throw refusal("the expression ends too early") }
        position += 1
        return scalar
    }

    private mutating func take(_ wanted: String) -> Bool {
        let wanted = Array(wanted.unicodeScalars)
        guard position + wanted.count <= scalars.count, scalars[position..<position + wanted.count].elementsEqual(wanted) else { return false }
        position += wanted.count
        return true
    }

    // MARK: Outside classes

    private mutating func translate() throws(RegularExpression.Refusal) {
        while let scalar = peek {
            position += 1
            switch scalar {
            case "\\": try escape()
            case "[": try bracket()
            case "(": try group()
            case "{": try interval()
            case "$": out += "(?:(?=\\n)|\\z)"
            default: out.unicodeScalars.append(scalar)
            }
        }
    }

    /// Behind `(`.
    private mutating func group() throws(RegularExpression.Refusal) {
        guard take("?") else {
            out += "("
            return
        }
        for plain in [":", "=", "!", ">", "<=", "<!"] where take(plain) {
            out += "(?" + plain
            return
        }
        if take("#") {
            while let scalar = peek, scalar != ")" { position += scalar == "\\" ? 2 : 1 }
            guard take(")") else { throw refusal("a comment without end") }
            return
        }
        let start = position - 2
        var options = ""
        var isOn = true
        while let scalar = peek, scalar != ":", scalar != ")" {
            position += 1
            switch scalar {
            case "i": options += "i"
            // Ruby's m lets . match a newline, which PCRE2 calls s; its ^ and $ always know lines.
            case "m": options += "s"
            case "-" where isOn:
                options += "-"
                isOn = false
            default: throw refusal("the group (?\(scalar) is not supported")
            }
        }
        if take(":") {
            out += "(?\(options):"
        } else if take(")"), start == 0 {
            // For the whole expression; elsewhere Ruby takes the rest of the group, alternatives and all, as one.
            out += "(?\(options))"
        } else {
            throw refusal("options for the rest of a group are not supported")
        }
    }

    /// Behind `{`: a repetition, or a brace.
    private mutating func interval() throws(RegularExpression.Refusal) {
        var end = position
        while end < scalars.count, end - position < 20, scalars[end] != "}" { end += 1 }
        let bounds = scalars[position..<min(end, scalars.count)].split(separator: ",", omittingEmptySubsequences: false)
        let isRepetition =
            end < scalars.count && scalars[end] == "}" && bounds.count <= 2 && bounds.joined().count > 0
            && bounds.joined().allSatisfy { ("0"..."9").contains($0) }
        guard isRepetition else {
            out += "\\{"
            return
        }
        let numbers = bounds.map { String(String.UnicodeScalarView($0)) }
        out += "{" + (numbers[0].isEmpty ? "0" : numbers[0]) + (numbers.count == 2 ? "," + numbers[1] : "") + "}"
        position = end + 1
        if peek == "+" { throw refusal("a + behind a repetition in braces is not supported") }
    }

    private mutating func escape() throws(RegularExpression.Refusal) {
        let scalar = try take()
        switch scalar {
        case "A", "z", "G": out += "\\\(scalar)"
        case "Z": out += "(?=\\n?\\z)"
        case "b": out += "(?:(?<=[\(Self.word)])(?![\(Self.word)])|(?<![\(Self.word)])(?=[\(Self.word)]))"
        case "B": out += "(?:(?<=[\(Self.word)])(?=[\(Self.word)])|(?<![\(Self.word)])(?![\(Self.word)]))"
        case "s": out += "[\(Self.space)]"
        case "S": out += "[^\(Self.space)]"
        case "w": out += "[\(Self.word)]"
        case "W": out += "[^\(Self.word)]"
        case "d": out += "[\(Self.category("Nd"))]"
        case "D": out += "[^\(Self.category("Nd"))]"
        case "h": out += "[0-9A-Fa-f]"
        case "H": out += "[^0-9A-Fa-f]"
        case "p", "P":
            let (content, isNegated) = try property(isNegated: scalar == "P")
            out += isNegated ? "[^\(content)]" : "[\(content)]"
        case "1"..."9": out += "\\\(scalar)"
        default: out += Self.escaped(try character(scalar))
        }
    }

    /// The single character that an escape stands for.
    private mutating func character(_ scalar: Unicode.Scalar) throws(RegularExpression.Refusal) -> Unicode.Scalar {
        switch scalar {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "f": return "\u{C}"
        case "v": return "\u{B}"
        case "a": return "\u{7}"
        case "e": return "\u{1B}"
        case "x":
            if take("{") {
                let value = try hex(upTo: 8)
                guard take("}") else { throw refusal("\\x{...} without end") }
                return value
            }
            let value = try hex(upTo: 2)
            guard value.value < 0x80 else { throw refusal("\\x of a byte that is no character") }
            return value
        case "u": return try hex(upTo: 4, atLeast: 4)
        case "0"..."9", "a"..."z", "A"..."Z": throw refusal("the escape \\\(scalar) is not supported")
        default: return scalar
        }
    }

    private mutating func hex(upTo most: Int, atLeast least: Int = 1) throws(RegularExpression.Refusal) -> Unicode.Scalar {
        var (value, count): (UInt32, Int) = (0, 0)
        while count < most, let scalar = peek, let digit = UInt32(String(scalar), radix: 16) {
            value = value << 4 | digit
            count += 1
            position += 1
        }
        guard count >= least, let scalar = Unicode.Scalar(value) else { throw refusal("not the number of a character") }
        return scalar
    }

    /// A character that means only itself, in a class and outside.
    private static func escaped(_ scalar: Unicode.Scalar) -> String { "\\x{\(String(scalar.value, radix: 16))}" }

    // MARK: Classes

    /// Behind `[`.
    private mutating func bracket() throws(RegularExpression.Refusal) {
        out += take("^") ? "[^" : "["
        var isFirst = true
        while true {
            let scalar = try take()
            switch scalar {
            case "]" where !isFirst:
                out += "]"
                return
            case "[":
                guard take(":") else { throw refusal("a class inside a class is not supported") }
                try posix()
            case "&" where peek == "&": throw refusal("the intersection of classes is not supported")
            case "\\": try classEscape()
            case "-": out += "-"
            default: out += Self.escaped(scalar)
            }
            isFirst = false
        }
    }

    private mutating func classEscape() throws(RegularExpression.Refusal) {
        let scalar = try take()
        switch scalar {
        case "s": out += Self.space
        case "S": out += Self.notSpace
        case "w": out += Self.word
        case "d": out += Self.category("Nd")
        case "h": out += "0-9A-Fa-f"
        case "b": out += "\\x{8}"
        case "p", "P":
            let (content, isNegated) = try property(isNegated: scalar == "P")
            guard !isNegated else {
                guard content.hasPrefix("\\p") else { throw refusal("\\P inside a class is not supported here") }
                // Newer characters than PCRE2's Unicode are in it as unassigned ones.
                out += "\\P" + content.dropFirst(2).prefix { $0 != "}" } + "}"
                return
            }
            out += content
        case "W", "D", "H": throw refusal("\\\(scalar) inside a class is not supported")
        default: out += Self.escaped(try character(scalar))
        }
    }

    /// Behind `[[:`.
    private mutating func posix() throws(RegularExpression.Refusal) {
        var name = ""
        while let scalar = peek, scalar != ":" {
            name.unicodeScalars.append(scalar)
            position += 1
        }
        guard take(":]") else { throw refusal("[: without :]") }
        switch name {
        case "space": out += Self.space
        case "digit": out += Self.category("Nd")
        case "word": out += Self.word
        case "upper": out += Self.category("Lu")
        case "lower": out += Self.category("Ll")
        case "xdigit": out += "0-9A-Fa-f"
        default: throw refusal("the class [:\(name.prefix(40)):] is not supported")
        }
    }

    /// Behind `\p` or `\P`: what to write in a class.
    private mutating func property(isNegated: Bool) throws(RegularExpression.Refusal) -> (content: String, isNegated: Bool) {
        guard take("{") else { throw refusal("\\p without {") }
        let isInverted = take("^")
        var name = ""
        while let scalar = peek, scalar != "}" {
            name.unicodeScalars.append(scalar)
            position += 1
        }
        guard take("}") else { throw refusal("\\p{ without }") }
        let isNegated = isNegated != isInverted
        if Self.categories.contains(name) { return (Self.category(name), isNegated) }
        if Self.scripts.contains(name) { return ("\\p{sc:\(name)}" + (name == "Han" && Self.isOlder ? Self.newHan : ""), isNegated) }
        throw refusal("the property \\p{\(name.prefix(40))} is not supported")
    }

    // MARK: Unicode

    private static let categories: Set<String> = [
        "C", "Cc", "Cf", "Cn", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf",
        "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
    ]

    private static let scripts: Set<String> = [
        "Arabic", "Armenian", "Bengali", "Bopomofo", "Common", "Cyrillic", "Devanagari", "Ethiopic", "Georgian", "Greek", "Gujarati", "Gurmukhi",
        "Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer", "Lao", "Latin", "Malayalam", "Mongolian", "Myanmar", "Sinhala",
        "Tamil", "Telugu", "Thai", "Tibetan",
    ]

    /// Han characters of Unicode 15.0 and 15.1.
    private static let newHan = "\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"

    /// Whether PCRE2's Unicode is older than the tables' 16.0.
    private static let isOlder: Bool = {
        var version = [UInt8](repeating: 0, count: 64)
        pcre2_config_8(UInt32(PCRE2_CONFIG_UNICODE_VERSION), &version)
        return (Int(String(decoding: version.prefix { $0 != UInt8(ascii: ".") }, as: UTF8.self)) ?? 0) < 16
    }()

    /// A general category, with the characters that are newer than PCRE2 knows.
    private static func category(_ name: String) -> String {
        guard isOlder else { return "\\p{\(name)}" }
        let newer = UnicodeTables.newerCharacters.filter { $0.category.hasPrefix(name) }
        return "\\p{\(name)}" + newer.map { range($0.first, $0.last) }.joined()
    }

    private static func range(_ first: UInt32, _ last: UInt32) -> String {
        let start = "\\x{\(String(first, radix: 16))}"
        return first == last ? start : start + "-\\x{\(String(last, radix: 16))}"
    }

    /// `\s`: the property White_Space.
    private static let space = stride(from: 0, to: UnicodeTables.whitespace.count, by: 2)
        .map { range(UnicodeTables.whitespace[$0], UnicodeTables.whitespace[$0 + 1]) }.joined()

    private static let notSpace: String = {
        let flat = UnicodeTables.whitespace
        let starts = [0] + stride(from: 1, to: flat.count, by: 2).map { flat[$0] + 1 }
        let ends = stride(from: 0, to: flat.count, by: 2).map { flat[$0] - 1 } + [0x10FFFF]
        return zip(starts, ends).map { range($0, $1) }.joined()
    }()

    /// `\w`: letters, marks, decimal and letter-like numbers, connectors, and the circled letters.
    private static let word =
        ["L", "M", "Nd", "Nl", "Pc"].map(category).joined()
        + [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]
        .map { range($0, $1) }.joined()
}
