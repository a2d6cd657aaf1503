/// A word of LaTeX.
enum MathToken: Hashable {
    /// Digits with at most one point.
    case number(String)
    /// A letter, or a Greek letter's name.
    case symbol(String)
    /// A command without its backslash, of those that mean something to the parser.
    case command(String)
    /// `\text{...}` and words of three letters and more: a unit, or a name.
    case text(String)
    case mark(Unicode.Scalar)
}

/// Cuts LaTeX into tokens and drops what only changes how it looks.
struct MathLexer {
    private let text: [Unicode.Scalar]
    private var position = 0
    private var depth = 0

    /// Tokens that an answer may have: longer ones are no answers.
    static let longest = 1000

    init(_ text: [Unicode.Scalar]) { self.text = text }

    /// The tokens; nil where there is something that no answer has.
    static func tokens(of text: [Unicode.Scalar]) -> [MathToken]? {
        var lexer = MathLexer(text)
        var tokens: [MathToken] = []
        while lexer.position < text.count {
            guard lexer.next(into: &tokens), tokens.count <= longest else { return nil }
        }
        return tokens
    }

    private mutating func next(into tokens: inout [MathToken]) -> Bool {
        let scalar = text[position]
        switch scalar {
        case "0"..."9": tokens.append(number())
        case "." where position + 1 < text.count && isDigit(text[position + 1]): tokens.append(number())
        case ".":
            // The end of a sentence.
            position += 1
            return text[position...].allSatisfy(\.isPythonSpace)
        case "a"..."z", "A"..."Z": word(into: &tokens)
        case "\\": return command(into: &tokens)
        case "$", "~", "\u{B0}": position += 1
        default:
            position += 1
            if scalar.isPythonSpace { break }
            if let name = Self.unicode[scalar] {
                tokens.append(Self.greek.contains(name) ? .symbol(name) : .command(name))
            } else if Self.marks.contains(scalar) {
                if "([".unicodeScalars.contains(scalar) { depth += 1 }
                if ")]".unicodeScalars.contains(scalar) { depth -= 1 }
                tokens.append(.mark(scalar == "\u{2212}" ? "-" : scalar))
            } else {
                return false
            }
        }
        return true
    }

    /// Digits, a point and digits; commas between thousands go where they cannot separate two numbers of a list in brackets.
    private mutating func number() -> MathToken {
        var digits = run()
        var groups = digits.count <= 3 && digits.first != "0"
        while groups {
            let comma: Int
            if depth == 0, starts(with: ",") {
                comma = 1
            } else if depth == 0, starts(with: ",\\!") {
                comma = 3
            } else if starts(with: "{,}") {
                comma = 3
            } else {
                break
            }
            let group = text[(position + comma)...].prefix(while: isDigit)
            groups = group.count == 3
            if groups {
                digits += String(String.UnicodeScalarView(group))
                position += comma + 3
            }
        }
        if position + 1 < text.count, text[position] == ".", isDigit(text[position + 1]) {
            position += 1
            digits += "." + run()
        }
        return .number(digits)
    }

    private mutating func run() -> String {
        let digits = text[position...].prefix(while: isDigit)
        position += digits.count
        return String(String.UnicodeScalarView(digits))
    }

    private mutating func letters() -> String {
        let letters = text[position...].prefix { ("a"..."z").contains($0) || ("A"..."Z").contains($0) }
        position += letters.count
        return String(String.UnicodeScalarView(letters))
    }

    /// Letters side by side are variables, unless they are a function's name or long enough for a word.
    private mutating func word(into tokens: inout [MathToken]) {
        let word = letters()
        if ["and", "or"].contains(word) {
            tokens.append(.mark(","))
        } else if MathExpression.functions[word] != nil || ["sqrt", "pi", "infinity"].contains(word) {
            tokens.append(.command(word == "infinity" ? "infty" : word))
        } else if word.utf8.count >= 3 {
            tokens.append(.text(word))
        } else {
            tokens += word.map { .symbol(String($0)) }
        }
    }

    private mutating func command(into tokens: inout [MathToken]) -> Bool {
        position += 1
        guard position < text.count else { return false }
        let name = letters()
        guard !name.isEmpty else {
            let scalar = text[position]
            position += 1
            switch scalar {
            case ",", ";", ":", "!", " ", "$", "\\", "(", ")", "[", "]", "\n": break
            case "%": tokens.append(.mark("%"))
            case "{", "}": tokens.append(.command(String(scalar)))
            case "|": tokens.append(.mark("|"))
            default: return false
            }
            return true
        }
        switch name {
        case "left", "right", "middle":
            // \left. and \right. draw nothing.
            if position < text.count, text[position] == "." { position += 1 }
        case "text", "mathrm", "textbf", "mathbf", "textit", "mathit", "mbox", "operatorname", "textrm", "textnormal", "bold", "boldsymbol", "mathsf":
            guard let content = braces() else { return false }
            let word = content.trimmed
            if name != "text", word.count == 1, ("a"..."z").contains(word[word.startIndex]) || ("A"..."Z").contains(word[word.startIndex]) {
                tokens.append(.symbol(String(word[word.startIndex])))
            } else if word.allSatisfy(isDigit), !word.isEmpty {
                tokens.append(.number(String(String.UnicodeScalarView(word))))
            } else {
                let lower = String(String.UnicodeScalarView(word)).lowercased()
                if ["and", "or", ","].contains(lower) { tokens.append(.mark(",")) } else if !word.isEmpty { tokens.append(.text(lower)) }
            }
        case "circ", "degree":
            // 90^\circ is 90.
            if tokens.last == .mark("^") { tokens.removeLast() }
        case _ where Self.looks.contains(name): break
        case _ where Self.greek.contains(name): tokens.append(.symbol(name))
        default: tokens.append(.command(Self.synonyms[name] ?? name))
        }
        return true
    }

    /// What stands in the braces that follow, which may have braces inside.
    private mutating func braces() -> [Unicode.Scalar]? {
        while position < text.count, text[position].isPythonSpace { position += 1 }
        guard position < text.count, text[position] == "{", let end = text.closingBrace(of: position) else { return nil }
        defer { position = end + 1 }
        return Array(text[(position + 1)..<end])
    }

    private func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
    private func starts(with other: String) -> Bool { text[position...].starts(with: other.unicodeScalars) }

    private static let marks: Set<Unicode.Scalar> = [
        "+", "-", "\u{2212}", "*", "/", ":", "^", "_", "(", ")", "[", "]", "{", "}", "|", "!", "%", ",", ";", "=", "<", ">",
    ]
    private static let looks: Set<String> = [
        "displaystyle", "textstyle", "limits", "quad", "qquad", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "mathstrut",
    ]
    private static let greek: Set<String> = [
        "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "rho",
        "sigma",
        "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega",
    ]
    private static let synonyms = [
        "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "leq": "le", "leqslant": "le", "geq": "ge",
        "geqslant": "ge",
        "neq": "ne", "lt": "<", "gt": ">", "cdot": "*", "times": "*", "ast": "*", "div": "/", "lbrace": "{", "rbrace": "}", "lvert": "|",
        "rvert": "|",
        "vert": "|", "mid": "|", "emptyset": "varnothing", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "colon": ":",
    ]
    private static let unicode: [Unicode.Scalar: String] = [
        "×": "*", "·": "*", "÷": "/", "π": "pi", "∞": "infty", "√": "sqrt", "≤": "le", "≥": "ge", "≠": "ne", "±": "pm", "∪": "cup", "∈": "in",
        "∅": "varnothing",
        "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "θ": "theta", "λ": "lambda", "μ": "mu", "ρ": "rho", "σ": "sigma", "φ": "phi",
        "ω": "omega",
    ]
}

extension [Unicode.Scalar] {
    /// Where the brace that opens at `open` closes, at most `limit` scalars behind it; one behind a backslash is no brace.
    func closingBrace(of open: Int, within limit: Int = .max) -> Int? {
        var depth = 0
        var index = open
        while index < count, index - open <= limit {
            switch self[index] {
            case "\\": index += 1
            case "{": depth += 1
            case "}":
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
            index += 1
        }
        return nil
    }
}
