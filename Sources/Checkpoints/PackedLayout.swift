internal import JSON
internal import SafeTensors

/// The packed layout: BF16 weights, losslessly, in about two thirds of their size.
///
/// A packed file is a valid safetensors file. `__metadata__["packed"]` is JSON, `{"version": 1, "chunk": 262144, "tensors": {NAME: {"dtype": "BF16",
/// "shape": [...]}}}`; each tensor it lists is stored as a vector of `U8`, its blob, all others are stored as they are. A blob is
///
///     the chunks, each: a zstd frame of the exponent plane, then the mantissa plane (one byte a weight)
///     the table, for each chunk: UInt32 bytes of its frame, UInt64 XXH64 of its weights; little-endian
///
/// A chunk holds 262144 weights, the last one the rest. A weight `x` is rotated left by one bit, which brings its exponent into the upper byte
/// and its mantissa and sign into the lower. Exponents of trained weights carry about 2.6 bits, mantissas all of theirs: so the former go through
/// zstd, told to look for no matches and only code bytes by Huffman, and the latter are stored.
struct PackedLayout {
    /// What a blob stands for.
    struct Entry {
        let name: String
        let shape: [Int]
    }

    static let version = 1
    /// Weights of a chunk.
    static let chunk = 262_144
    /// Bytes of a chunk in the table at the end of a blob.
    static let tableEntry = 12
    private static let metadataKey = "packed"

    /// Sorted by name.
    private let entries: [Entry]

    init(_ entries: [Entry]) { self.entries = entries.sorted { TensorInfo.precedes($0.name, $1.name) } }

    /// The chunks of a tensor of that many weights.
    static func chunkCount(_ weights: Int) -> Int { weights / chunk + (weights % chunk == 0 ? 0 : 1) }

    /// The weights of one chunk of such a tensor.
    static func weights(ofChunk index: Int, of weights: Int) -> Int { min(chunk, weights - index * chunk) }

    /// What the tensor of that name stands for; nil if it is stored as it is.
    func entry(of name: String) -> Entry? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if TensorInfo.precedes(entries[middle].name, name) { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].name.utf8.elementsEqual(name.utf8) ? entries[low] : nil
    }

    // MARK: Metadata

    /// The layout as `__metadata__` carries it.
    var metadata: (key: String, value: String) {
        let tensors = entries.map { entry -> (key: String, value: JSONValue) in
            (entry.name, ["dtype": "BF16", "shape": .array(entry.shape.map { .integer(Int64($0)) })])
        }
        let layout: JSONValue = [
            "version": .integer(Int64(Self.version)), "chunk": .integer(Int64(Self.chunk)), "tensors": .object(JSONObject(tensors)),
        ]
        return (Self.metadataKey, layout.serialized())
    }

    /// The layout of a file; nil if the file is not packed.
    init?(metadataOf file: SafeTensorsFile) throws(CheckpointError) {
        guard let text = file.metadata(Self.metadataKey) else { return nil }
        func failure(_ message: String, tensor: String? = nil) -> CheckpointError {
            CheckpointError(path: file.path, tensor: tensor, message: "__metadata__, packed: \(message)")
        }
        let layout: JSONValue
        do {
            layout = try JSONValue.parse(Array(text.utf8), source: "packed")
        } catch {
            throw failure(error.detail)
        }
        guard layout["version"]?.int == Self.version else {
            throw failure("version \(layout["version"]?.serialized() ?? "missing"), expected \(Self.version); a newer program may read it")
        }
        guard layout["chunk"]?.int == Self.chunk else { throw failure("chunk \(layout["chunk"]?.serialized() ?? "missing"), expected \(Self.chunk)") }
        guard let members = layout["tensors"]?.object?.members else { throw failure("tensors is missing or not an object") }
        var entries: [Entry] = []
        for (name, value) in members {
            guard let blob = file.tensor(named: name) else { throw failure("there is no such tensor in the file", tensor: name) }
            guard blob.type == .u8, blob.shape.count == 1 else { throw failure("its blob is not a vector of U8", tensor: name) }
            guard value["dtype"]?.string == "BF16" else { throw failure("dtype is not \"BF16\"", tensor: name) }
            guard let dimensions = value["shape"]?.array, dimensions.count <= 8, let shape = Self.shape(dimensions, blob: blob.byteCount) else {
                throw failure("shape \(value["shape"]?.serialized() ?? "missing") does not fit a blob of \(blob.byteCount) bytes", tensor: name)
            }
            entries.append(Entry(name: name, shape: shape))
        }
        self.init(entries)
    }

    /// Checked dimensions: each weight takes at least the byte of its mantissa, so that their product is bounded by the blob.
    private static func shape(_ dimensions: [JSONValue], blob: Int) -> [Int]? {
        var shape: [Int] = []
        var product = 1
        for dimension in dimensions {
            guard let size = dimension.int, size >= 0 else { return nil }
            shape.append(size)
            let (next, overflowed) = product.multipliedReportingOverflow(by: max(size, 1))
            guard !overflowed else { return nil }
            product = next
        }
        return shape.contains(0) || product <= blob ? shape : nil
    }

    // MARK: Planes

    /// Splits weights into their exponent and mantissa planes, a byte of each a weight.
    static func split(_ weights: UnsafePointer<UInt16>, count: Int, exponents: UnsafeMutablePointer<UInt8>, mantissas: UnsafeMutablePointer<UInt8>) {
        for index in 0..<count {
            let rotated = weights[index] &<< 1 | weights[index] &>> 15
            exponents[index] = UInt8(truncatingIfNeeded: rotated &>> 8)
            mantissas[index] = UInt8(truncatingIfNeeded: rotated)
        }
    }

    /// The inverse of `split`.
    static func merge(exponents: UnsafePointer<UInt8>, mantissas: UnsafePointer<UInt8>, count: Int, weights: UnsafeMutablePointer<UInt16>) {
        for index in 0..<count {
            let rotated = UInt16(exponents[index]) &<< 8 | UInt16(mantissas[index])
            weights[index] = rotated &>> 1 | rotated &<< 15
        }
    }
}
