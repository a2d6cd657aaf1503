internal import JSON
internal import SafeTensors

/// Weights that a checkpoint keeps as integers, by any of the methods that `quantization_config` in config.json names: read as numbers, under the name of
/// the weight they stand for.
enum QuantizedWeights {
    typealias Tensors = [(info: TensorInfo, reader: any TensorReader)]

    /// The tensors with the parts of each quantised weight replaced by the weight, and the configuration without `quantization_config`. Both as they are when
    /// the method is one that is not read: whoever needs numbers then sees that it is still there.
    static func dequantized(_ tensors: Tensors, _ config: JSONValue, path: String) throws(CheckpointError) -> (tensors: Tensors, config: JSONValue) {
        guard let settings = config["quantization_config"], !settings.isNull, let method = settings["quant_method"]?.string else {
            return (tensors, config)
        }
        let parts = Parts(tensors, path: path)
        let found: [(name: String, parts: [String], info: TensorInfo, reader: any TensorReader)]
        switch method {
        case "compressed-tensors": found = try CompressedTensors.weights(parts, settings)
        case "gptq": found = try GPTQWeights.weights(parts, settings)
        case "awq": found = try AWQWeights.weights(parts, settings)
        default: return (tensors, config)
        }
        let used = Set(found.flatMap(\.parts))
        var object = config.object ?? JSONObject()
        object["quantization_config"] = nil
        return (tensors.filter { !used.contains($0.info.name) } + found.map { ($0.info, $0.reader) }, .object(object))
    }

    /// The tensors of all files, by name.
    struct Parts {
        let path: String
        let names: [String]
        private let plain: [String: PlainTensor]

        init(_ tensors: Tensors, path: String) {
            self.path = path
            var plain: [String: PlainTensor] = [:]
            for tensor in tensors { if let reader = tensor.reader as? PlainTensor { plain[tensor.info.name] = reader } }
            names = tensors.map(\.info.name)
            self.plain = plain
        }

        func optional(_ name: String) -> PlainTensor? { plain[name] }

        /// A part in one of some types and of that shape; -1 stands for any size.
        func part(_ name: String, _ types: SafeTensorsType..., shape: [Int]) throws(CheckpointError) -> PlainTensor {
            guard let found = plain[name] else {
                throw CheckpointError(path: path, tensor: name, message: "is missing, a part of a quantised weight")
            }
            let fits = found.tensor.shape.count == shape.count && zip(found.tensor.shape, shape).allSatisfy { $1 == -1 || $0 == $1 }
            guard types.contains(found.tensor.type), fits else {
                let expected = shape.map { $0 == -1 ? "any" : "\($0)" }.joined(separator: ", ")
                throw CheckpointError(
                    path: path, tensor: name,
                    message:
                        "is \(found.tensor.type.rawValue) \(found.tensor.shape), expected \(types.map(\.rawValue).joined(separator: " or ")) [\(expected)]"
                )
            }
            return found
        }
    }

    /// The weight that parts stand for: two-dimensional, in the type of its scales.
    static func info(_ name: String, rows: Int, columns: Int, storage: String) -> TensorInfo {
        TensorInfo(name: name, shape: [rows, columns], storage: storage, type: nil)
    }
}

/// Reads a quantised weight by whole rows: `rows` writes FP32 numbers.
protocol QuantizedRows: TensorReader {
    var columns: Int { get }
    var name: String { get }
    var path: String { get }
    func rows(_ rows: Range<Int>, into out: UnsafeMutablePointer<Float>) throws(CheckpointError)
}

extension QuantizedRows {
    func read(_ elements: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        // What is asked for are rows.
        let rows = elements.lowerBound / max(1, columns)..<elements.upperBound / max(1, columns)
        let numbers = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * columns)
        defer { numbers.deallocate() }
        guard let start = numbers.baseAddress, numbers.count > 0 else { return }
        try self.rows(rows, into: start)
        try ElementConversion.convert(UnsafeRawBufferPointer(numbers), from: .f32, to: type, into: buffer, of: name, path: path)
    }

    func readStored(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        throw CheckpointError(path: path, tensor: name, message: "is stored as integers and has no type of its own")
    }
}

extension PlainTensor {
    /// Elements in FP32.
    func numbers(_ elements: Range<Int>) throws(CheckpointError) -> [Float] {
        var numbers = [Float](repeating: 0, count: elements.count)
        let result = numbers.withUnsafeMutableBytes { buffer in
            Result { () throws(CheckpointError) in try read(elements, as: .float32, into: buffer) }
        }
        try result.get()
        return numbers
    }

    /// All bytes, valid only during the call.
    func withAllBytes<Result>(_ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result) throws(CheckpointError) -> Result {
        try file.withPresentBytes(of: tensor, body)
    }

    /// Little-endian integers of 32 bits, all of them.
    func integers() throws(CheckpointError) -> [Int32] {
        try withAllBytes { bytes in
            stride(from: 0, to: bytes.count, by: 4).map { Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: Int32.self)) }
        }
    }
}
