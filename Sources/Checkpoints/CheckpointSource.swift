internal import JSON

/// One way a checkpoint lies on disk. `Checkpoint` chooses the source by path and checks every request before it passes it on.
protocol CheckpointSource: Sendable {
    var format: CheckpointFormat { get }
    /// config.json, or what stands for it; an object.
    var config: JSONValue { get }
    /// Sorted by the UTF-8 bytes of the name.
    var tensors: [TensorInfo] { get }
    /// The companions that are there, in the order of `CheckpointFormat.companionNames`.
    var companionNames: [String] { get }
    /// What is odd about it and does not hinder, a line each.
    var warnings: [String] { get }

    /// As `TensorProvider.read`; the tensor is one of `tensors`, the rows lie within it and the buffer has their size.
    func read(_ tensor: TensorInfo, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)

    /// Elements, counted row by row, in the tensor's `storedType`; they lie within it and are whole bytes, and the buffer has their size.
    func readStored(_ tensor: TensorInfo, elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)

    /// As `Checkpoint.readBlocks`; asked only of sources whose tensors have a `blockType`.
    func readBlocks(_ tensor: TensorInfo, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)

    /// The bytes of one of `companionNames`.
    func companion(_ name: String) throws(CheckpointError) -> [UInt8]
}

extension CheckpointSource {
    var warnings: [String] { [] }

    func readBlocks(_ tensor: TensorInfo, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        throw CheckpointError(path: tensor.name, message: "does not consist of blocks")
    }
}

/// How a checkpoint lies on disk.
public enum CheckpointFormat: String, Sendable {
    /// A directory with config.json and safetensors files.
    case huggingFace = "huggingface"
    /// The same, its weights losslessly compressed.
    case packed
    /// The same, its weights as differences from those of a base.
    case delta
    /// One GGUF file.
    case gguf

    /// The files beside the weights that make a checkpoint usable.
    static let companionNames = [
        "tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja", "special_tokens_map.json", "added_tokens.json",
        "vocab.json", "merges.txt",
    ]
}
