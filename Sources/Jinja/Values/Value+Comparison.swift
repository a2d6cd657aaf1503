extension Renderer {
    func compare(_ left: Value, _ comparison: ComparisonOperator, _ right: Value) throws(JinjaError) -> Bool {
        switch comparison {
        case .equal: try equal(left, right)
        case .notEqual: !(try equal(left, right))
        case .less: try isLess(left, right, "<")
        case .lessOrEqual: try isLessOrEqual(left, right, "<=")
        case .greater: try isLess(right, left, ">", isSwapped: true)
        case .greaterOrEqual: try isLessOrEqual(right, left, ">=", isSwapped: true)
        case .contained: try contains(right, left)
        case .notContained: !(try contains(right, left))
        }
    }

    // MARK: Equality

    /// Python's `==`.
    func equal(_ left: Value, _ right: Value, depth: Int = 0) throws(JinjaError) -> Bool {
        switch (left, right) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.string(let a), .string(let b)):
            guard a.count == b.count else { return false }
            try spend(characters: a.count)
            return a == b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): return try equal(a.elements, b.elements, depth: depth)
        case (.dictionary(let a), .dictionary(let b)):
            guard a.count == b.count else { return false }
            try spend(a.count)
            for (key, value) in a.entries {
                guard let other = b[try Key(key)], try equal(value, other, depth: depth + 1) else { return false }
            }
            return true
        case (.object(let a), .object(let b)):
            if let a = a as? NumberRange, let b = b as? NumberRange {
                return try equal(elements(of: .object(a)), elements(of: .object(b)), depth: depth)
            }
            return a === b
        case (.integer(let a), .number(let b)), (.number(let b), .integer(let a)): return Double(a) == b && Int(exactly: b) == a
        case (.number(let a), .number(let b)): return a == b
        default:
            if let a = left.wholeNumber, let b = right.wholeNumber { return a == b }
            if let a = left.double, let b = right.double { return a == b }
            return false
        }
    }

    func equal(_ left: [Value], _ right: [Value], depth: Int) throws(JinjaError) -> Bool {
        guard left.count == right.count else { return false }
        for (a, b) in zip(left, right) {
            try spend(1)
            guard try equal(a, b, depth: depth + 1) else { return false }
        }
        return true
    }

    // MARK: Order

    private func isLess(_ left: Value, _ right: Value, _ symbol: String, isSwapped: Bool = false) throws(JinjaError) -> Bool {
        switch (left, right) {
        case (.string(let a), .string(let b)):
            try spend(characters: min(a.count, b.count))
            return a < b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            // The first elements that differ decide.
            for (x, y) in zip(a.elements, b.elements) {
                try spend(1)
                if !(try equal(x, y)) { return try isLess(x, y, symbol, isSwapped: isSwapped) }
            }
            return a.elements.count < b.elements.count
        default:
            if let a = left.wholeNumber, let b = right.wholeNumber { return a < b }
            if let a = left.double, let b = right.double { return Self.isLess(a, left.wholeNumber, b, right.wholeNumber) }
            if case .undefined(let undefined) = left { throw undefined.error }
            if case .undefined(let undefined) = right { throw undefined.error }
            let (first, second) = isSwapped ? (right, left) : (left, right)
            throw JinjaError("'\(symbol)' not supported between instances of '\(first.typeName)' and '\(second.typeName)'")
        }
    }

    /// Compares numbers one of which may be whole: beyond 2^53 a `Double` cannot tell all integers apart.
    private static func isLess(_ a: Double, _ wholeA: Int?, _ b: Double, _ wholeB: Int?) -> Bool {
        if let wholeA, let wholeB = Int(exactly: b) { return wholeA < wholeB }
        if let wholeB, let wholeA = Int(exactly: a) { return wholeA < wholeB }
        return a < b
    }

    private func isLessOrEqual(_ left: Value, _ right: Value, _ symbol: String, isSwapped: Bool = false) throws(JinjaError) -> Bool {
        if try isLess(left, right, symbol, isSwapped: isSwapped) { return true }
        return try equal(left, right)
    }

    /// Whether sorting puts the first before the second.
    func isOrdered(_ left: Value, before right: Value) throws(JinjaError) -> Bool { try isLess(left, right, "<") }

    // MARK: Containment

    /// Python's `needle in container`.
    func contains(_ container: Value, _ needle: Value) throws(JinjaError) -> Bool {
        switch container {
        case .string(let text):
            guard let part = needle.text else {
                throw JinjaError("'in <string>' requires string as left operand, not \(needle.typeName)")
            }
            try spend(characters: text.count)
            return text.contains(part)
        case .dictionary(let dictionary): return dictionary[try Key(needle)] != nil
        case .none, .bool, .integer, .number: throw JinjaError("argument of type '\(container.typeName)' is not iterable")
        default:
            for element in try elements(of: container) {
                try spend(1)
                if try equal(element, needle) { return true }
            }
            return false
        }
    }
}
