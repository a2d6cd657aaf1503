/// The printable character that stands for each byte in a byte-level vocabulary.
///
/// GPT-2's rule: a printable Latin-1 byte stands for itself; the other 68, in order, are U+0100 and up (so a space is `Ġ`).
enum ByteAlphabet {
    /// The character of each byte.
    static let scalars: [UInt32] = {
        var next: UInt32 = 0x100
        return (0..<256).map { byte in
            let printable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || (0xAE...0xFF).contains(byte)
            if printable { return UInt32(byte) }
            defer { next += 1 }
            return next
        }
    }()

    /// The byte of each character up to U+0143; -1 where the character stands for none.
    private static let bytes: FlatTable<Int16> = {
        let table = FlatTable<Int16>(repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
        return table
    }()

    /// Writes the bytes that a spelling (UTF-8) stands for, no more than it has itself; nil if a character is not of the alphabet.
    static func map(_ spelling: UnsafeBufferPointer<UInt8>, to out: UnsafeMutablePointer<UInt8>) -> Int? {
        var (position, count) = (0, 0)
        while position < spelling.count {
            let lead = spelling[position]
            if lead < 0x80 {
                // Printable ASCII stands for itself, the rest for nothing.
                guard lead > 0x20, lead < 0x7F else { return nil }
                out[count] = lead
                position += 1
            } else {
                // The alphabet ends before U+0800: two bytes, or not ours.
                guard lead & 0xE0 == 0xC0, position + 1 < spelling.count else { return nil }
                let scalar = Int(lead & 0x1F) << 6 | Int(spelling[position + 1] & 0x3F)
                guard scalar < bytes.count, bytes[scalar] >= 0 else { return nil }
                out[count] = UInt8(truncatingIfNeeded: bytes[scalar])
                position += 2
            }
            count += 1
        }
        return count
    }

    /// Appends the bytes that a spelling stands for; false, and nothing appended, if a character is not of the alphabet.
    static func append(_ spelling: UnsafeBufferPointer<UInt8>, to out: inout ByteBuffer) -> Bool {
        out.reserve(spelling.count)
        guard let count = map(spelling, to: out.base + out.count) else { return false }
        out.count += count
        return true
    }

    /// The spelling of bytes.
    static func spelling(of bytes: some Sequence<UInt8>) -> [UInt8] {
        var spelling = ByteBuffer()
        for byte in bytes { spelling.append(scalar: scalars[Int(byte)]) }
        return Array(spelling.contents)
    }
}
