/// Reads an answer in LaTeX, or as people type it: numbers, fractions, roots, powers, percent, functions, sets, points, intervals, unions, relations.
struct MathParser {
    private let tokens: ArraySlice<MathToken>
    private var position: Int
    /// What `\pm` means this time.
    private let plusMinus: MathExpression
    private var depth = 0
    private var bars = 0

    /// Groups inside each other.
    private static let deepest = 60

    /// The answer; nil where it cannot be read.
    static func answer(_ text: [Unicode.Scalar]) -> MathAnswer? {
        MathLexer.tokens(of: text).flatMap { answer($0[...], depth: 0) }
    }

    /// A list of answers, or the one that it has.
    private static func answer(_ tokens: ArraySlice<MathToken>, depth: Int) -> MathAnswer? {
        guard depth <= deepest else { return nil }
        var tokens = tokens
        while tokens.last == .mark(",") || tokens.last == .mark(";") { tokens.removeLast() }
        let parts = split(tokens, at: [.mark(","), .mark(";")]).filter { !$0.isEmpty }
        var answers: [MathAnswer] = []
        for part in parts {
            guard let answer = item(part, depth: depth) else { return nil }
            // Both values of a \pm are members of the list.
            if parts.count > 1, case .set(let both) = answer, part.contains(.command("pm")) { answers += both } else { answers.append(answer) }
        }
        return answers.count == 1 ? answers[0] : answers.isEmpty ? nil : .set(answers)
    }

    /// Cuts where no bracket is open.
    private static func split(_ tokens: ArraySlice<MathToken>, at marks: [MathToken]) -> [ArraySlice<MathToken>] {
        var parts: [ArraySlice<MathToken>] = []
        var depth = 0
        var start = tokens.startIndex
        for index in tokens.indices {
            switch tokens[index] {
            case .mark("("), .mark("["), .mark("{"), .command("{"): depth += 1
            case .mark(")"), .mark("]"), .mark("}"), .command("}"): depth -= 1
            case let token where depth == 0 && marks.contains(token):
                parts.append(tokens[start..<index])
                start = index + 1
            default: break
            }
        }
        return parts + [tokens[start...]]
    }

    private static func item(_ tokens: ArraySlice<MathToken>, depth: Int) -> MathAnswer? {
        if tokens.count == 1, case .text(let word)? = tokens.first {
            return .text(String(word.lowercased().filter { !"()".contains($0) }))
        }
        let members = split(tokens, at: [.command("cup")])
        if members.count > 1 {
            var sets: [MathAnswer] = []
            for member in members {
                guard let set = item(member, depth: depth + 1) else { return nil }
                sets.append(set)
            }
            return .union(sets)
        }
        // x \in S and (x, y) = (1, 2) say what stands on the right.
        let sides = split(tokens, at: [.command("in"), .mark("=")])
        if let collection = collection(sides[sides.count - 1], depth: depth) { return collection }
        let tokens = tokens.contains(.command("in")) ? sides[sides.count - 1] : tokens
        if tokens.count == 1, tokens.first == .command("varnothing") { return .set([]) }
        guard tokens.contains(.command("pm")) || tokens.contains(.command("mp")) else { return relation(tokens, plusMinus: 1) }
        guard let plus = relation(tokens, plusMinus: 1), let minus = relation(tokens, plusMinus: -1) else { return nil }
        return .set([plus, minus])
    }

    /// `{...}`, `(a, b)`, `[a, b)`; nil for what is no such thing, and for one expression in brackets.
    private static func collection(_ tokens: ArraySlice<MathToken>, depth: Int) -> MathAnswer? {
        guard tokens.count >= 2, let first = tokens.first, let last = tokens.last else { return nil }
        let isBraced = first == .command("{")
        guard isBraced && last == .command("}") || [.mark("("), .mark("[")].contains(first) && [.mark(")"), .mark("]")].contains(last) else {
            return nil
        }
        let inside = tokens.dropFirst().dropLast()
        // (1, 2) + (3, 4) opens and closes on the way.
        var open = 0
        for token in inside {
            if [.mark("("), .mark("["), .command("{")].contains(token) { open += 1 }
            if [.mark(")"), .mark("]"), .command("}")].contains(token) { open -= 1 }
            if open < 0 { return nil }
        }
        if isBraced, inside.isEmpty { return .set([]) }
        let parts = split(inside, at: [.mark(","), .mark(";")])
        guard isBraced || parts.count > 1 else { return nil }
        var answers: [MathAnswer] = []
        for part in parts {
            guard let answer = answer(part, depth: depth + 1) else { return nil }
            answers.append(answer)
        }
        if isBraced { return .set(answers) }
        let (isOpenBelow, isOpenAbove) = (first == .mark("("), last == .mark(")"))
        if isOpenBelow == isOpenAbove, isOpenBelow || answers.count != 2 { return .tuple(answers) }
        return answers.count == 2 ? .interval(answers[0], answers[1], isOpenBelow: isOpenBelow, isOpenAbove: isOpenAbove) : nil
    }

    /// An expression, or several with relations between them.
    private static func relation(_ tokens: ArraySlice<MathToken>, plusMinus: Int) -> MathAnswer? {
        var parser = MathParser(tokens, plusMinus: plusMinus)
        guard let first = parser.sum() else { return nil }
        var sides = [first]
        var signs: [String] = []
        while let sign = parser.relationSign() {
            guard let side = parser.sum() else { return nil }
            signs.append(sign)
            sides.append(side)
        }
        guard parser.position == tokens.endIndex else { return nil }
        return signs.isEmpty ? .expression(first) : .relation(sides, signs)
    }

    private init(_ tokens: ArraySlice<MathToken>, plusMinus: Int) {
        self.tokens = tokens
        self.plusMinus = .number(MathNumber(Double(plusMinus)))
        position = tokens.startIndex
    }

    private mutating func relationSign() -> String? {
        let signs: [MathToken: String] = [
            .mark("="): "=", .mark("<"): "<", .mark(">"): ">", .command("<"): "<", .command(">"): ">", .command("le"): "<=", .command("ge"): ">=",
            .command("ne"): "!=", .command("approx"): "=",
        ]
        guard let token = peek, var sign = signs[token] else { return nil }
        position += 1
        if sign == "<" || sign == ">", take(.mark("=")) { sign += "=" }
        return sign
    }

    private mutating func sum() -> MathExpression? {
        var result: MathExpression?
        while true {
            let sign: MathExpression?
            switch peek {
            case .mark("+"): sign = .number(MathNumber(1)!)
            case .mark("-"): sign = .number(MathNumber(-1)!)
            case .command("pm"): sign = plusMinus
            case .command("mp"): sign = .negative(plusMinus)
            default:
                guard result == nil else { return result }
                sign = nil
            }
            if sign != nil { position += 1 }
            guard let term = term() else { return nil }
            let signed = sign.map { .product($0, term) } ?? term
            result = result.map { .sum($0, signed) } ?? signed
        }
    }

    private mutating func term() -> MathExpression? {
        guard var result = factor() else { return nil }
        while let token = peek {
            switch token {
            case .mark("*"), .command("*"):
                position += 1
                guard let next = factor() else { return nil }
                result = .product(result, next)
            case .mark("/"), .mark(":"), .command("/"), .command(":"):
                position += 1
                guard let next = factor() else { return nil }
                result = .quotient(result, next)
            case .text: skipUnit()
            case .command("frac") where isMixed():
                guard let fraction = factor() else { return nil }
                result = .sum(result, fraction)
            // 2 3 is a list without its comma, not six.
            case .number where isNumber(before: position): return nil
            case .number, .symbol, .mark("("), .mark("["), .mark("{"):
                guard let next = factor() else { return nil }
                result = .product(result, next)
            case .mark("|") where bars == 0:
                guard let next = factor() else { return nil }
                result = .product(result, next)
            case .command(let name) where Self.startsFactor(name):
                guard let next = factor() else { return nil }
                result = .product(result, next)
            default: return result
            }
        }
        return result
    }

    /// A sign, a value, and what stands behind it: `!`, `%`, an exponent.
    private mutating func factor() -> MathExpression? {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.deepest else { return nil }
        if take(.mark("-")) { return factor().map { .negative($0) } }
        if take(.mark("+")) { return factor() }
        guard var result = primary() else { return nil }
        while let token = peek {
            switch token {
            case .mark("!"):
                position += 1
                result = .function("factorial", [result])
            case .mark("%"):
                position += 1
                result = .percent(result)
            case .mark("^"):
                position += 1
                // What is left of ^{\circ}.
                if tokens[position...].starts(with: [.mark("{"), .mark("}")]) {
                    position += 2
                    continue
                }
                guard let exponent = argument() else { return nil }
                result = .power(result, exponent)
            default: return result
            }
        }
        return result
    }

    private mutating func primary() -> MathExpression? {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.deepest, let token = peek else { return nil }
        position += 1
        switch token {
        case .number(let digits): return Self.number(digits)
        case .symbol(let name): return symbol(name)
        case .text(let word): return .symbol(word.lowercased())
        case .mark("("): return group(.mark(")"))
        case .mark("["): return group(.mark("]"))
        case .mark("{"): return group(.mark("}"))
        case .mark("|"), .command("|"):
            bars += 1
            defer { bars -= 1 }
            guard let inside = sum(), take(.mark("|")) || take(.command("|")) else { return nil }
            return .function("abs", [inside])
        case .command("lfloor"): return group(.command("rfloor")).map { .function("floor", [$0]) }
        case .command("lceil"): return group(.command("rceil")).map { .function("ceil", [$0]) }
        case .command("pi"): return .number(MathNumber(.pi))
        case .command("infty"): return .number(MathNumber(.infinity))
        case .command("frac"): return pair().map { .quotient($0, $1) }
        case .command("binom"): return pair().map { .function("binom", [$0, $1]) }
        case .command("sqrt"): return root()
        case .command(let name): return function(name)
        default: return nil
        }
    }

    /// The value in brackets or bars; a bar that was open outside does not end in here.
    private mutating func group(_ close: MathToken) -> MathExpression? {
        let outside = bars
        bars = 0
        defer { bars = outside }
        guard let inside = sum(), take(close) else { return nil }
        return inside
    }

    /// A letter with its index; e is Euler's number.
    private mutating func symbol(_ name: String) -> MathExpression? {
        guard take(.mark("_")) else { return name == "e" ? .number(MathNumber(2.718281828459045)) : .symbol(name) }
        let start = position
        guard argument() != nil else { return nil }
        let index = tokens[start..<position].map { token in
            switch token {
            case .number(let text), .symbol(let text), .text(let text), .command(let text): text
            case .mark(let mark): mark == "{" || mark == "}" ? "" : String(mark)
            }
        }
        return .symbol(name + "_" + index.joined())
    }

    private mutating func root() -> MathExpression? {
        var index = MathExpression.number(MathNumber(2)!)
        if take(.mark("[")) {
            guard let given = group(.mark("]")) else { return nil }
            index = given
        }
        return argument().map { .power($0, .quotient(.number(MathNumber(1)!), index)) }
    }

    private mutating func function(_ name: String) -> MathExpression? {
        guard MathExpression.functions[name] != nil else { return nil }
        var arguments: [MathExpression] = []
        if name == "log" {
            if take(.mark("_")) {
                guard let base = argument() else { return nil }
                arguments.append(base)
            } else {
                arguments.append(.number(MathNumber(10)!))
            }
        }
        var power: MathExpression?
        if take(.mark("^")) {
            guard let exponent = argument() else { return nil }
            power = exponent
        }
        // \sin 2x is the sine of 2x, \sin(x) y is not that of xy.
        let isBracketed = peek == .mark("(") || peek == .mark("{")
        guard var inside = factor() else { return nil }
        while !isBracketed, let token = peek {
            switch token {
            case .symbol, .command("pi"), .command("sqrt"), .command("frac"): break
            case .mark("/"): break
            default:
                arguments.append(inside)
                return applied(name, arguments, power)
            }
            let isQuotient = take(.mark("/"))
            guard let next = factor() else { return nil }
            inside = isQuotient ? .quotient(inside, next) : .product(inside, next)
        }
        arguments.append(inside)
        return applied(name, arguments, power)
    }

    private func applied(_ name: String, _ arguments: [MathExpression], _ power: MathExpression?) -> MathExpression {
        let result = MathExpression.function(name, arguments)
        return power.map { .power(result, $0) } ?? result
    }

    /// What a command or `^` takes: a group, a number with its sign, a letter. `\frac12` takes two digits of one number.
    private mutating func argument() -> MathExpression? {
        if take(.mark("{")) { return group(.mark("}")) }
        let isNegative = take(.mark("-"))
        guard let value = primary() else { return nil }
        return isNegative ? .negative(value) : value
    }

    private mutating func pair() -> (MathExpression, MathExpression)? {
        // \frac12 and \frac1{23}: the first digit is the numerator.
        if case .number(let digits)? = peek, digits.utf8.count == 2, !digits.contains("."), let value = Int(digits),
            let above = MathNumber(value / 10),
            let below = MathNumber(value % 10)
        {
            position += 1
            return (.number(above), .number(below))
        }
        guard let above = argument(), let below = argument() else { return nil }
        return (above, below)
    }

    /// A unit behind a value, with its exponent.
    private mutating func skipUnit() {
        position += 1
        if take(.mark("^")) { _ = argument() }
    }

    /// Whether a number stands before a fraction of two numbers: one and a half.
    private func isMixed() -> Bool {
        guard isNumber(before: position) else { return false }
        let next = Array(tokens[(position + 1)...].prefix(6))
        if case .number? = next.first { return true }
        guard next.count == 6, next[0] == .mark("{"), case .number = next[1], next[2] == .mark("}"), next[3] == .mark("{"), case .number = next[4]
        else {
            return false
        }
        return next[5] == .mark("}")
    }

    private func isNumber(before position: Int) -> Bool {
        guard position > tokens.startIndex, case .number = tokens[position - 1] else { return false }
        return true
    }

    private static func startsFactor(_ name: String) -> Bool {
        MathExpression.functions[name] != nil || ["frac", "sqrt", "pi", "infty", "lfloor", "lceil"].contains(name)
    }

    private static func number(_ digits: String) -> MathExpression? {
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        let isDecimal = parts.count == 2
        if let whole = Int(parts.joined()), parts.last.map({ $0.utf8.count <= 17 }) ?? true,
            let number = MathNumber(whole, isDecimal ? (0..<parts[1].utf8.count).reduce(1) { power, _ in power * 10 } : 1, isDecimal: isDecimal)
        {
            return .number(number)
        }
        return Double(digits).map { .number(MathNumber($0, isDecimal: isDecimal)) }
    }

    private var peek: MathToken? { position < tokens.endIndex ? tokens[position] : nil }

    private mutating func take(_ token: MathToken) -> Bool {
        guard peek == token else { return false }
        position += 1
        return true
    }
}
