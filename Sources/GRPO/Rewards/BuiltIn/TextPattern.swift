/// A regular expression that is matched in time proportional to text times pattern, whatever either of them is: no backtracking.
///
/// Python's syntax as far as it is regular: literals, `.`, classes, `\d \w \s \D \W \S`, groups, `|`, `* + ? {m,n}` (lazy ones match the same
/// texts), `^ $ \A \Z \b \B`, and the flags `(?i)`, `(?m)`, `(?s)` at the beginning. Look-around and back references are refused. The program is
/// Thompson's (1968): all states that some way of matching can be in advance together, scalar by scalar.
struct TextPattern: Sendable {
    /// One step of the program; the next is the one behind it unless it says otherwise.
    enum Instruction: Sendable {
        case scalar(ScalarSet)
        case split(Int, Int)
        case jump(Int)
        case assert(Assertion)
        case match
    }

    /// What must hold between two scalars.
    enum Assertion: Sendable {
        case textStart, textEnd, lastLineEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
    }

    private let program: [Instruction]

    /// Compiles a pattern; throws what is wrong with it, and where.
    init(_ pattern: String) throws(PatternError) {
        var compiler = TextPatternCompiler(pattern)
        program = try compiler.compile()
    }

    /// Whether it matches somewhere (Python's `re.search`).
    func matches(in text: [Unicode.Scalar]) -> Bool { run(text, from: 0, isAnchored: false, isLongest: false) != nil }

    /// Whether it matches at the beginning (Python's `re.match`).
    func matches(startOf text: [Unicode.Scalar]) -> Bool { run(text, from: 0, isAnchored: true, isLongest: false) != nil }

    /// How many matches there are, one behind the other, each the longest at its place.
    func count(in text: [Unicode.Scalar]) -> Int {
        var (count, position) = (0, 0)
        while position <= text.count {
            if let end = run(text, from: position, isAnchored: true, isLongest: true) {
                count += 1
                position = max(end, position + 1)
            } else {
                position += 1
            }
        }
        return count
    }

    /// Where a match ends: the first end that is found, or the last.
    private func run(_ text: [Unicode.Scalar], from start: Int, isAnchored: Bool, isLongest: Bool) -> Int? {
        var end: Int?
        var current = States(count: program.count)
        var next = States(count: program.count)
        var stack: [Int] = []
        for position in start...text.count {
            if position == start || !isAnchored { add(0, to: &current, text, position, &stack) }
            if current.hasMatch {
                end = position
                if !isLongest { return end }
            }
            guard position < text.count, !current.list.isEmpty || !isAnchored else { break }
            for state in current.list {
                if case .scalar(let set) = program[state], set.contains(text[position]) { add(state + 1, to: &next, text, position + 1, &stack) }
            }
            swap(&current, &next)
            next.removeAll()
        }
        return end
    }

    /// The states of one position, each once, those behind jumps too.
    private struct States {
        var list: [Int] = []
        var hasMatch = false
        private var isIn: [Bool]

        init(count: Int) { isIn = Array(repeating: false, count: count) }

        mutating func insert(_ state: Int) -> Bool {
            if isIn[state] { return false }
            isIn[state] = true
            list.append(state)
            return true
        }

        mutating func removeAll() {
            for state in list { isIn[state] = false }
            list.removeAll(keepingCapacity: true)
            hasMatch = false
        }
    }

    private func add(_ state: Int, to states: inout States, _ text: [Unicode.Scalar], _ position: Int, _ stack: inout [Int]) {
        stack.append(state)
        while let state = stack.popLast() {
            guard states.insert(state) else { continue }
            switch program[state] {
            case .scalar: break
            case .split(let first, let second): stack += [second, first]
            case .jump(let target): stack.append(target)
            case .assert(let assertion): if assertion.holds(text, position) { stack.append(state + 1) }
            case .match: states.hasMatch = true
            }
        }
    }
}

extension TextPattern.Assertion {
    func holds(_ text: [Unicode.Scalar], _ position: Int) -> Bool {
        func isWord(_ index: Int) -> Bool { text.indices.contains(index) && ScalarSet.word.contains(text[index]) }
        return switch self {
        case .textStart: position == 0
        case .textEnd: position == text.count
        case .lastLineEnd: position == text.count || position == text.count - 1 && text[position] == "\n"
        case .lineStart: position == 0 || text[position - 1] == "\n"
        case .lineEnd: position == text.count || text[position] == "\n"
        case .wordBoundary: isWord(position - 1) != isWord(position)
        case .noWordBoundary: isWord(position - 1) == isWord(position)
        }
    }
}

/// Some Unicode scalars: ranges, classes, or all others.
struct ScalarSet: Sendable {
    /// A class with a name in patterns.
    enum Class: Sendable {
        case digit, word, space
    }

    var ranges: [ClosedRange<Unicode.Scalar>] = []
    var classes: [(class: Class, isNegated: Bool)] = []
    var isNegated = false
    var ignoresCase = false

    static let word = ScalarSet(classes: [(.word, false)])

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        var found = isIn(scalar)
        if ignoresCase, !found {
            let properties = scalar.properties
            found = [properties.lowercaseMapping, properties.uppercaseMapping].contains { mapped in
                mapped.unicodeScalars.count == 1 && isIn(mapped.unicodeScalars.first ?? scalar)
            }
        }
        return found != isNegated
    }

    private func isIn(_ scalar: Unicode.Scalar) -> Bool {
        ranges.contains { $0.contains(scalar) } || classes.contains { Self.isIn(scalar, $0.class) != $0.isNegated }
    }

    private static func isIn(_ scalar: Unicode.Scalar, _ set: Class) -> Bool {
        switch set {
        case .digit: return scalar.properties.generalCategory == .decimalNumber
        case .space: return scalar.isPythonSpace
        case .word:
            if scalar == "_" || scalar.properties.numericType != nil { return true }
            return switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
            default: false
            }
        }
    }
}

/// A pattern that cannot be used.
struct PatternError: Error, CustomStringConvertible {
    let message: String
    /// The scalar of the pattern, from 0.
    let position: Int

    var description: String { "\(message) at position \(position)" }
}
