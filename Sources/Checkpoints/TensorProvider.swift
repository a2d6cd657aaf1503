public import SafeTensors

/// What every writer takes: named tensors that give their rows on demand. A `Checkpoint` is one, a model in memory another.
public protocol TensorProvider {
    /// Every tensor under its Hugging Face name, sorted by the UTF-8 bytes of the name.
    var tensors: [TensorInfo] { get }

    /// Copies rows of one tensor, row-major and converted to `type` (to nearest, ties to even), into `buffer`.
    ///
    /// A row is an element of the first dimension; for a vector, one number. `buffer` has exactly `rows.count * rowLength * type.byteCount` bytes.
    func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)

    /// Copies rows of a tensor that has a `storedType` in that type, bit for bit, into `buffer` of exactly their size.
    func readStored(_ name: String, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)
}

extension TensorProvider {
    /// Rows of a tensor that is stored in one of the three element types.
    public func readStored(_ name: String, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let type = tensors.tensor(named: name)?.type else {
            throw CheckpointError(path: "model in memory", tensor: name, message: "there is no such tensor")
        }
        try read(name, rows: rows, as: type, into: buffer)
    }
}

/// One tensor: its name, shape and how it is stored.
public struct TensorInfo: Sendable, Equatable {
    /// The Hugging Face name, such as `model.layers.0.mlp.up_proj.weight`.
    public let name: String
    /// The dimensions, outermost first; empty for a scalar.
    public let shape: [Int]
    /// How the numbers are stored, for people: `BF16`, `Q5_0`, `packed BF16`.
    public let storage: String
    /// The exact element type on disk; nil when it is none of the three (block-quantised, integers).
    public let type: ElementType?
    /// The type in which `readStored` gives it; nil when its numbers have to be decoded first (block-quantised).
    public let storedType: SafeTensorsType?
    /// ggml's number of the type (`ck_block_type`) of a tensor that lies on disk as blocks of quantised weights, which `Checkpoint.readBlocks` gives.
    public let blockType: UInt32?
    /// The number of elements.
    public let count: Int
    /// The elements of one row: the product of all dimensions but the first.
    public let rowLength: Int

    /// The rows: the first dimension; 1 for a scalar.
    public var rowCount: Int { shape.first ?? 1 }

    /// Whether `read` can give it as numbers: it is no tensor of integers, truth values or the like.
    public var isNumeric: Bool { storedType.map { ElementConversion.isReadable($0) } ?? true }

    /// A tensor of that shape, whose product must fit an `Int`.
    ///
    /// `storedType` is needed only where it is not `type`.
    public init(
        name: String, shape: [Int], storage: String, type: ElementType?, storedType: SafeTensorsType? = nil, blockType: UInt32? = nil
    ) {
        self.name = name
        self.shape = shape
        self.storage = storage
        self.type = type
        self.storedType = storedType ?? type.flatMap { SafeTensorsType(rawValue: $0.safeTensorsName) }
        self.blockType = blockType
        self.rowLength = shape.dropFirst().reduce(1, *)
        self.count = (shape.first ?? 1) * rowLength
    }
}

extension TensorInfo {
    /// The order of names in a checkpoint: by their UTF-8 bytes.
    static func precedes(_ left: String, _ right: String) -> Bool {
        left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}

extension TensorInfo {
    /// Bytes of one row in its `storedType`; nil when it has none, or when a row ends within a byte.
    var storedRowBytes: Int? {
        guard let storedType, rowLength * storedType.bitCount % 8 == 0 else { return nil }
        return rowLength * storedType.bitCount / 8
    }
}
