/// A GGUF file (version 2 or 3), its header read and checked when it is opened, its tensors read row by row when asked.
///
/// The format is ggml's docs/gguf.md; what is refused is what ggml's own loader refuses, and a little more (see `GGUFHeader`).
public final class GGUFFile: Sendable {
    /// The file, as the caller named it.
    public let path: String
    /// The format's version: 2 or 3.
    public let version: UInt32
    /// Every tensor's data starts at a multiple of this many bytes.
    public let alignment: Int
    /// Keys and values in the file's order.
    public let metadata: [(key: String, value: GGUFValue)]
    /// The tensors in the file's order.
    public let tensors: [GGUFTensor]

    let mapping: FileMapping
    // By UTF-8 bytes: Swift's String would take two spellings of one letter for the same key.
    private let keyIndex: [[UInt8]: Int]
    private let tensorIndex: [[UInt8]: Int]

    /// Opens and checks the file at `path`; throws when it is not a whole and valid GGUF file. Tensor data is not touched.
    public init(opening path: String) throws(GGUFError) {
        let mapping = try FileMapping(path: path)
        let header = try GGUFHeader(reading: mapping, path: path)
        self.path = path
        self.mapping = mapping
        version = header.version
        alignment = header.alignment
        metadata = header.metadata
        tensors = header.tensors
        keyIndex = header.keyIndex
        tensorIndex = header.tensorIndex
    }

    /// The value of a metadata key, or nil when there is none.
    public subscript(key: String) -> GGUFValue? { keyIndex[Array(key.utf8)].map { metadata[$0].value } }

    /// The tensor of this name, or nil when there is none.
    public func tensor(named name: String) -> GGUFTensor? { tensorIndex[Array(name.utf8)].map { tensors[$0] } }
}

/// One tensor of a GGUF file.
public struct GGUFTensor: Sendable, Equatable {
    /// The name, at most 63 bytes: "blk.0.attn_q.weight".
    public let name: String
    /// How the weights are stored.
    public let type: GGMLType
    /// The dimensions, outermost first as Hugging Face and numpy have them (the file has them reversed); empty for a scalar.
    public let shape: [Int]
    /// Where the data starts, in bytes from the start of the file.
    public let offset: Int
    /// Bytes of data, without padding.
    public let byteCount: Int

    /// Weights in a row: the last dimension.
    public var rowLength: Int { shape.last ?? 1 }
    /// Rows of the tensor seen as a matrix: the product of all dimensions but the last.
    public var rowCount: Int { shape.dropLast().reduce(1, *) }
    /// Bytes of one row, a whole number of blocks.
    public var rowBytes: Int { rowLength / type.blockWeights * type.blockBytes }
}
