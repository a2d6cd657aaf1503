/// The three types that weights are read and written in; the raw value is Hugging Face's spelling of the dtype.
public enum ElementType: String, Sendable, CaseIterable {
    /// 32-bit IEEE 754.
    case float32
    /// 16-bit IEEE 754.
    case float16
    /// The upper half of a 32-bit float.
    case bfloat16

    /// Bytes of one element.
    public var byteCount: Int { self == .float32 ? 4 : 2 }

    /// The type's name in a safetensors header.
    public var safeTensorsName: String {
        switch self {
        case .float32: "F32"
        case .float16: "F16"
        case .bfloat16: "BF16"
        }
    }

    /// The type of that name in a safetensors header; nil for every other name.
    public init?(safeTensorsName name: String) {
        guard let type = Self.allCases.first(where: { $0.safeTensorsName == name }) else { return nil }
        self = type
    }
}
