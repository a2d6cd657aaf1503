internal import CKernels
public import JSON
internal import SafeTensors
internal import Synchronization

/// A checkpoint on disk, whatever its format: its configuration, its companions and its tensors under Hugging Face names.
///
/// Opening reads and checks headers only; tensors are read row by row when they are asked for.
public final class Checkpoint: TensorProvider, Sendable {
    /// The directory or file, as the caller named it.
    public let path: String
    private let source: any CheckpointSource
    /// The fingerprint, once it has been computed.
    let knownFingerprint = Mutex<UInt64?>(nil)

    /// Opens a directory with config.json and safetensors files (one or several; plain, packed or a delta), or a GGUF file.
    ///
    /// With `anyModel` also a directory without config.json. A single safetensors file opens with an empty configuration. `base` stands
    /// for the checkpoint that a delta names as its base.
    public convenience init(opening path: String, anyModel: Bool = false, base: Checkpoint? = nil) throws(CheckpointError) {
        try self.init(opening: path, anyModel: anyModel, base: base, allowingDelta: true)
    }

    init(opening path: String, anyModel: Bool, base: Checkpoint? = nil, allowingDelta: Bool) throws(CheckpointError) {
        self.path = path
        if HuggingFaceSource.accepts(file: path) {
            self.source = try HuggingFaceSource(file: path, base: base, allowingDelta: allowingDelta)
        } else if GGUFSource.accepts(path) {
            self.source = try GGUFSource(opening: path)
        } else {
            self.source = try HuggingFaceSource(directory: path, anyModel: anyModel, base: base, allowingDelta: allowingDelta)
        }
    }

    /// How it lies on disk.
    public var format: CheckpointFormat { source.format }

    /// config.json, an object; made from the metadata for a format that has none.
    public var config: JSONValue { source.config }

    /// Every tensor, sorted by the UTF-8 bytes of its name.
    public var tensors: [TensorInfo] { source.tensors }

    /// The files beside the weights that make a checkpoint usable (tokenizer.json and the like), those that are there.
    public var companionNames: [String] { source.companionNames }

    /// What is odd about it and does not hinder, a line each.
    public var warnings: [String] { source.warnings }

    /// The tensor of that name (compared by its UTF-8 bytes). O(log n).
    public func tensor(named name: String) -> TensorInfo? { source.tensors.tensor(named: name) }

    /// The bytes of one of `companionNames`; nil for every other name.
    public func companion(_ name: String) throws(CheckpointError) -> [UInt8]? {
        companionNames.contains(name) ? try source.companion(name) : nil
    }

    /// Copies rows of one tensor; see `TensorProvider`. Refuses unknown names, rows outside the tensor and a buffer of another size.
    public func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let tensor = tensor(named: name) else { throw CheckpointError(path: path, tensor: name, message: "there is no such tensor") }
        guard rows.lowerBound >= 0, rows.upperBound <= tensor.rowCount else {
            throw CheckpointError(path: path, tensor: name, message: "rows \(rows) asked for, it has \(tensor.rowCount)")
        }
        let size = rows.count * tensor.rowLength * type.byteCount
        guard buffer.count == size else {
            throw CheckpointError(path: path, tensor: name, message: "a buffer of \(buffer.count) bytes, expected \(size)")
        }
        try source.read(tensor, rows: rows, as: type, into: buffer)
    }

    /// Copies rows of one tensor as they are stored; see `TensorProvider`. Refuses what `read` refuses, and rows that end within a byte.
    public func readStored(_ name: String, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let tensor = tensor(named: name) else { throw CheckpointError(path: path, tensor: name, message: "there is no such tensor") }
        guard let rowBytes = tensor.storedRowBytes else {
            throw CheckpointError(path: path, tensor: name, message: "stored as \(tensor.storage), whose rows cannot be copied as they are")
        }
        guard rows.lowerBound >= 0, rows.upperBound <= tensor.rowCount, buffer.count == rows.count * rowBytes else {
            throw CheckpointError(
                path: path, tensor: name, message: "rows \(rows) of \(tensor.rowCount) into \(buffer.count) bytes, expected \(rows.count * rowBytes)")
        }
        try source.readStored(tensor, elements: rows.lowerBound * tensor.rowLength..<rows.upperBound * tensor.rowLength, into: buffer)
    }

    /// Copies elements, counted row by row, of a tensor whose stored elements are whole bytes; they lie within it and the buffer has their size.
    func readStored(_ name: String, elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let tensor = tensor(named: name), let type = tensor.storedType, elements.upperBound <= tensor.count,
            buffer.count == elements.count * type.bitCount / 8
        else { throw CheckpointError(path: path, tensor: name, message: "has no elements \(elements) that fit \(buffer.count) bytes") }
        try source.readStored(tensor, elements: elements, into: buffer)
    }

    /// Copies rows of a tensor that has a `blockType`, a matrix, as blocks; `buffer` has exactly their size.
    public func readBlocks(_ name: String, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let tensor = tensor(named: name), let type = tensor.blockType.map(ck_block_type.init(rawValue:)) else {
            throw CheckpointError(path: path, tensor: name, message: "there is no such tensor, or it does not consist of blocks")
        }
        let size = rows.count * tensor.rowLength / ck_block_weights(type) * ck_block_bytes(type)
        guard rows.lowerBound >= 0, rows.upperBound <= tensor.rowCount, buffer.count == size else {
            throw CheckpointError(
                path: path, tensor: name, message: "rows \(rows) of \(tensor.rowCount) into \(buffer.count) bytes, expected \(size)")
        }
        try source.readBlocks(tensor, rows: rows, into: buffer)
    }
}

extension [TensorInfo] {
    /// The tensor of that name in an array sorted by name.
    func tensor(named name: String) -> TensorInfo? { index(ofTensor: name).map { self[$0] } }

    /// Where the tensor of that name stands in an array sorted by name. O(log n).
    func index(ofTensor name: String) -> Int? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if TensorInfo.precedes(self[middle].name, name) { low = middle + 1 } else { high = middle }
        }
        return low < count && self[low].name.utf8.elementsEqual(name.utf8) ? low : nil
    }
}
