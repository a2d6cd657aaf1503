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
    private static let bytes: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x144)
        for (byte, scalar) in scalars.enumerated() { table[Int(scalar)] = Int16(byte) }
        return table
    }()

    /// Appends the bytes that a spelling (UTF-8) stands for; false, with nothing settled, if a character is not of the alphabet.
    static func append(_ spelling: UnsafeBufferPointer<UInt8>, to out: inout [UInt8]) -> Bool {
        bytes.withUnsafeBufferPointer { bytes in
            var position = 0
            while position < spelling.count {
                var scalar = Int(spelling[position])
                position += 1
                if scalar >= 0x80 {
                    // The alphabet ends before U+0800: two bytes, or not ours.
                    guard scalar & 0xE0 == 0xC0, position < spelling.count else { return false }
                    scalar = (scalar & 0x1F) << 6 | Int(spelling[position] & 0x3F)
                    position += 1
                }
                guard scalar < bytes.count, bytes[scalar] >= 0 else { return false }
                out.append(UInt8(truncatingIfNeeded: bytes[scalar]))
            }
            return true
        }
    }

    /// The bytes that a spelling (UTF-8) stands for; nil if a character is not of the alphabet.
    static func bytes(spelledBy spelling: [UInt8]) -> [UInt8]? {
        var out: [UInt8] = []
        return spelling.withUnsafeBufferPointer { append($0, to: &out) } ? out : nil
    }

    /// The spelling of bytes.
    static func spelling(of bytes: some Sequence<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        for byte in bytes { text.append(Unicode.Scalar(scalars[Int(byte)]) ?? "\u{FFFD}") }
        return String(text)
    }
}
