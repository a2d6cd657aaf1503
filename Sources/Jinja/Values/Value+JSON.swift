/// Python's `json.dumps`, as the filter `tojson` of transformers calls it.
struct JSONWriter {
    let renderer: Renderer
    let isASCII: Bool
    /// nil writes everything on one line.
    let indent: Text?
    let itemSeparator: Text
    let keySeparator: Text
    let sortsKeys: Bool
    private(set) var output: [Unicode.Scalar] = []

    init(_ renderer: Renderer, isASCII: Bool, indent: Text?, itemSeparator: Text, keySeparator: Text, sortsKeys: Bool) {
        self.renderer = renderer
        self.isASCII = isASCII
        self.indent = indent
        self.itemSeparator = itemSeparator
        self.keySeparator = keySeparator
        self.sortsKeys = sortsKeys
    }

    mutating func write(_ value: Value, level: Int = 0) throws(JinjaError) {
        try renderer.spend(4)
        switch value {
        case .none, .bool, .integer, .number: output += Array(try Self.literal(value).unicodeScalars)
        case .string(let text): try write(text)
        case .list(let items), .tuple(let items):
            try enclose("[", "]", items.elements, level) { writer, element throws(JinjaError) in try writer.write(element, level: level + 1) }
        case .dictionary(let dictionary):
            var entries = dictionary.entries
            if sortsKeys { entries = try renderer.sorted(entries) { $0.key } }
            try enclose("{", "}", entries, level) { writer, entry throws(JinjaError) in
                switch entry.key {
                case .string(let text): try writer.write(text)
                case .none, .bool, .integer, .number: try writer.write(Text(try Self.literal(entry.key)))
                default: throw JinjaError("keys must be str, int, float, bool or None, not \(entry.key.typeName)")
                }
                writer.output += writer.keySeparator.scalars
                try writer.write(entry.value, level: level + 1)
            }
        case .undefined, .object: throw JinjaError("Object of type \(value.typeName) is not JSON serializable")
        }
    }

    private static func literal(_ value: Value) throws(JinjaError) -> String {
        switch value {
        case .bool(let value): value ? "true" : "false"
        case .integer(let value): String(value)
        case .number(let value): value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : Renderer.digits(of: value)
        default: "null"
        }
    }

    private mutating func enclose<Element>(
        _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ elements: [Element], _ level: Int,
        write: (inout JSONWriter, Element) throws(JinjaError) -> Void
    ) throws(JinjaError) {
        output.append(open)
        for (index, element) in elements.enumerated() {
            if index > 0 { output += itemSeparator.scalars }
            try newline(level + 1)
            try write(&self, element)
        }
        if !elements.isEmpty { try newline(level) }
        output.append(close)
    }

    private mutating func newline(_ level: Int) throws(JinjaError) {
        guard let indent else { return }
        let (width, overflow) = indent.count.multipliedReportingOverflow(by: level)
        try renderer.spend(characters: overflow ? Int.max / 2 : width)
        output.append("\n")
        for _ in 0..<level { output += indent.scalars }
    }

    private mutating func write(_ text: Text) throws(JinjaError) {
        try renderer.spend(characters: text.count)
        output.append("\"")
        for scalar in text.scalars {
            switch scalar {
            case "\"", "\\": output += ["\\", scalar]
            case "\n": output += ["\\", "n"]
            case "\r": output += ["\\", "r"]
            case "\t": output += ["\\", "t"]
            case "\u{08}": output += ["\\", "b"]
            case "\u{0C}": output += ["\\", "f"]
            default:
                if scalar.value < 0x20 || (isASCII && scalar.value > 0x7E) {
                    output += Array(scalar.jsonEscape.unicodeScalars)
                } else {
                    output.append(scalar)
                }
            }
        }
        output.append("\"")
    }
}

extension Unicode.Scalar {
    /// `\u00e9`, in two parts beyond 16 bits.
    var jsonEscape: String {
        UTF16.encode(self)?.reduce("") { text, unit in
            let digits = String(unit, radix: 16)
            return text + "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } ?? ""
    }
}
