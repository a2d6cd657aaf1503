internal import JSON

extension Renderer {
    /// Python's `str`.
    func text(of value: Value) throws(JinjaError) -> Text {
        switch value {
        case .undefined: return ""
        case .string(let text): return text
        default: return try representation(of: value)
        }
    }

    /// Python's `repr`.
    func representation(of value: Value, depth: Int = 0) throws(JinjaError) -> Text {
        try spend(1)
        // Values are no deeper than the limit, except that a namespace may hold itself.
        guard depth <= 2 * template.limits.nesting else { throw JinjaError("a value that holds itself") }
        switch value {
        case .undefined: return "Undefined"
        case .none: return "None"
        case .bool(let value): return value ? "True" : "False"
        case .integer(let value): return Text(String(value))
        case .number(let value): return Text(Self.digits(of: value))
        case .string(let text):
            try spend(characters: text.count)
            return text.representation
        case .list(let items): return try enclosed(items.elements, "[", "]", depth)
        case .tuple(let items): return try enclosed(items.elements, "(", items.elements.count == 1 ? ",)" : ")", depth)
        case .dictionary(let dictionary):
            var scalars: [Unicode.Scalar] = ["{"]
            for (index, entry) in dictionary.entries.enumerated() {
                if index > 0 { scalars += [",", " "] }
                scalars += try representation(of: entry.key, depth: depth + 1).scalars + [":", " "]
                scalars += try representation(of: entry.value, depth: depth + 1).scalars
            }
            try spend(characters: scalars.count)
            return Text(scalars + ["}"])
        case .object(let object): return try object.representation(self, depth: depth)
        }
    }

    private func enclosed(_ elements: [Value], _ open: String, _ close: String, _ depth: Int) throws(JinjaError) -> Text {
        var scalars = Array(open.unicodeScalars)
        for (index, element) in elements.enumerated() {
            if index > 0 { scalars += [",", " "] }
            scalars += try representation(of: element, depth: depth + 1).scalars
        }
        try spend(characters: scalars.count)
        return Text(scalars + Array(close.unicodeScalars))
    }

    /// The shortest digits that read back as the same number, as Python lays them out.
    static func digits(of value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        return JSONValue.number(value).serialized()
    }
}

extension Text {
    /// Python's `repr` of a string: in single quotes, unless it has those and no double ones.
    var representation: Text {
        let quote: Unicode.Scalar = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'"
        var result: [Unicode.Scalar] = isMarkup ? Array("Markup(".unicodeScalars) : []
        result.append(quote)
        for scalar in scalars {
            switch scalar {
            case quote, "\\": result += ["\\", scalar]
            case "\n": result += ["\\", "n"]
            case "\r": result += ["\\", "r"]
            case "\t": result += ["\\", "t"]
            default:
                if scalar.isPrintable { result.append(scalar) } else { result += Array(scalar.pythonEscape.unicodeScalars) }
            }
        }
        result.append(quote)
        if isMarkup { result.append(")") }
        return Text(result)
    }
}

extension Unicode.Scalar {
    /// `\x07`, `\u200b` or `\U000e0001`
    fileprivate var pythonEscape: String {
        let digits = String(value, radix: 16)
        let (letter, width) = value < 0x100 ? ("x", 2) : value < 0x10000 ? ("u", 4) : ("U", 8)
        return "\\\(letter)" + String(repeating: "0", count: width - digits.count) + digits
    }
}
