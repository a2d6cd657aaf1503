/// Python's `format % values` for strings.
extension Renderer {
    func formatted(_ format: Text, with values: Value) throws(JinjaError) -> Text {
        try spend(characters: format.count)
        var formatter = PercentFormatter(renderer: self, format: format, values: values)
        return try formatter.run()
    }
}

private struct PercentFormatter {
    let renderer: Renderer
    let format: Text
    /// What is to be formatted one after the other: a tuple's elements, or the one value.
    private let values: [Value]
    private let mapping: OrderedDictionary?
    private var next = 0
    private var position = 0
    private var output: [Unicode.Scalar] = []

    private static let widest = 10_000

    init(renderer: Renderer, format: Text, values: Value) {
        self.renderer = renderer
        self.format = format
        mapping = values.dictionary
        if case .tuple(let items) = values { self.values = items.elements } else { self.values = [values] }
    }

    private var current: Unicode.Scalar? { position < format.count ? format.scalars[position] : nil }

    mutating func run() throws(JinjaError) -> Text {
        while let scalar = current {
            position += 1
            if scalar == "%" { try directive() } else { output.append(scalar) }
        }
        guard next >= values.count || mapping != nil else { throw JinjaError("not all arguments converted during string formatting") }
        return format.with(output)
    }

    private mutating func take() throws(JinjaError) -> Value {
        guard next < values.count else { throw JinjaError("not enough arguments for format string") }
        defer { next += 1 }
        return values[next]
    }

    private mutating func directive() throws(JinjaError) {
        var named: Value?
        if current == "(" { named = try namedValue() }
        var flags: Set<Unicode.Scalar> = []
        while let flag = current, "-+ #0".unicodeScalars.contains(flag) {
            flags.insert(flag)
            position += 1
        }
        var width = try number() ?? 0
        if width < 0 {
            flags.insert("-")
            width = -width
        }
        var precision: Int?
        if current == "." {
            position += 1
            precision = max(0, try number() ?? 0)
        }
        while let letter = current, "hlL".unicodeScalars.contains(letter) { position += 1 }
        guard let conversion = current else { throw JinjaError("incomplete format") }
        position += 1
        if conversion == "%" { return output.append("%") }
        let value: Value
        if let named { value = named } else { value = try take() }
        try write(value, conversion, flags, width, precision)
    }

    private mutating func namedValue() throws(JinjaError) -> Value {
        guard let mapping else { throw JinjaError("format requires a mapping") }
        position += 1
        let start = position
        var depth = 1
        while let scalar = current {
            if scalar == "(" { depth += 1 }
            if scalar == ")" { depth -= 1 }
            position += 1
            if depth == 0 {
                let key = Text(format.scalars[start..<position - 1])
                guard let value = mapping[key] else { throw JinjaError("the format's key '\(key.string)' is missing") }
                return value
            }
        }
        throw JinjaError("incomplete format key")
    }

    /// A width or a precision: digits, or `*` for the next value.
    private mutating func number() throws(JinjaError) -> Int? {
        if current == "*" {
            position += 1
            guard let number = try take().wholeNumber else { throw JinjaError("* wants int") }
            return try checked(number)
        }
        var number: Int?
        while let digit = current, ("0"..."9") ~= digit {
            number = try checked((number ?? 0) * 10 + Int(digit.value - 48))
            position += 1
        }
        return number
    }

    private func checked(_ number: Int) throws(JinjaError) -> Int {
        guard number.magnitude <= UInt(Self.widest) else { throw JinjaError("a width or precision of more than \(Self.widest)") }
        return number
    }

    private mutating func write(_ value: Value, _ conversion: Unicode.Scalar, _ flags: Set<Unicode.Scalar>, _ width: Int, _ precision: Int?)
        throws(JinjaError)
    {
        var sign = ""
        var body: Text
        switch conversion {
        case "s", "r", "a":
            body = conversion == "s" ? try renderer.text(of: value) : try renderer.representation(of: value)
            if format.isMarkup { body = try renderer.escaped(body) }
            if let precision { body = Text(body.scalars.prefix(precision)) }
            if conversion == "a", !body.scalars.allSatisfy(\.isASCII) { throw JinjaError("%a of characters beyond ASCII is not supported") }
        case "c":
            if let code = value.wholeNumber, let scalar = UInt32(exactly: code).flatMap(Unicode.Scalar.init) {
                body = Text([scalar])
            } else if let text = value.text, text.count == 1 {
                body = text
            } else {
                throw JinjaError("%c requires int or char")
            }
        case "d", "i", "u", "x", "X", "o":
            let integer = try self.integer(value, conversion)
            let radix = conversion == "o" ? 8 : conversion == "x" || conversion == "X" ? 16 : 10
            let digits = String(integer.magnitude, radix: radix, uppercase: conversion == "X")
            body = Text(String(repeating: "0", count: max(0, (precision ?? 0) - digits.utf8.count)) + digits)
            sign = signed(integer < 0, flags)
            if flags.contains("#"), radix != 10 { sign += radix == 8 ? "0o" : "0\(conversion)" }
        case "e", "E", "f", "F", "g", "G":
            guard let number = value.double else { throw JinjaError("must be real number, not \(value.typeName)") }
            guard (precision ?? 6) <= 1000 else { throw JinjaError("a precision of more than 1000") }
            body = Text(Renderer.printed("%\(flags.contains("#") ? "#" : "").\(precision ?? 6)\(conversion)", number.magnitude))
            sign = signed(number.sign == .minus && !number.isNaN, flags)
        default: throw JinjaError("unsupported format character '\(conversion)'")
        }
        let isNumber = !["s", "r", "a", "c"].contains(conversion)
        let filled = width - sign.utf8.count
        if flags.contains("-") {
            output += Array(sign.unicodeScalars)
            output += try renderer.padded(body, to: filled, .left, with: " ").scalars
        } else if flags.contains("0"), isNumber {
            output += Array(sign.unicodeScalars)
            output += try renderer.padded(body, to: filled, .right, with: "0").scalars
        } else {
            output += try renderer.padded(Text(Array(sign.unicodeScalars) + body.scalars), to: width, .right, with: " ").scalars
        }
        try renderer.spend(characters: body.count)
    }

    private func signed(_ isNegative: Bool, _ flags: Set<Unicode.Scalar>) -> String {
        isNegative ? "-" : flags.contains("+") ? "+" : flags.contains(" ") ? " " : ""
    }

    private func integer(_ value: Value, _ conversion: Unicode.Scalar) throws(JinjaError) -> Int {
        if let integer = value.wholeNumber { return integer }
        guard case .number(let number) = value, ["d", "i", "u"].contains(conversion) else {
            throw JinjaError("%\(conversion) format: a number is required, not \(value.typeName)")
        }
        guard let integer = Int(exactly: number.rounded(.towardZero)) else { throw JinjaError("%\(conversion) format: the number is too large") }
        return integer
    }
}
