/// A regular expression as a deterministic automaton over the bytes of UTF-8: a step a byte, whatever the expression is.
///
/// The subset construction over the program of a `TextPattern`, made in full, so that what is too large is refused before anything is generated.
/// States from which no match can be reached are cut off.
public struct PatternAutomaton: Sendable {
    /// Where a text begins.
    static let start = 0
    /// For a state and a byte's class, the state that follows; -1 if no match goes on so.
    private var table: [Int32] = []
    private let accepts: [Bool]
    /// Bytes that no state tells apart share a class.
    private let classes: [UInt8]
    private let classCount: Int

    private static let (mostStates, mostWork) = (20_000, 5_000_000)

    /// The automaton of an expression that a whole text has to match: Python's syntax without look-around, references and word boundaries; `\d`,
    /// `\w`, `\s` and `(?i)` mean ASCII.
    /// - Throws: `ConstraintError` for anything else, for an expression that nothing matches, and for one that needs too many states.
    public init(_ expression: String) throws(ConstraintError) {
        let graph: PatternGraph
        do throws(PatternError) {
            var compiler = TextPatternCompiler(expression)
            graph = try PatternGraph(try compiler.compile())
        } catch {
            throw ConstraintError(description: "\(error)")
        }
        let (classes, classCount) = graph.byteClasses()
        (self.classes, self.classCount) = (classes, classCount)
        let representatives = (0..<classCount).map { number in UInt8(classes.firstIndex(of: UInt8(number)) ?? 0) }
        var sets = [graph.closure(of: [0], atStart: true)]
        var numbers = [sets[0]: Int32(0)]
        var work = 0
        var next = 0
        while next < sets.count {
            for byte in representatives {
                let set = graph.step(sets[next], byte)
                work += sets[next].count + set.count
                guard sets.count <= Self.mostStates, work <= Self.mostWork else {
                    throw ConstraintError(description: "the expression needs too many states: make its repetitions shorter")
                }
                if set.isEmpty {
                    table.append(-1)
                } else if let known = numbers[set] {
                    table.append(known)
                } else {
                    numbers[set] = Int32(sets.count)
                    table.append(Int32(sets.count))
                    sets.append(set)
                }
            }
            next += 1
        }
        accepts = sets.map { $0.contains(graph.match) }
        guard cutDeadEnds() else { throw ConstraintError(description: "nothing matches the expression") }
    }

    /// Makes steps to states that cannot reach a match steps to nowhere; whether any match is left.
    private mutating func cutDeadEnds() -> Bool {
        var before = [[Int32]](repeating: [], count: accepts.count)
        for (place, target) in table.enumerated() where target >= 0 { before[Int(target)].append(Int32(place / classCount)) }
        var isAlive = accepts
        var waiting = accepts.indices.filter { accepts[$0] }
        while let state = waiting.popLast() {
            for previous in before[state] where !isAlive[Int(previous)] {
                isAlive[Int(previous)] = true
                waiting.append(Int(previous))
            }
        }
        for (place, target) in table.enumerated() where target >= 0 && !isAlive[Int(target)] { table[place] = -1 }
        return isAlive[Self.start]
    }

    /// The state after a byte; nil if no match goes on so.
    @inline(__always)
    func state(after byte: UInt8, from state: Int) -> Int? {
        let next = table[state * classCount + Int(classes[Int(byte)])]
        return next < 0 ? nil : Int(next)
    }

    /// Whether a text may end here.
    func accepts(_ state: Int) -> Bool { accepts[state] }

    /// Whether a whole text matches.
    public func matches(_ text: String) -> Bool {
        var state = Self.start
        for byte in text.utf8 {
            guard let next = self.state(after: byte, from: state) else { return false }
            state = next
        }
        return accepts(state)
    }
}

/// The program of a `TextPattern` over bytes: its steps, and behind them those between the bytes of a character.
private struct PatternGraph {
    private struct State {
        var edges: [(bytes: ClosedRange<UInt8>, target: Int32)] = []
        /// Where it goes on without a byte.
        var jumps: [Int32] = []
        var assertion: TextPattern.Assertion?
    }

    private var states: [State]
    /// The program's last step.
    let match: Int32

    private static let mostStates = 50_000

    init(_ program: [TextPattern.Instruction]) throws(PatternError) {
        states = Array(repeating: State(), count: program.count)
        match = Int32(program.count - 1)
        for (index, instruction) in program.enumerated() {
            switch instruction {
            case .scalar(let set): try addEdges(from: index, set, to: Int32(index + 1))
            case .split(let first, let second): states[index].jumps = [Int32(first), Int32(second)]
            case .jump(let target): states[index].jumps = [Int32(target)]
            case .assert(let assertion):
                switch assertion {
                case .textStart, .textEnd, .lastLineEnd:
                    states[index].jumps = [Int32(index + 1)]
                    states[index].assertion = assertion
                case .lineStart, .lineEnd, .wordBoundary, .noWordBoundary:
                    throw PatternError(message: "\\b, \\B and (?m) cannot constrain an answer", position: 0)
                }
            case .match: break
            }
        }
    }

    private mutating func addEdges(from index: Int, _ set: ScalarSet, to target: Int32) throws(PatternError) {
        for range in set.constraintRanges {
            for bytes in UTF8Ranges.sequences(range) {
                var next = target
                for byte in bytes.dropFirst().reversed() {
                    states.append(State(edges: [(byte, next)]))
                    next = Int32(states.count - 1)
                }
                states[index].edges.append((bytes[0], next))
                guard states.count <= Self.mostStates else {
                    throw PatternError(message: "the expression is too large; make its repetitions shorter", position: 0)
                }
            }
        }
    }

    /// The states that a set is at without another byte, sorted: those with edges, and `match`.
    func closure(of set: [Int32], atStart: Bool = false) -> [Int32] {
        // What is behind the end of the text can only match, not go on.
        var (found, waiting) = (Set(set), set)
        var (atEnd, waitingAtEnd): (Set<Int32>, [Int32]) = ([], [])
        while let index = waiting.popLast() {
            let state = states[Int(index)]
            switch state.assertion {
            case nil: for jump in state.jumps where found.insert(jump).inserted { waiting.append(jump) }
            case .textStart: if atStart { for jump in state.jumps where found.insert(jump).inserted { waiting.append(jump) } }
            default: waitingAtEnd += state.jumps
            }
        }
        while let index = waitingAtEnd.popLast() {
            guard atEnd.insert(index).inserted, states[Int(index)].assertion != .textStart || atStart else { continue }
            waitingAtEnd += states[Int(index)].jumps
        }
        if atEnd.contains(match) { found.insert(match) }
        return found.filter { $0 == match || !states[Int($0)].edges.isEmpty }.sorted()
    }

    func step(_ set: [Int32], _ byte: UInt8) -> [Int32] {
        closure(of: set.flatMap { state in states[Int(state)].edges.lazy.filter { $0.bytes.contains(byte) }.map(\.target) })
    }

    /// Bytes that are in the same ranges everywhere, by number.
    func byteClasses() -> (classes: [UInt8], count: Int) {
        var startsClass = [Bool](repeating: false, count: 257)
        for state in states {
            for (bytes, _) in state.edges {
                startsClass[Int(bytes.lowerBound)] = true
                startsClass[Int(bytes.upperBound) + 1] = true
            }
        }
        var (classes, number): ([UInt8], UInt8) = ([], 0)
        for byte in 0..<256 {
            if byte > 0, startsClass[byte] { number += 1 }
            classes.append(number)
        }
        return (classes, Int(number) + 1)
    }
}

extension ScalarSet {
    /// The set as ranges, its classes and its disregard of case being ASCII's.
    fileprivate var constraintRanges: [ClosedRange<UInt32>] {
        var all: [ClosedRange<UInt32>] = (0..<0x80).compactMap { value in
            Unicode.Scalar(value).flatMap { contains($0) ? value...value : nil }
        }
        var beyond = ranges.compactMap { range in
            range.upperBound.value < 0x80 ? nil : max(range.lowerBound.value, 0x80)...range.upperBound.value
        }
        if classes.contains(where: \.isNegated) { beyond = [0x80...0x10FFFF] }
        beyond.sort { $0.lowerBound < $1.lowerBound }
        guard isNegated else { return all + beyond }
        var next: UInt32 = 0x80
        for range in beyond {
            if range.lowerBound > next { all.append(next...range.lowerBound - 1) }
            next = max(next, range.upperBound + 1)
        }
        return next <= 0x10FFFF ? all + [next...0x10FFFF] : all
    }
}

/// The UTF-8 of a range of scalars, as sequences of byte ranges.
enum UTF8Ranges {
    static func sequences(_ range: ClosedRange<UInt32>) -> [[ClosedRange<UInt8>]] {
        let (low, high) = (range.lowerBound, range.upperBound)
        // Surrogates are no scalars; each length, and each first byte that is not wholly taken, is a case of its own.
        if low < 0xD800, high >= 0xD800 { return sequences(low...0xD7FF) + sequences(0xD800...high) }
        if low >= 0xD800, low <= 0xDFFF { return high <= 0xDFFF ? [] : sequences(0xE000...high) }
        for longest in [0x7F, 0x7FF, 0xFFFF] as [UInt32] where low <= longest && high > longest {
            return sequences(low...longest) + sequences(longest + 1...high)
        }
        if low >= 0x80 {
            for tail in 1..<encoded(low).count {
                let mask: UInt32 = (1 << UInt32(6 * tail)) - 1
                guard low & ~mask != high & ~mask else { continue }
                if low & mask != 0 { return sequences(low...(low | mask)) + sequences((low | mask) + 1...high) }
                if high & mask != mask { return sequences(low...(high & ~mask) - 1) + sequences((high & ~mask)...high) }
            }
        }
        return [zip(encoded(low), encoded(high)).map { $0...$1 }]
    }

    private static func encoded(_ scalar: UInt32) -> [UInt8] { Unicode.Scalar(scalar).map { Array(String($0).utf8) } ?? [] }
}
