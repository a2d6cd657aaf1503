/// Reads the two big members of a `tokenizer.json`, `model.vocab` and `model.merges`, straight from the text, with no value in between.
///
/// It is as strict as `JSONValue.parse` about what it reads (RFC 8259, valid UTF-8); what it only skips is to be parsed by that.
struct JSONCursor: ~Copyable {
    /// The text is not JSON. Where and why is for `JSONValue.parse` to say, which finds the same.
    struct Malformed: Error {}

    let text: UnsafeBufferPointer<UInt8>
    private(set) var position: Int
    private let end: Int
    /// The bytes of the last string that had escapes.
    private var unescaped = ByteBuffer()

    init(_ text: UnsafeBufferPointer<UInt8>, range: Range<Int>) {
        self.text = text
        position = range.lowerBound
        end = range.upperBound
    }

    // MARK: Structure

    /// Steps over the bracket that opens an object or array; whether it has any elements. `}` or `]` is stepped over if not.
    mutating func open(_ bracket: UInt8) throws(Malformed) -> Bool {
        try take(bracket)
        skipWhitespace()
        // '[' + 2 is ']', '{' + 2 is '}'.
        guard peek == bracket + 2 else { return true }
        position += 1
        return false
    }

    /// Steps over what follows an element: a comma (true: there is another) or the closing bracket.
    mutating func next(_ bracket: UInt8) throws(Malformed) -> Bool {
        skipWhitespace()
        if peek == UInt8(ascii: ",") {
            position += 1
            skipWhitespace()
            return true
        }
        try take(bracket + 2)
        return false
    }

    /// Steps over the colon behind a key.
    mutating func colon() throws(Malformed) {
        skipWhitespace()
        try take(UInt8(ascii: ":"))
        skipWhitespace()
    }

    /// Whether only white space is left.
    mutating func isAtEnd() -> Bool {
        skipWhitespace()
        return position == end
    }

    @inline(__always)
    mutating func skipWhitespace() {
        if position < end, text[position] <= 0x20 { skipSpace() }
    }

    private mutating func skipSpace() {
        while position < end {
            let byte = text[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            position += 1
            // Indentation, eight spaces at a time.
            let raw = UnsafeRawBufferPointer(text)
            while position + 8 <= end, raw.loadUnaligned(fromByteOffset: position, as: UInt64.self) == 0x2020_2020_2020_2020 { position += 8 }
        }
    }

    /// The byte here; at the end NUL, which is nowhere allowed.
    var peek: UInt8 { position < end ? text[position] : 0 }

    private mutating func take(_ byte: UInt8) throws(Malformed) {
        guard peek == byte else { throw Malformed() }
        position += 1
    }

    // MARK: Skipping

    /// The range of the value here, and how many elements it has if it is an array or object. Looks at brackets and quotes only.
    mutating func skipValue() throws(Malformed) -> (range: Range<Int>, count: Int) {
        let start = position
        var (depth, commas) = (0, 0)
        repeat {
            guard position < end else { throw Malformed() }
            switch text[position] {
            case UInt8(ascii: "\""): try skipString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                guard depth >= 0 else { throw Malformed() }
                position += 1
            case UInt8(ascii: ","):
                guard depth > 0 else { throw Malformed() }
                if depth == 1 { commas += 1 }
                position += 1
            case 0x20, 0x0A, 0x0D, 0x09: skipWhitespace()
            case UInt8(ascii: ":"): position += 1
            default:
                while position < end, !Self.endsLiteral(text[position]) { position += 1 }
            }
        } while depth > 0
        return (start..<position, commas + 1)
    }

    @inline(__always)
    private static func endsLiteral(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"), UInt8(ascii: "\""),
            0x20, 0x0A, 0x0D, 0x09:
            true
        default: false
        }
    }

    private mutating func skipString() throws(Malformed) {
        position += 1
        while position < end {
            if let word = word {
                let found = Self.zeros(in: word ^ Self.quotes) | Self.zeros(in: word ^ Self.backslashes)
                position += found == 0 ? 8 : found.trailingZeroBitCount >> 3
                if found == 0 { continue }
            }
            let byte = text[position]
            position += byte == UInt8(ascii: "\\") ? 2 : 1
            if byte == UInt8(ascii: "\"") { return }
        }
        throw Malformed()
    }

    // MARK: Eight bytes at a time

    private static let quotes: UInt64 = 0x2222_2222_2222_2222
    private static let backslashes: UInt64 = 0x5C5C_5C5C_5C5C_5C5C
    private static let highBits: UInt64 = 0x8080_8080_8080_8080

    /// The eight bytes here, the first the lowest; nil near the end.
    @inline(__always)
    private var word: UInt64? {
        position + 8 <= end ? UInt64(littleEndian: UnsafeRawBufferPointer(text).loadUnaligned(fromByteOffset: position, as: UInt64.self)) : nil
    }

    /// The high bit of every byte that is zero, up to the first that is; what is above that is not to be trusted.
    @inline(__always)
    private static func zeros(in word: UInt64) -> UInt64 { (word &- 0x0101_0101_0101_0101) & ~word & highBits }

    /// The high bit of every byte that is a quote, a backslash, a control character or not ASCII, up to the first; above that not to be trusted.
    @inline(__always)
    private static func notPlain(in word: UInt64) -> UInt64 {
        zeros(in: word ^ quotes) | zeros(in: word ^ backslashes) | (word &- 0x2020_2020_2020_2020) & highBits | word & highBits
    }

    // MARK: Values

    /// The bytes that the string here stands for; theirs to read until the next string is.
    mutating func string() throws(Malformed) -> UnsafeBufferPointer<UInt8> {
        try take(UInt8(ascii: "\""))
        let start = position
        while position < end {
            if let word = word {
                let found = Self.notPlain(in: word)
                position += found == 0 ? 8 : found.trailingZeroBitCount >> 3
                if found == 0 { continue }
            }
            let byte = text[position]
            if byte == UInt8(ascii: "\"") {
                position += 1
                return UnsafeBufferPointer(rebasing: text[start..<position - 1])
            }
            if byte == UInt8(ascii: "\\") { return try unescapedString(from: start) }
            position += try plainLength(byte)
        }
        throw Malformed()
    }

    /// The rest of a string from its first escape on.
    private mutating func unescapedString(from start: Int) throws(Malformed) -> UnsafeBufferPointer<UInt8> {
        unescaped.count = 0
        unescaped.append(UnsafeBufferPointer(rebasing: text[start..<position]))
        while position < end {
            let byte = text[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return unescaped.contents
            case UInt8(ascii: "\\"):
                position += 1
                try escape()
            default:
                let length = try plainLength(byte)
                unescaped.append(UnsafeBufferPointer(rebasing: text[position..<position + length]))
                position += length
            }
        }
        throw Malformed()
    }

    /// The length of the character here, which is neither a quote nor a backslash.
    @inline(__always)
    private func plainLength(_ byte: UInt8) throws(Malformed) -> Int {
        if byte < 0x80 {
            guard byte >= 0x20 else { throw Malformed() }
            return 1
        }
        if byte >= 0xC2, byte < 0xE0, position + 1 < end, text[position + 1] & 0xC0 == 0x80 { return 2 }
        let length = UTF8Text.wellFormedLength(text, at: position, end: end)
        guard length > 0 else { throw Malformed() }
        return length
    }

    private mutating func escape() throws(Malformed) {
        let byte = peek
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(byte)
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0C)
        case UInt8(ascii: "n"): unescaped.append(0x0A)
        case UInt8(ascii: "r"): unescaped.append(0x0D)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"):
            var scalar = try codeUnit()
            if scalar & 0xF800 == 0xD800 {
                guard scalar < 0xDC00 else { throw Malformed() }
                try take(UInt8(ascii: "\\"))
                try take(UInt8(ascii: "u"))
                let low = try codeUnit()
                guard low & 0xFC00 == 0xDC00 else { throw Malformed() }
                scalar = 0x10000 + (scalar & 0x3FF) << 10 + low & 0x3FF
            }
            unescaped.append(scalar: scalar)
        default: throw Malformed()
        }
    }

    private mutating func codeUnit() throws(Malformed) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            switch peek {
            case let byte where byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"): unit = unit << 4 | UInt32(byte - UInt8(ascii: "0"))
            case let byte where byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "f"):
                unit = unit << 4 | UInt32((byte | 0x20) - UInt8(ascii: "a") + 10)
            default: throw Malformed()
            }
            position += 1
        }
        return unit
    }

    /// The digits here as a number below 2^31, or nil (and no step) if the value is anything else.
    mutating func id() -> Int32? {
        var (value, next) = (0, position)
        while next < end, next - position < 11, text[next] >= UInt8(ascii: "0"), text[next] <= UInt8(ascii: "9") {
            value = value * 10 + Int(text[next] - UInt8(ascii: "0"))
            next += 1
        }
        let isWhole =
            next > position && (next == end || Self.endsLiteral(text[next])) && (text[position] != UInt8(ascii: "0") || next == position + 1)
        guard isWhole, let id = Int32(exactly: value) else { return nil }
        position = next
        return id
    }
}
