/// A GGUF file to be written: the bytes of its header, and where each tensor's data goes. Whoever writes the file puts the header first, then each tensor's
/// bytes in order, each followed by its padding.
public struct GGUFLayout: Sendable {
    /// A value of the metadata.
    public enum Value: Sendable {
        case uint32(UInt32)
        case float32(Float)
        case bool(Bool)
        case string(String)
        case int32s([Int32])
        case float32s([Float])
        case strings([String])
    }

    /// A tensor of the file.
    public struct Tensor: Sendable {
        /// The name, at most 63 bytes.
        public let name: String
        /// How the weights are stored.
        public let type: GGMLType
        /// The dimensions, outermost first; rows (the last dimension) hold whole blocks.
        public let shape: [Int]

        /// A tensor of that type and shape.
        public init(name: String, type: GGMLType, shape: [Int]) {
            self.name = name
            self.type = type
            self.shape = shape
        }

        /// Bytes of its data, without padding.
        public var byteCount: Int { shape.reduce(1, *) / type.blockWeights * type.blockBytes }
    }

    /// The tensors, in the order of their data.
    public let tensors: [Tensor]
    /// Everything before the data of the first tensor, padding included.
    public let header: [UInt8]

    /// ggml's default; files that say nothing have it.
    private static let alignment = 32

    /// The zero bytes that follow a tensor's data.
    public static func padding(after tensor: Tensor) -> Int { (alignment - tensor.byteCount % alignment) % alignment }

    /// The size of the whole file.
    public var fileSize: Int { tensors.reduce(header.count) { $0 + $1.byteCount + Self.padding(after: $1) } }

    /// Lays a file out. Throws what a reader would refuse: names too long or twice, rows of broken blocks. `path` is the file, for errors.
    public init(keys: [(key: String, value: Value)], tensors: [Tensor], path: String) throws(GGUFError) {
        var names: Set<[UInt8]> = []
        for tensor in tensors {
            func failure(_ message: String) -> GGUFError { GGUFError(path: path, place: "tensor \(quoted(tensor.name.utf8))", message: message) }
            guard (1...63).contains(tensor.name.utf8.count), names.insert(Array(tensor.name.utf8)).inserted else {
                throw failure("a name that is twice there, or not of 1 to 63 bytes, cannot be written to a GGUF file")
            }
            guard (1...4).contains(tensor.shape.count), tensor.shape.allSatisfy({ $0 > 0 }),
                tensor.shape[tensor.shape.count - 1] % tensor.type.blockWeights == 0
            else { throw failure("\(tensor.type.name) of shape \(tensor.shape) cannot be written") }
        }
        self.tensors = tensors
        var out = Array("GGUF".utf8)
        Self.append(UInt32(3), to: &out)
        Self.append(UInt64(tensors.count), to: &out)
        Self.append(UInt64(keys.count), to: &out)
        for (key, value) in keys {
            Self.append(key, to: &out)
            Self.append(value, to: &out)
        }
        var offset = 0
        for tensor in tensors {
            Self.append(tensor.name, to: &out)
            Self.append(UInt32(tensor.shape.count), to: &out)
            for dimension in tensor.shape.reversed() { Self.append(UInt64(dimension), to: &out) }
            Self.append(tensor.type.rawValue, to: &out)
            Self.append(UInt64(offset), to: &out)
            offset += tensor.byteCount + Self.padding(after: tensor)
        }
        header = out + [UInt8](repeating: 0, count: (Self.alignment - out.count % Self.alignment) % Self.alignment)
    }

    private static func append(_ number: some FixedWidthInteger, to out: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { out.append(contentsOf: $0) }
    }

    private static func append(_ text: String, to out: inout [UInt8]) {
        append(UInt64(text.utf8.count), to: &out)
        out.append(contentsOf: text.utf8)
    }

    private static func append(_ value: Value, to out: inout [UInt8]) {
        func type(_ type: GGUFValueType) { append(type.rawValue, to: &out) }
        switch value {
        case .uint32(let number):
            type(.uint32)
            append(number, to: &out)
        case .float32(let number):
            type(.float32)
            append(number.bitPattern, to: &out)
        case .bool(let flag):
            type(.bool)
            out.append(flag ? 1 : 0)
        case .string(let text):
            type(.string)
            append(text, to: &out)
        case .int32s(let numbers):
            type(.array)
            type(.int32)
            append(UInt64(numbers.count), to: &out)
            for number in numbers { append(number, to: &out) }
        case .float32s(let numbers):
            type(.array)
            type(.float32)
            append(UInt64(numbers.count), to: &out)
            for number in numbers { append(number.bitPattern, to: &out) }
        case .strings(let texts):
            type(.array)
            type(.string)
            append(UInt64(texts.count), to: &out)
            for text in texts { append(text, to: &out) }
        }
    }
}
