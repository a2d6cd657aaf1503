extension JSONValue {
    /// The text of this value, without a final newline; the same value always gives the same text.
    ///
    /// As Python's `json.dumps(..., ensure_ascii=False)` writes it: compact with separators `,` and `:`, or `pretty` with an indent of 2.
    /// Numbers are the shortest text that reads back as the same `Double`; NaN and the infinities, which JSON does not have, become `null`.
    public func serialized(pretty: Bool = false) -> String {
        var bytes: [UInt8] = []
        write(to: &bytes, indent: pretty ? 0 : nil)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(to bytes: inout [UInt8], indent: Int?) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .integer(let value): bytes.append(contentsOf: String(value).utf8)
        case .number(let value): bytes.append(contentsOf: (value.isFinite ? Self.shortest(value) : "null").utf8)
        case .string(let value): Self.write(value, to: &bytes)
        case .array(let elements):
            Self.write(elements, to: &bytes, brackets: ("[", "]"), indent: indent) { element, bytes, indent in
                element.write(to: &bytes, indent: indent)
            }
        case .object(let object):
            Self.write(object.members, to: &bytes, brackets: ("{", "}"), indent: indent) { member, bytes, indent in
                Self.write(member.key, to: &bytes)
                bytes.append(contentsOf: (indent == nil ? ":" : ": ").utf8)
                member.value.write(to: &bytes, indent: indent)
            }
        }
    }

    private static func write<Item>(
        _ items: [Item], to bytes: inout [UInt8], brackets: (open: Unicode.Scalar, close: Unicode.Scalar), indent: Int?,
        item write: (Item, inout [UInt8], Int?) -> Void
    ) {
        func newline(_ bytes: inout [UInt8], _ indent: Int?) {
            guard let indent else { return }
            bytes.append(UInt8(ascii: "\n"))
            bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: indent))
        }
        bytes.append(UInt8(ascii: brackets.open))
        let inner = indent.map { $0 + 2 }
        for (index, item) in items.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            newline(&bytes, inner)
            write(item, &bytes, inner)
        }
        if !items.isEmpty { newline(&bytes, indent) }
        bytes.append(UInt8(ascii: brackets.close))
    }

    private static func write(_ string: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case 0x08: bytes.append(contentsOf: "\\b".utf8)
            case 0x09: bytes.append(contentsOf: "\\t".utf8)
            case 0x0A: bytes.append(contentsOf: "\\n".utf8)
            case 0x0C: bytes.append(contentsOf: "\\f".utf8)
            case 0x0D: bytes.append(contentsOf: "\\r".utf8)
            case 0..<0x20: bytes.append(contentsOf: "\\u00\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// The shortest digits that round-trip, laid out as Python's `repr` does: with an exponent below 1e-4 and from 1e16.
    ///
    /// Swift finds the same digits but lays them out by another rule.
    private static func shortest(_ value: Double) -> String {
        let parts = value.magnitude.description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".")
        let fraction = mantissa.count > 1 && mantissa[1] != "0" ? mantissa[1] : ""
        let padded = mantissa[0] + fraction
        let digits = padded.drop { $0 == "0" }
        let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
        // value = 0.digits * 10^point
        let point = mantissa[0].count + exponent - (padded.count - digits.count)
        var significant = String(digits)
        while significant.last == "0" { significant.removeLast() }
        let sign = value.sign == .minus ? "-" : ""
        if significant.isEmpty { return sign + "0.0" }
        if point > 16 || point < -3 {
            let power = String((point - 1).magnitude)
            let tail = significant.dropFirst()
            return sign + significant.prefix(1) + (tail.isEmpty ? "" : "." + tail) + "e" + (point > 0 ? "+" : "-") + (power.count < 2 ? "0" : "")
                + power
        }
        if point <= 0 { return sign + "0." + String(repeating: "0", count: -point) + significant }
        if point >= significant.count { return sign + significant + String(repeating: "0", count: point - significant.count) + ".0" }
        return sign + significant.prefix(point) + "." + significant.dropFirst(point)
    }
}
