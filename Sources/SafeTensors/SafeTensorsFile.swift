/// A safetensors file, memory-mapped and read-only. Everything its header says has been checked against the file when `init` returns.
public final class SafeTensorsFile: Sendable {
    /// The file, as the caller named it.
    public let path: String
    /// Every tensor, sorted by the UTF-8 bytes of the name.
    public let tensors: [SafeTensor]
    /// The strings of `__metadata__`, in the order of the text.
    public let metadata: [(key: String, value: String)]
    private let mapping: MappedFile

    /// Maps a file and checks its header: what it says of each tensor, and that the tensors fill the file without a hole.
    public init(opening path: String) throws(SafeTensorsError) {
        let mapping = try MappedFile(path)
        let header = try SafeTensorsHeader(of: mapping.bytes, path: path)
        self.path = path
        self.tensors = header.tensors
        self.metadata = header.metadata
        self.mapping = mapping
    }

    /// The tensor of that name (compared by its UTF-8 bytes). O(log n).
    public func tensor(named name: String) -> SafeTensor? {
        var low = 0
        var high = tensors.count
        while low < high {
            let middle = (low + high) / 2
            if tensors[middle].name.utf8.lexicographicallyPrecedes(name.utf8) { low = middle + 1 } else { high = middle }
        }
        guard low < tensors.count, tensors[low].name.utf8.elementsEqual(name.utf8) else { return nil }
        return tensors[low]
    }

    /// The metadata string of a key.
    public func metadata(_ key: String) -> String? {
        metadata.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    /// Throws if the file is no longer as long as it was when it was opened.
    ///
    /// To read mapped bytes that another process has cut off ends this one with SIGBUS, so call this before `withBytes` on a file that others
    /// may write to. What is cut off during `withBytes` is not seen.
    public func checkSize() throws(SafeTensorsError) {
        guard let size = mapping.presentSize, size >= mapping.bytes.count else {
            let found = mapping.presentSize.map { "has \($0) bytes" } ?? "cannot be inspected"
            throw SafeTensorsError(
                path: path, message: "the file \(found), it had \(mapping.bytes.count) when it was opened; is it still being written?")
        }
    }

    /// Copies bytes of a tensor of this file, counted from its first, into a buffer of exactly their size.
    ///
    /// Unlike `withBytes` this maps nothing: a file that was cut short is an error, and what was read does not count as memory of this process.
    public func read(_ tensor: SafeTensor, bytes: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(SafeTensorsError) {
        precondition(
            bytes.lowerBound >= 0 && bytes.upperBound <= tensor.byteCount && bytes.count == buffer.count
                && tensor.fileRange.upperBound <= mapping.bytes.count,
            "bytes \(bytes) of another tensor")
        if let problem = mapping.read(at: tensor.fileRange.lowerBound + bytes.lowerBound, into: buffer) {
            throw SafeTensorsError(path: path, tensor: tensor.name, message: problem)
        }
    }

    /// Gives `body` the bytes of a tensor of this file: little-endian, row-major, not necessarily aligned, valid only during the call.
    public func withBytes<Result, Failure>(
        of tensor: SafeTensor, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        precondition(tensor.fileRange.upperBound <= mapping.bytes.count, "a tensor of another file")
        return try body(UnsafeRawBufferPointer(rebasing: mapping.bytes[tensor.fileRange]))
    }
}
