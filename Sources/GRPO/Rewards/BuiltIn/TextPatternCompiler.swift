/// Turns a regular expression into the program of a `TextPattern`.
struct TextPatternCompiler {
    private typealias Program = [TextPattern.Instruction]

    private let pattern: [Unicode.Scalar]
    private var position = 0
    private var depth = 0
    private var ignoresCase = false
    private var isMultiline = false
    private var dotMatchesNewline = false

    /// Groups inside each other, and steps of a program: `{m,n}` in `{m,n}` grows fast.
    private static let deepest = 64
    private static let longest = 10_000

    init(_ pattern: String) { self.pattern = Array(pattern.unicodeScalars) }

    mutating func compile() throws(PatternError) -> [TextPattern.Instruction] {
        try flags()
        let program = try alternatives()
        guard position == pattern.count else { throw error("found ')' without '('") }
        return program + [.match]
    }

    /// `(?ims)` at the beginning.
    private mutating func flags() throws(PatternError) {
        guard pattern.starts(with: ["(", "?"]), let close = pattern.firstIndex(of: ")"),
            pattern[2..<close].allSatisfy({ "imsu".unicodeScalars.contains($0) })
        else { return }
        for flag in pattern[2..<close] {
            switch flag {
            case "i": ignoresCase = true
            case "m": isMultiline = true
            case "s": dotMatchesNewline = true
            default: break
            }
        }
        position = close + 1
    }

    private mutating func alternatives() throws(PatternError) -> Program {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.deepest else { throw error("found groups nested deeper than \(Self.deepest)") }
        var program = try sequence()
        while take("|") {
            let other = try sequence()
            program =
                [.split(1, program.count + 2)] + shifted(program, by: 1) + [.jump(program.count + 2 + other.count)]
                + shifted(other, by: program.count + 2)
        }
        return program
    }

    private mutating func sequence() throws(PatternError) -> Program {
        var program: Program = []
        while let next = peek, next != "|", next != ")" {
            let start = position
            let atom = try atom()
            let repeated = try repetition(of: atom, at: start)
            program += shifted(repeated, by: program.count)
            guard program.count <= Self.longest else { throw error("the pattern is too large") }
        }
        return program
    }

    /// `* + ? {m} {m,} {,n} {m,n}`, lazy or not.
    private mutating func repetition(of atom: Program, at start: Int) throws(PatternError) -> Program {
        var (least, most): (Int, Int?) = (1, 1)
        switch peek {
        case "*": (least, most) = (0, nil)
        case "+": (least, most) = (1, nil)
        case "?": (least, most) = (0, 1)
        case "{":
            guard let bounds = try bounds() else { return atom }
            (least, most) = bounds
            position -= 1
        default: return atom
        }
        position += 1
        _ = take("?")
        if let next = peek, "*+?".unicodeScalars.contains(next) { throw error("found a repetition of a repetition") }
        guard atom.count * max(least, most ?? 1, 1) <= Self.longest else { throw error("the pattern is too large") }
        var program: Program = []
        for _ in 0..<least { program += shifted(atom, by: program.count) }
        if let most {
            let rest = (most - least) * (atom.count + 1)
            for index in 0..<most - least {
                let place = least * atom.count + index * (atom.count + 1)
                program += [.split(place + 1, least * atom.count + rest)] + shifted(atom, by: place + 1)
            }
        } else if least > 0 {
            program.append(.split(program.count - atom.count, program.count + 1))
        } else {
            program = [.split(1, atom.count + 2)] + shifted(atom, by: 1) + [.jump(0)]
        }
        return program
    }

    /// The numbers of `{m,n}`, or nil where the brace is a brace; the position is then behind it.
    private mutating func bounds() throws(PatternError) -> (Int, Int?)? {
        let start = position
        position += 1
        func number(_ text: [Unicode.Scalar]) -> Int? { Int(String(String.UnicodeScalarView(text))) }
        let low = digits()
        let isRange = take(",")
        let high = isRange ? digits() : low
        guard take("}"), !(low.isEmpty && high.isEmpty) else {
            position = start
            return nil
        }
        guard low.count <= 5, high.count <= 5 else { throw error("found a repetition of more than 99999 times") }
        let least = number(low) ?? 0
        let most = number(high)
        if let most, most < least { throw error("found a repetition of at least \(least) and at most \(most) times") }
        return (least, most)
    }

    private mutating func digits() -> [Unicode.Scalar] {
        let digits = pattern[position...].prefix { ("0"..."9").contains($0) }
        position += digits.count
        return Array(digits)
    }

    private mutating func atom() throws(PatternError) -> Program {
        let scalar = pattern[position]
        position += 1
        switch scalar {
        case "(": return try group()
        case "[": return [.scalar(try bracket())]
        case ".": return [.scalar(dotMatchesNewline ? ScalarSet(isNegated: true) : ScalarSet(ranges: ["\n"..."\n"], isNegated: true))]
        case "^": return [.assert(isMultiline ? .lineStart : .textStart)]
        case "$": return [.assert(isMultiline ? .lineEnd : .lastLineEnd)]
        case "*", "+", "?":
            position -= 1
            throw error("found '\(scalar)' with nothing to repeat")
        case "{":
            position -= 1
            // A brace that is no repetition is a brace.
            if try bounds() != nil { throw error("found a repetition with nothing to repeat") }
            position += 1
            return literal(scalar)
        case "\\": return try escape()
        default: return literal(scalar)
        }
    }

    private mutating func group() throws(PatternError) -> Program {
        if take("?") {
            if take("P"), take("<") {
                guard let close = pattern[position...].firstIndex(of: ">") else { throw error("found a group name without '>'") }
                position = close + 1
            } else if !take(":") {
                throw error("found '(?', of which only '(?:' and '(?P<name>' can be matched in linear time")
            }
        }
        let inside = try alternatives()
        guard take(")") else { throw error("found '(' without ')'") }
        return inside
    }

    private mutating func escape() throws(PatternError) -> Program {
        guard let scalar = peek else { throw error("found '\\' at the end") }
        switch scalar {
        case "A": return assertion(.textStart)
        case "Z": return assertion(.textEnd)
        case "b": return assertion(.wordBoundary)
        case "B": return assertion(.noWordBoundary)
        case "1"..."9": throw error("found a back reference, which cannot be matched in linear time")
        default:
            if let set = try escapedSet() { return [.scalar(set)] }
            return literal(try escapedScalar())
        }
    }

    private mutating func assertion(_ assertion: TextPattern.Assertion) -> Program {
        position += 1
        return [.assert(assertion)]
    }

    /// `\d \w \s` and their opposites; nil for other letters.
    private mutating func escapedSet() throws(PatternError) -> ScalarSet? {
        let named: [Unicode.Scalar: (ScalarSet.Class, Bool)] = [
            "d": (.digit, false), "D": (.digit, true), "w": (.word, false), "W": (.word, true), "s": (.space, false), "S": (.space, true),
        ]
        guard let next = peek, let found = named[next] else { return nil }
        position += 1
        return ScalarSet(classes: [found])
    }

    /// What stands behind a backslash, as the scalar it means.
    private mutating func escapedScalar() throws(PatternError) -> Unicode.Scalar {
        guard let scalar = peek else { throw error("found '\\' at the end") }
        let controls: [Unicode.Scalar: Unicode.Scalar] = ["n": "\n", "t": "\t", "r": "\r", "f": "\u{0C}", "v": "\u{0B}", "a": "\u{07}", "0": "\0"]
        if let control = controls[scalar] {
            position += 1
            return control
        }
        let lengths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
        if let length = lengths[scalar] {
            let hex = String(String.UnicodeScalarView(pattern[(position + 1)...].prefix(length)))
            guard hex.utf8.count == length, let value = UInt32(hex, radix: 16), let decoded = Unicode.Scalar(value) else {
                throw error("found '\\\(scalar)' without the \(length) hexadecimal digits of a character")
            }
            position += 1 + length
            return decoded
        }
        guard !ScalarSet.word.contains(scalar) else { throw error("found '\\\(scalar)', which has no meaning") }
        position += 1
        return scalar
    }

    private mutating func bracket() throws(PatternError) -> ScalarSet {
        var set = ScalarSet(isNegated: take("^"), ignoresCase: ignoresCase)
        var isFirst = true
        while isFirst || peek != "]" {
            isFirst = false
            if take("\\") {
                if let named = try escapedSet() {
                    set.classes += named.classes
                    continue
                }
                let low = take("b") ? "\u{08}" : try escapedScalar()
                set.ranges.append(try range(from: low))
            } else if let scalar = peek {
                position += 1
                set.ranges.append(try range(from: scalar))
            } else {
                throw error("found '[' without ']'")
            }
        }
        position += 1
        return set
    }

    /// The rest of `a-z` after its first scalar, or that scalar alone.
    private mutating func range(from low: Unicode.Scalar) throws(PatternError) -> ClosedRange<Unicode.Scalar> {
        guard peek == "-", position + 1 < pattern.count, pattern[position + 1] != "]" else { return low...low }
        position += 1
        let high: Unicode.Scalar
        if take("\\") {
            high = try escapedScalar()
        } else {
            high = pattern[position]
            position += 1
        }
        guard low <= high else { throw error("found a range that ends before it begins") }
        return low...high
    }

    private func literal(_ scalar: Unicode.Scalar) -> Program { [.scalar(ScalarSet(ranges: [scalar...scalar], ignoresCase: ignoresCase))] }

    private func shifted(_ program: Program, by offset: Int) -> Program {
        program.map { instruction in
            switch instruction {
            case .split(let first, let second): .split(first + offset, second + offset)
            case .jump(let target): .jump(target + offset)
            default: instruction
            }
        }
    }

    private var peek: Unicode.Scalar? { position < pattern.count ? pattern[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        position += 1
        return true
    }

    private func error(_ message: String) -> PatternError { PatternError(message: message, position: position) }
}
