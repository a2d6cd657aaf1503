/// One value of a GGUF file's metadata.
public enum GGUFValue: Sendable {
    case uint8(UInt8)
    case int8(Int8)
    case uint16(UInt16)
    case int16(Int16)
    case uint32(UInt32)
    case int32(Int32)
    case uint64(UInt64)
    case int64(Int64)
    case float32(Float)
    case float64(Double)
    case bool(Bool)
    case string(String)
    case array(GGUFArray)

    /// Any integer type, where it fits.
    public var int: Int? {
        switch self {
        case .uint8(let value): Int(value)
        case .int8(let value): Int(value)
        case .uint16(let value): Int(value)
        case .int16(let value): Int(value)
        case .uint32(let value): Int(value)
        case .int32(let value): Int(value)
        case .uint64(let value): Int(exactly: value)
        case .int64(let value): Int(exactly: value)
        default: nil
        }
    }

    /// A single-precision number.
    public var float: Float? { if case .float32(let value) = self { value } else { nil } }

    /// A truth value.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// A string.
    public var string: String? { if case .string(let value) = self { value } else { nil } }

    /// An array.
    public var array: GGUFArray? { if case .array(let value) = self { value } else { nil } }

    /// The type's name as the GGUF specification spells it: "UINT32".
    public var typeName: String {
        switch self {
        case .uint8: GGUFValueType.uint8.name
        case .int8: GGUFValueType.int8.name
        case .uint16: GGUFValueType.uint16.name
        case .int16: GGUFValueType.int16.name
        case .uint32: GGUFValueType.uint32.name
        case .int32: GGUFValueType.int32.name
        case .uint64: GGUFValueType.uint64.name
        case .int64: GGUFValueType.int64.name
        case .float32: GGUFValueType.float32.name
        case .float64: GGUFValueType.float64.name
        case .bool: GGUFValueType.bool.name
        case .string: GGUFValueType.string.name
        case .array(let array): "ARRAY of \(array.elementType.name)"
        }
    }
}

/// The types of metadata values, with the numbers of the GGUF specification.
public enum GGUFValueType: UInt32, Sendable {
    case uint8 = 0
    case int8 = 1
    case uint16 = 2
    case int16 = 3
    case uint32 = 4
    case int32 = 5
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12

    /// The name as the specification spells it: "UINT32".
    public var name: String { "\(self)".uppercased() }

    /// Bytes of one value; for a string or an array the least it can take: its length, and an element type and a count.
    var leastBytes: Int {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .string: 8
        case .array: 12
        }
    }
}
