/// The element types of the format, in the order of the reference implementation: by alignment, then by history.
public enum SafeTensorsType: String, Sendable, CaseIterable, Comparable {
    case bool = "BOOL"
    case f4 = "F4"
    case f6E2M3 = "F6_E2M3"
    case f6E3M2 = "F6_E3M2"
    case u8 = "U8"
    case i8 = "I8"
    case f8E5M2 = "F8_E5M2"
    case f8E4M3 = "F8_E4M3"
    case f8E8M0 = "F8_E8M0"
    case f8E4M3FNUZ = "F8_E4M3FNUZ"
    case f8E5M2FNUZ = "F8_E5M2FNUZ"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case c64 = "C64"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    /// Bits of one element.
    public var bitCount: Int {
        switch self {
        case .f4: 4
        case .f6E2M3, .f6E3M2: 6
        case .bool, .u8, .i8, .f8E5M2, .f8E4M3, .f8E8M0, .f8E4M3FNUZ, .f8E5M2FNUZ: 8
        case .i16, .u16, .f16, .bf16: 16
        case .i32, .u32, .f32: 32
        case .c64, .f64, .i64, .u64: 64
        }
    }

    /// Whether `left` stands before `right` in the reference's declaration.
    public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// One tensor of a file.
public struct SafeTensor: Sendable, Equatable {
    /// Its name; 1 to 512 bytes of UTF-8 without NUL.
    public let name: String
    /// The type of its elements.
    public let type: SafeTensorsType
    /// Its dimensions, outermost first; empty for a scalar.
    public let shape: [Int]
    /// Where its bytes lie in the file; they need not be aligned.
    public let fileRange: Range<Int>

    /// The number of its bytes.
    public var byteCount: Int { fileRange.count }
}

extension SafeTensor {
    /// The bytes of a tensor; nil when they overflow an `Int` or end within a byte. A dimension of 0 does not hide an overflow of the others.
    static func byteCount(type: SafeTensorsType, shape: [Int]) -> Int? {
        var bits = type.bitCount
        for dimension in shape where dimension != 0 {
            let (product, overflowed) = bits.multipliedReportingOverflow(by: dimension)
            if overflowed { return nil }
            bits = product
        }
        if shape.contains(0) { return 0 }
        return bits % 8 == 0 ? bits / 8 : nil
    }
}
