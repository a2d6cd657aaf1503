/// Walking over UTF-8 that is known to be valid: every text is, once it is a `String`.
struct UTF8Text {
    let bytes: UnsafeBufferPointer<UInt8>

    var count: Int { bytes.count }

    /// A part of the text; the range must begin and end between characters.
    @inline(__always)
    subscript(range: Range<Int>) -> UTF8Text { UTF8Text(bytes: UnsafeBufferPointer(rebasing: bytes[range])) }

    /// The scalar that starts at `position` and its length in bytes. The text must be valid and `position` a scalar's start.
    @inline(__always)
    func scalar(at position: Int) -> (value: UInt32, length: Int) {
        let lead = UInt32(bytes[position])
        if lead < 0x80 { return (lead, 1) }
        if lead < 0xE0 { return ((lead & 0x1F) << 6 | tail(position + 1), 2) }
        if lead < 0xF0 { return ((lead & 0x0F) << 12 | tail(position + 1) << 6 | tail(position + 2), 3) }
        return ((lead & 0x07) << 18 | tail(position + 1) << 12 | tail(position + 2) << 6 | tail(position + 3), 4)
    }

    /// Where the scalar that ends before `position` (> 0) starts.
    @inline(__always)
    func start(before position: Int) -> Int {
        var start = position - 1
        while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
        return start
    }

    /// Calls `body` with every scalar.
    @inline(__always)
    func forEachScalar(_ body: (UInt32) -> Void) {
        var position = 0
        while position < count {
            let (scalar, length) = scalar(at: position)
            body(scalar)
            position += length
        }
    }

    @inline(__always)
    private func tail(_ position: Int) -> UInt32 { UInt32(bytes[position] & 0x3F) }

    // MARK: Bytes that may be anything

    /// The length of the well-formed UTF-8 sequence at `position` (Unicode, table 3-7); 0 if there is none before `end`.
    static func wellFormedLength(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int, end: Int) -> Int {
        let lead = bytes[position]
        if lead < 0x80 { return 1 }
        let length = wholeLength(lead)
        guard length > 1, position + length <= end, secondBytes(after: lead).contains(bytes[position + 1]) else { return 0 }
        for index in 2..<max(length, 2) where bytes[position + index] & 0xC0 != 0x80 { return 0 }
        return length
    }

    /// How many bytes at the end of `bytes` begin a character that later bytes could complete: 0 to 3.
    static func unfinishedSuffix(of bytes: some RandomAccessCollection<UInt8>) -> Int {
        for length in 1...3 where length <= bytes.count {
            let start = bytes.index(bytes.endIndex, offsetBy: -length)
            let lead = bytes[start]
            if lead & 0xC0 == 0x80 { continue }
            guard length < wholeLength(lead) else { return 0 }
            guard length > 1 else { return 1 }
            return secondBytes(after: lead).contains(bytes[bytes.index(after: start)]) ? length : 0
        }
        return 0
    }

    /// The length that a lead byte announces; 1 for one that starts nothing.
    static func wholeLength(_ lead: UInt8) -> Int { lead < 0xC2 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 1 }

    /// Overlong forms, surrogates and values past U+10FFFF show in the second byte.
    private static func secondBytes(after lead: UInt8) -> ClosedRange<UInt8> {
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
    }
}
