/// The strict gate before json-c: one pass over the bytes that lets through RFC 8259 and nothing else.
///
/// json-c, even when asked to be strict, keeps the last of two equal keys, cuts a key at `\u0000`, accepts `NaN`, single quotes, raw control
/// characters and overlong UTF-8, replaces a lone surrogate and saturates an integer that does not fit. Two things of RFC 8259 it gets wrong
/// itself, and is given in another spelling: an escaped surrogate pair (version 0.16 loses one in 32) and `-0` (it drops the sign).
struct JSONGate {
    private let text: UnsafeRawBufferPointer
    private let source: String
    private let depthLimit: Int
    private var position = 0
    /// Keys of all objects that are open, outermost first.
    private var keys: [Key] = []
    /// Scratch: an open-addressing table of indices into `keys`, for the object that closes.
    private var slots: [Int32] = []
    /// The text up to `respelledEnd` as json-c is to read it; empty, and `respelledEnd` where the value starts, if nothing had to be changed.
    private var respelled: [UInt8] = []
    private var respelledEnd = 0

    /// A key: where its first quote stands, and the hash of its decoded bytes.
    private struct Key {
        let offset: Int
        let hash: Int
    }

    /// Checks that the text is one JSON value. Returns the range of its bytes, without the white space around it, and the bytes that say the
    /// same to json-c; nil where it reads the text itself right.
    static func check(_ text: UnsafeRawBufferPointer, source: String, depth: Int) throws(JSONError) -> (value: Range<Int>, respelled: [UInt8]?) {
        var gate = JSONGate(text: text, source: source, depthLimit: depth)
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { throw gate.error(at: 0, "the text begins with a byte order mark; save it as UTF-8 without one") }
        gate.skipWhitespace()
        let start = gate.position
        gate.respelledEnd = start
        try gate.value(depth: 0)
        let end = gate.position
        gate.skipWhitespace()
        guard gate.position == text.count else { throw gate.unexpected("the end of the text after the value") }
        guard gate.respelledEnd > start else { return (start..<end, nil) }
        return (start..<end, gate.respelled + text[gate.respelledEnd..<end])
    }

    private init(text: UnsafeRawBufferPointer, source: String, depthLimit: Int) {
        self.text = text
        self.source = source
        self.depthLimit = depthLimit
    }

    // MARK: Structure

    private mutating func value(depth: Int) throws(JSONError) {
        switch peek {
        case UInt8(ascii: "{"): try object(depth: depth + 1)
        case UInt8(ascii: "["): try array(depth: depth + 1)
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: throw unexpected("a value")
        }
    }

    private mutating func object(depth: Int) throws(JSONError) {
        try enter(depth)
        let firstKey = keys.count
        skipWhitespace()
        if take(UInt8(ascii: "}")) { return }
        while true {
            guard peek == UInt8(ascii: "\"") else { throw unexpected("a key in double quotes") }
            try key()
            skipWhitespace()
            guard take(UInt8(ascii: ":")) else { throw unexpected("':' after the key") }
            skipWhitespace()
            try value(depth: depth)
            skipWhitespace()
            if take(UInt8(ascii: ",")) {
                skipWhitespace()
            } else if take(UInt8(ascii: "}")) {
                try refuseDuplicates(from: firstKey)
                keys.removeLast(keys.count - firstKey)
                return
            } else {
                throw unexpected("',' or '}' after a member")
            }
        }
    }

    private mutating func array(depth: Int) throws(JSONError) {
        try enter(depth)
        skipWhitespace()
        if take(UInt8(ascii: "]")) { return }
        while true {
            try value(depth: depth)
            skipWhitespace()
            if take(UInt8(ascii: ",")) {
                skipWhitespace()
            } else if take(UInt8(ascii: "]")) {
                return
            } else {
                throw unexpected("',' or ']' after an element")
            }
        }
    }

    private mutating func enter(_ depth: Int) throws(JSONError) {
        guard depth <= depthLimit else { throw error(at: position, "nested deeper than \(depthLimit) levels") }
        position += 1
    }

    private mutating func literal(_ word: StaticString) throws(JSONError) {
        let bytes = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
        guard text[position...].starts(with: bytes) else { throw unexpected("a value") }
        position += bytes.count
    }

    // MARK: Numbers

    private mutating func number() throws(JSONError) {
        let start = position
        let negative = take(UInt8(ascii: "-"))
        let first = position
        try digits("a digit")
        if text[first] == UInt8(ascii: "0"), position - first > 1 { throw error(at: start, "a number must not begin with 0") }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try digits("a digit after the decimal point")
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            isInteger = false
            position += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
            try digits("a digit in the exponent")
        }
        if isInteger {
            guard position - first <= 18 || fitsInt64(first..<position, negative: negative) else {
                throw error(at: start, "an integer that does not fit 64 bits")
            }
            // No integer is -0.
            if negative, text[first] == UInt8(ascii: "0") { respell(from: start, as: "-0.0".utf8) }
        } else {
            let spelling = String(decoding: text[start..<position], as: UTF8.self)
            guard let value = Double(spelling), value.isFinite else { throw error(at: start, "a number beyond the range of a 64-bit float") }
        }
    }

    private mutating func digits(_ expected: String) throws(JSONError) {
        let start = position
        while case UInt8(ascii: "0")...UInt8(ascii: "9") = peek { position += 1 }
        if position == start { throw unexpected(expected) }
    }

    private func fitsInt64(_ digits: Range<Int>, negative: Bool) -> Bool {
        var magnitude: UInt64 = 0
        for byte in text[digits] {
            let (scaled, overflowed) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carried) = scaled.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            if overflowed || carried { return false }
            magnitude = sum
        }
        return magnitude <= UInt64(Int64.max) + (negative ? 1 : 0)
    }

    // MARK: Strings

    /// Steps over a string; returns whether it holds an escape.
    private mutating func string() throws(JSONError) -> Bool {
        let start = position
        position += 1
        var escaped = false
        while position < text.count {
            let byte = text[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return escaped
            case UInt8(ascii: "\\"):
                escaped = true
                try escape()
            case 0..<0x20:
                throw error(at: position, "a raw control character in a string; write it as \\u00\(hex(byte))")
            case 0x20..<0x80:
                position += 1
            default:
                let length = scalarLength()
                guard length > 0 else { throw error(at: position, "invalid UTF-8 (byte 0x\(hex(byte)))") }
                position += length
            }
        }
        throw error(at: start, "a string without its closing quote (is the file truncated?)")
    }

    private mutating func escape() throws(JSONError) {
        let start = position
        position += 1
        switch peek {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"),
            UInt8(ascii: "t"):
            position += 1
        case UInt8(ascii: "u"):
            let unit = try codeUnit()
            guard unit & 0xF800 == 0xD800 else { return }
            guard unit < 0xDC00, peek == UInt8(ascii: "\\"), position + 1 < text.count, text[position + 1] == UInt8(ascii: "u") else {
                throw error(at: start, "a lone surrogate in an escape")
            }
            position += 1
            let low = try codeUnit()
            guard low & 0xFC00 == 0xDC00 else { throw error(at: start, "a lone surrogate in an escape") }
            respell(from: start, as: Self.utf8(high: unit, low: low))
        default:
            throw unexpected("one of \"\\/bfnrtu after a backslash")
        }
    }

    /// Reads `uXXXX`.
    private mutating func codeUnit() throws(JSONError) -> UInt32 {
        position += 1
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = hexDigit(peek) else { throw unexpected("four hexadecimal digits after \\u") }
            unit = unit << 4 | digit
            position += 1
        }
        return unit
    }

    /// The scalar of a surrogate pair.
    private static func utf8(high: UInt32, low: UInt32) -> [UInt8] {
        let scalar = 0x10000 + (high & 0x3FF) << 10 + low & 0x3FF
        return [
            UInt8(0xF0 | scalar >> 18), UInt8(0x80 | scalar >> 12 & 0x3F), UInt8(0x80 | scalar >> 6 & 0x3F), UInt8(0x80 | scalar & 0x3F),
        ]
    }

    /// The length of the well-formed UTF-8 sequence here (Unicode, table 3-7), which is not ASCII; 0 if it is not one.
    private func scalarLength() -> Int {
        let lead = text[position]
        let (length, second): (Int, ClosedRange<UInt8>) =
            switch lead {
            case 0xC2...0xDF: (2, 0x80...0xBF)
            case 0xE0: (3, 0xA0...0xBF)
            case 0xED: (3, 0x80...0x9F)
            case 0xE1...0xEF: (3, 0x80...0xBF)
            case 0xF0: (4, 0x90...0xBF)
            case 0xF1...0xF3: (4, 0x80...0xBF)
            case 0xF4: (4, 0x80...0x8F)
            default: (0, 0...0)
            }
        guard length > 0, position + length <= text.count, second.contains(text[position + 1]) else { return 0 }
        for index in 2..<max(length, 2) where text[position + index] & 0xC0 != 0x80 { return 0 }
        return length
    }

    // MARK: Keys

    private mutating func key() throws(JSONError) {
        let start = position
        let escaped = try string()
        var hasher = Hasher()
        if escaped {
            let decoded = decodedKey(at: start)
            guard !decoded.contains(0) else { throw error(at: start, "a key with \\u0000 in it") }
            decoded.withUnsafeBytes { hasher.combine(bytes: $0) }
        } else {
            hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: text[start + 1..<position - 1]))
        }
        keys.append(Key(offset: start, hash: hasher.finalize()))
    }

    /// Refuses a key that stands twice among `keys[first...]`. Linear: `Hasher` is seeded per process, so that nobody can aim at one slot.
    private mutating func refuseDuplicates(from first: Int) throws(JSONError) {
        let count = keys.count - first
        guard count > 1 else { return }
        var capacity = 4
        while capacity < 2 * count { capacity *= 2 }
        slots.removeAll(keepingCapacity: true)
        slots.append(contentsOf: repeatElement(-1, count: capacity))
        for index in first..<keys.count {
            var slot = keys[index].hash & (capacity - 1)
            while slots[slot] >= 0 {
                let other = keys[Int(slots[slot])]
                if other.hash == keys[index].hash {
                    let name = decodedKey(at: keys[index].offset)
                    if name == decodedKey(at: other.offset) {
                        throw error(at: keys[index].offset, "the key \(quoted(name)) stands twice in one object")
                    }
                }
                slot = (slot + 1) & (capacity - 1)
            }
            slots[slot] = Int32(index)
        }
    }

    /// The bytes that the (checked) string at this quote stands for.
    private func decodedKey(at quote: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var index = quote + 1
        while text[index] != UInt8(ascii: "\"") {
            guard text[index] == UInt8(ascii: "\\") else {
                bytes.append(text[index])
                index += 1
                continue
            }
            index += 2
            switch text[index - 1] {
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0C)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "u"):
                let unit = decodedUnit(at: index)
                index += 4
                if unit & 0xFC00 == 0xD800 {
                    bytes += Self.utf8(high: unit, low: decodedUnit(at: index + 2))
                    index += 6
                } else if let scalar = Unicode.Scalar(unit) {
                    bytes += UTF8.encode(scalar) ?? .init()
                }
            case let byte: bytes.append(byte)
            }
        }
        return bytes
    }

    private func decodedUnit(at index: Int) -> UInt32 {
        text[index..<index + 4].reduce(0) { $0 << 4 | (hexDigit($1) ?? 0) }
    }

    // MARK: Other spelling

    /// Gives json-c these bytes instead of the text from `start` to here.
    private mutating func respell(from start: Int, as bytes: some Sequence<UInt8>) {
        respelled += text[respelledEnd..<start]
        respelled += bytes
        respelledEnd = position
    }

    // MARK: Bytes

    /// The byte here; at the end NUL, which is nowhere allowed.
    private var peek: UInt8 { position < text.count ? text[position] : 0 }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipWhitespace() {
        while position < text.count {
            let byte = text[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
        }
    }

    private func hexDigit(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    // MARK: Errors

    private func unexpected(_ expected: String) -> JSONError {
        guard position < text.count else {
            return error(at: position, "expected \(expected), found the end of the text (is it truncated?)")
        }
        let found = (0x21..<0x7F).contains(peek) ? "'\(Unicode.Scalar(peek))'" : "byte 0x\(hex(peek))"
        return error(at: position, "expected \(expected), found \(found)")
    }

    private func error(at offset: Int, _ message: String) -> JSONError {
        JSONError(source: source, text: text, offset: offset, message: message)
    }

    private func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

    /// A key for an error message: as JSON writes it, cut to 80 scalars.
    private func quoted(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self).unicodeScalars
        let short = String(String.UnicodeScalarView(text.prefix(80)))
        return JSONValue.string(text.count > 80 ? short + "…" : short).serialized()
    }
}
