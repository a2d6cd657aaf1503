internal import JSON
internal import SafeTensors

/// The tensors that a layout of ours keeps in blobs, as `__metadata__` lists them: `{"version": ..., "chunk": 262144, "tensors": {NAME: {"dtype": "BF16",
/// "shape": [...]}}}`. A blob is a vector of `U8` under the tensor's name.
struct BlobEntries {
    /// What a blob stands for.
    struct Entry {
        let name: String
        let type: SafeTensorsType
        let shape: [Int]

        func info(storage: String) -> TensorInfo {
            TensorInfo(name: name, shape: shape, storage: storage, type: ElementType(safeTensorsName: type.rawValue), storedType: type)
        }
    }

    /// Elements of a chunk; the last chunk of a tensor holds the rest.
    static let chunk = 262_144

    /// Sorted by name.
    private let entries: [Entry]

    init(_ entries: [Entry]) { self.entries = entries.sorted { TensorInfo.precedes($0.name, $1.name) } }

    /// Whether elements of that type are split into planes: floats of 8, 16 and 32 bits.
    static func holds(_ type: SafeTensorsType) -> Bool {
        switch type {
        case .bf16, .f16, .f32, .f8E4M3, .f8E5M2: true
        default: false
        }
    }

    /// The chunks of a tensor of that many elements.
    static func chunkCount(_ elements: Int) -> Int { elements / chunk + (elements % chunk == 0 ? 0 : 1) }

    /// The elements of one chunk of such a tensor.
    static func elements(ofChunk index: Int, of elements: Int) -> Int { min(chunk, elements - index * chunk) }

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

    /// The members of the layout's JSON object.
    func members(version: Int) -> [(key: String, value: JSONValue)] {
        let tensors = entries.map { entry -> (key: String, value: JSONValue) in
            (entry.name, ["dtype": .string(entry.type.rawValue), "shape": .array(entry.shape.map { .integer(Int64($0)) })])
        }
        return [("version", .integer(Int64(version))), ("chunk", .integer(Int64(Self.chunk))), ("tensors", .object(JSONObject(tensors)))]
    }

    /// The JSON object under a key of `__metadata__`; nil if the file has no such key.
    static func layout(_ key: String, of file: SafeTensorsFile) throws(CheckpointError) -> JSONValue? {
        guard let text = file.metadata(key) else { return nil }
        do {
            return try JSONValue.parse(Array(text.utf8), source: key)
        } catch {
            throw CheckpointError(path: file.path, message: "__metadata__, \(key): \(error.detail)")
        }
    }

    /// Reads and checks a layout. A blob takes at least `chunkBytes` a chunk and `rawBytes` an element, which bounds the shapes.
    init(
        _ layout: JSONValue, key: String, version: Int, of file: SafeTensorsFile, chunkBytes: Int, rawBytes: (SafeTensorsType) -> Int
    ) throws(CheckpointError) {
        func failure(_ message: String, tensor: String? = nil) -> CheckpointError {
            CheckpointError(path: file.path, tensor: tensor, message: "__metadata__, \(key): \(message)")
        }
        guard layout["version"]?.int == version else {
            throw failure("version \(layout["version"]?.serialized() ?? "missing"), expected \(version): another version of this program reads it")
        }
        guard layout["chunk"]?.int == Self.chunk else { throw failure("chunk \(layout["chunk"]?.serialized() ?? "missing"), expected \(Self.chunk)") }
        guard let members = layout["tensors"]?.object?.members else { throw failure("tensors is missing or not an object") }
        var entries: [Entry] = []
        for (name, value) in members {
            guard let blob = file.tensor(named: name) else { throw failure("there is no such tensor in the file", tensor: name) }
            guard blob.type == .u8, blob.shape.count == 1 else { throw failure("its blob is not a vector of U8", tensor: name) }
            guard let type = value["dtype"]?.string.flatMap(SafeTensorsType.init(rawValue:)), Self.holds(type) else {
                throw failure("dtype \(value["dtype"]?.serialized() ?? "missing") is not a float of 8, 16 or 32 bits", tensor: name)
            }
            guard let dimensions = value["shape"]?.array, dimensions.count <= 8,
                let (shape, count) = Self.shape(dimensions, most: blob.byteCount / chunkBytes * Self.chunk),
                Self.chunkCount(count) * chunkBytes + count * rawBytes(type) <= blob.byteCount
            else { throw failure("shape \(value["shape"]?.serialized() ?? "missing") does not fit a blob of \(blob.byteCount) bytes", tensor: name) }
            entries.append(Entry(name: name, type: type, shape: shape))
        }
        self.init(entries)
    }

    /// Checked dimensions, and their product, which is bounded.
    private static func shape(_ dimensions: [JSONValue], most: Int) -> (shape: [Int], count: Int)? {
        var shape: [Int] = []
        var product = 1
        for dimension in dimensions {
            guard let size = dimension.int, size >= 0 else { return nil }
            shape.append(size)
            let (next, overflowed) = product.multipliedReportingOverflow(by: max(size, 1))
            guard !overflowed else { return nil }
            product = next
        }
        if shape.contains(0) { return (shape, 0) }
        return product <= most ? (shape, product) : nil
    }
}
