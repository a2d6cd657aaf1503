#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension Renderer {
    func compute(_ left: Value, _ arithmetic: ArithmeticOperator, _ right: Value) throws(JinjaError) -> Value {
        if let a = left.wholeNumber, let b = right.wholeNumber { return try compute(a, arithmetic, b) }
        if let a = left.double, let b = right.double { return .number(try compute(a, arithmetic, b)) }
        switch (left, arithmetic, right) {
        case (.string(let format), .remainder, _): return .string(try formatted(format, with: right))
        case (.undefined(let undefined), _, _), (_, _, .undefined(let undefined)): throw undefined.error
        case (.string(let a), .add, .string(let b)): return .string(try joined(a, b))
        case (.list(let a), .add, .list(let b)): return try list(a.elements + b.elements)
        case (.tuple(let a), .add, .tuple(let b)): return try tuple(a.elements + b.elements)
        case (.string(let text), .multiply, _), (_, .multiply, .string(let text)):
            let count = left.wholeNumber ?? right.wholeNumber
            if let count { return .string(text.with(try repeated(text.scalars, count))) }
        case (.list(let items), .multiply, _), (_, .multiply, .list(let items)):
            if let count = left.wholeNumber ?? right.wholeNumber { return try list(try repeated(items.elements, count)) }
        case (.tuple(let items), .multiply, _), (_, .multiply, .tuple(let items)):
            if let count = left.wholeNumber ?? right.wholeNumber { return try tuple(try repeated(items.elements, count)) }
        default: break
        }
        throw JinjaError(
            "unsupported operand type(s) for \(arithmetic.rawValue): '\(left.typeName)' and '\(right.typeName)'")
    }

    /// Two texts as one; markup escapes what is none.
    func joined(_ a: Text, _ b: Text) throws(JinjaError) -> Text {
        let a = b.isMarkup && !a.isMarkup ? try escaped(a) : a
        let b = a.isMarkup && !b.isMarkup ? try escaped(b) : b
        try spend(characters: a.count + b.count)
        return a.with(a.scalars + b.scalars)
    }

    private func repeated<Element>(_ elements: [Element], _ count: Int) throws(JinjaError) -> [Element] {
        let (total, overflow) = elements.count.multipliedReportingOverflow(by: max(0, count))
        try spend(overflow ? Int.max / 2 : total / 4 + 1)
        var result: [Element] = []
        result.reserveCapacity(total)
        for _ in 0..<max(0, elements.isEmpty ? 0 : count) { result += elements }
        return result
    }

    func negative(of value: Value) throws(JinjaError) -> Value {
        if let integer = value.wholeNumber { return try compute(0, .subtract, integer) }
        if let number = value.double { return .number(-number) }
        if case .undefined(let undefined) = value { throw undefined.error }
        throw JinjaError("bad operand type for unary -: '\(value.typeName)'")
    }

    func positive(of value: Value) throws(JinjaError) -> Value {
        if let integer = value.wholeNumber { return .integer(integer) }
        if case .number = value { return value }
        if case .undefined(let undefined) = value { throw undefined.error }
        throw JinjaError("bad operand type for unary +: '\(value.typeName)'")
    }

    // MARK: Numbers

    private func compute(_ a: Int, _ arithmetic: ArithmeticOperator, _ b: Int) throws(JinjaError) -> Value {
        let (result, overflow): (Int, Bool)
        switch arithmetic {
        case .add: (result, overflow) = a.addingReportingOverflow(b)
        case .subtract: (result, overflow) = a.subtractingReportingOverflow(b)
        case .multiply: (result, overflow) = a.multipliedReportingOverflow(by: b)
        case .divide:
            guard b != 0 else { throw JinjaError("division by zero") }
            return .number(Double(a) / Double(b))
        case .floorDivide:
            guard b != 0 else { throw JinjaError("integer division or modulo by zero") }
            let (quotient, isTooLarge) = a.dividedReportingOverflow(by: b)
            (result, overflow) = (!isTooLarge && a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient, isTooLarge)
        case .remainder:
            guard b != 0 else { throw JinjaError("integer division or modulo by zero") }
            let rest = a.remainderReportingOverflow(dividingBy: b).partialValue
            // Python's remainder has the divisor's sign.
            (result, overflow) = (rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest, false)
        case .power:
            guard b >= 0 else { return .number(try compute(Double(a), .power, Double(b))) }
            return .integer(try Self.power(a, b))
        }
        guard !overflow else { throw Self.tooLarge }
        return .integer(result)
    }

    private static let tooLarge = JinjaError("an integer beyond 64 bits, which are not supported")

    private static func power(_ base: Int, _ exponent: Int) throws(JinjaError) -> Int {
        if base == 0 || base == 1 { return exponent == 0 ? 1 : base }
        if base == -1 { return exponent % 2 == 0 ? 1 : -1 }
        guard exponent < 64 else { throw tooLarge }
        var result = 1
        for _ in 0..<exponent {
            let (next, overflow) = result.multipliedReportingOverflow(by: base)
            guard !overflow else { throw tooLarge }
            result = next
        }
        return result
    }

    private func compute(_ a: Double, _ arithmetic: ArithmeticOperator, _ b: Double) throws(JinjaError) -> Double {
        switch arithmetic {
        case .add: return a + b
        case .subtract: return a - b
        case .multiply: return a * b
        case .divide:
            guard b != 0 else { throw JinjaError("float division by zero") }
            return a / b
        case .floorDivide:
            guard b != 0 else { throw JinjaError("float floor division by zero") }
            let quotient = ((a - Self.remainder(a, b)) / b)
            // Rounds away what the division may have added, as CPython does.
            let floor = quotient.rounded(.down)
            return quotient - floor > 0.5 ? floor + 1 : floor
        case .remainder:
            guard b != 0 else { throw JinjaError("float modulo") }
            return Self.remainder(a, b)
        case .power:
            guard a != 0 || b >= 0 else { throw JinjaError("0.0 cannot be raised to a negative power") }
            let result = pow(a, b)
            guard !result.isNaN || a.isNaN || b.isNaN else { throw JinjaError("a power that is a complex number, which are not supported") }
            guard !result.isInfinite || a.isInfinite || b.isInfinite else { throw JinjaError("a power that is too large") }
            return result
        }
    }

    private static func remainder(_ a: Double, _ b: Double) -> Double {
        let rest = fmod(a, b)
        if rest == 0 { return copysign(0, b) }
        return (rest < 0) != (b < 0) ? rest + b : rest
    }
}
