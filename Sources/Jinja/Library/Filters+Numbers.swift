#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Filters that make numbers.
extension Renderer {
    static let numberFilters: [Text: Filter] = [
        "abs": filter("abs", []) { renderer, value, _ throws(JinjaError) in
            if let integer = value.wholeNumber { return integer < 0 ? try renderer.negative(of: .integer(integer)) : .integer(integer) }
            if let number = value.double { return .number(number.magnitude) }
            if case .undefined(let undefined) = value { throw undefined.error }
            throw JinjaError("bad operand type for abs(): '\(value.typeName)'")
        },
        "int": filter("int", ["default", "base"]) { renderer, value, arguments throws(JinjaError) in
            try renderer.spend(characters: value.text?.count ?? 0)
            return try integer(value, base: try arguments.integer(1) ?? 10) ?? arguments[0] ?? .integer(0)
        },
        "float": filter("float", ["default"]) { renderer, value, arguments throws(JinjaError) in
            try renderer.spend(characters: value.text?.count ?? 0)
            if case .undefined(let undefined) = value { throw undefined.error }
            if let number = value.double ?? value.text.flatMap(number) { return .number(number) }
            return arguments[0] ?? .number(0)
        },
        "round": filter("round", ["precision", "method"]) { _, value, arguments throws(JinjaError) in
            let precision = try arguments.integer(0) ?? 0
            let method = try arguments.text(1) ?? "common"
            guard ["common", "ceil", "floor"].contains(method) else { throw JinjaError("round: the method must be common, ceil or floor") }
            if case .undefined(let undefined) = value { throw undefined.error }
            guard let number = value.double else { throw JinjaError("type \(value.typeName) doesn't define __round__ method") }
            if method == "common" {
                if let integer = value.wholeNumber { return .integer(try rounded(integer, to: precision)) }
                return .number(try rounded(number, to: precision))
            }
            let scale = pow(10, Double(precision))
            let scaled = number * scale
            guard scaled.isFinite, scale.isFinite, scale > 0 else { throw JinjaError("round: the number or the precision is too large") }
            return .number(scaled.rounded(method == "ceil" ? .up : .down) / scale)
        },
    ]

    // MARK: Numbers as Python reads them

    /// What the filter `int` makes of a value; nil for what is no number.
    private static func integer(_ value: Value, base: Int) throws(JinjaError) -> Value? {
        if let integer = value.wholeNumber { return .integer(integer) }
        if case .undefined(let undefined) = value { throw undefined.error }
        if let text = value.text, let integer = try integer(text, base: base) { return .integer(integer) }
        guard let number = value.double ?? value.text.flatMap(number), !number.isNaN else { return nil }
        if number.isInfinite {
            if value.text != nil { return nil }
            throw JinjaError("cannot convert float infinity to integer")
        }
        guard let integer = Int(exactly: number.rounded(.towardZero)) else { throw JinjaError("an integer beyond 64 bits, which are not supported") }
        return .integer(integer)
    }

    /// `int(text, base)`; nil if it is none.
    private static func integer(_ text: Text, base: Int) throws(JinjaError) -> Int? {
        guard base == 0 || (2...36).contains(base) else { throw JinjaError("int() base must be >= 2 and <= 36, or 0") }
        var digits = text.stripped().scalars[...]
        let sign = digits.first == "-" || digits.first == "+" ? digits.removeFirst() : "+"
        var base = base
        let prefixes: [Unicode.Scalar: Int] = ["b": 2, "B": 2, "o": 8, "O": 8, "x": 16, "X": 16]
        if digits.first == "0", let letter = digits.dropFirst().first, let prefixed = prefixes[letter], base == 0 || base == prefixed {
            base = prefixed
            digits = digits.dropFirst(2)
            if digits.first == "_" { digits = digits.dropFirst() }
        } else if base == 0 {
            // Python takes no leading zeros without a base.
            if digits.first == "0", digits.contains(where: { $0 != "0" && $0 != "_" }) { return nil }
            base = 10
        }
        guard let plain = withoutUnderscores(digits), plain.allSatisfy({ $0 != "+" && $0 != "-" }) else { return nil }
        guard plain.allSatisfy({ $0.isASCII && Int(String(Character($0)), radix: base) != nil }) else { return nil }
        guard let integer = Int("\(sign)\(Text(plain).string)", radix: base) else {
            throw JinjaError("an integer beyond 64 bits, which are not supported")
        }
        return integer
    }

    /// `float(text)`; nil if it is none.
    private static func number(_ text: Text) -> Double? {
        guard let plain = withoutUnderscores(text.stripped().scalars[...]) else { return nil }
        let string = Text(plain).lowercased.string
        let unsigned = string.hasPrefix("-") || string.hasPrefix("+") ? String(string.dropFirst()) : string
        if ["inf", "infinity", "nan"].contains(unsigned) {
            let magnitude = unsigned == "nan" ? Double.nan : Double.infinity
            return string.hasPrefix("-") ? -magnitude : magnitude
        }
        // `Double` would take hexadecimals too, and no point at either end.
        guard unsigned.utf8.allSatisfy({ "0123456789.e+-".utf8.contains($0) }), unsigned.utf8.contains(where: { (48...57).contains($0) }) else {
            return nil
        }
        let parts = unsigned.split(separator: "e", maxSplits: 1, omittingEmptySubsequences: false)
        var mantissa = String(parts[0])
        if mantissa.hasPrefix(".") { mantissa = "0" + mantissa }
        if mantissa.hasSuffix(".") { mantissa += "0" }
        guard mantissa.utf8.contains(where: { (48...57).contains($0) }) else { return nil }
        let sign = string.hasPrefix("-") ? "-" : ""
        return Double(sign + mantissa + (parts.count > 1 ? "e" + parts[1] : ""))
    }

    /// Digits without the underscores between them; nil if one is anywhere else, or there is nothing.
    private static func withoutUnderscores(_ digits: ArraySlice<Unicode.Scalar>) -> [Unicode.Scalar]? {
        guard !digits.isEmpty else { return nil }
        for index in digits.indices where digits[index] == "_" {
            guard index > digits.startIndex, index < digits.endIndex - 1, ("0"..."9") ~= digits[index - 1] || digits[index - 1].isLetter,
                digits[index + 1] != "_"
            else { return nil }
        }
        return digits.filter { $0 != "_" }
    }

    // MARK: Rounding

    /// `round(number, precision)`: to the nearest decimal, exactly; halves to even.
    private static func rounded(_ number: Double, to precision: Int) throws(JinjaError) -> Double {
        guard number.isFinite, precision < 300 else { return number }
        guard precision > -309 else { return copysign(0, number) }
        if precision < 0 {
            let scale = pow(10, Double(-precision))
            return (number / scale).rounded(.toNearestOrEven) * scale
        }
        return Double(printed("%.\(precision)f", number)) ?? number
    }

    private static func rounded(_ integer: Int, to precision: Int) throws(JinjaError) -> Int {
        guard precision < 0 else { return integer }
        guard precision > -19 else { return 0 }
        var scale = 1
        for _ in 0..<(-precision) { scale *= 10 }
        let rest = ((integer % scale) + scale) % scale
        let (floor, isTooSmall) = integer.subtractingReportingOverflow(rest)
        let isUp = rest > scale / 2 || (rest == scale / 2 && (floor / scale) % 2 != 0)
        let (result, isTooLarge) = isUp ? floor.addingReportingOverflow(scale) : (floor, false)
        guard !isTooSmall, !isTooLarge else { throw JinjaError("an integer beyond 64 bits, which are not supported") }
        return result
    }

    /// C's `printf` of one number; the format is ours.
    static func printed(_ format: String, _ number: Double) -> String {
        withVaList([number]) { arguments in
            var bytes = [CChar](repeating: 0, count: 2048)
            let count = vsnprintf(&bytes, bytes.count, format, arguments)
            return String(decoding: bytes.prefix(max(0, min(Int(count), bytes.count - 1))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }
}
