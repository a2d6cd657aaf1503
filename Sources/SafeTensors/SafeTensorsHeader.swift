internal import JSON

/// The checked header of a file: 8 bytes of length N (little-endian), N bytes of JSON, then the tensors without holes to the end of the file.
struct SafeTensorsHeader {
    /// Sorted by the UTF-8 bytes of the name.
    let tensors: [SafeTensor]
    /// The strings of `__metadata__`, in the order of the text.
    let metadata: [(key: String, value: String)]
    /// The first byte after the header.
    let dataOffset: Int

    /// The reference implementation's limit, in bytes.
    static let lengthLimit = 100_000_000
    static let tensorLimit = 1_000_000
    static let rankLimit = 8
    static let nameLimit = 512

    /// Reads and checks the header of a whole file.
    init(of file: UnsafeRawBufferPointer, path: String) throws(SafeTensorsError) {
        let length = try Self.length(of: file, path: path)
        self.dataOffset = 8 + length
        let text = UnsafeRawBufferPointer(rebasing: file[8..<dataOffset])
        let header: JSONValue
        do {
            header = try JSONValue.parse(text, source: path, limits: JSONLimits(bytes: Self.lengthLimit, depth: 8))
        } catch {
            throw SafeTensorsError(path: path, message: "header, byte \(8 + (error.offset ?? 0)) of the file: \(error.message)")
        }
        guard let entries = header.object?.members else { throw SafeTensorsError(path: path, message: "the header is not a JSON object") }
        guard entries.count <= Self.tensorLimit else {
            throw SafeTensorsError(path: path, message: "\(entries.count) tensors, more than the \(Self.tensorLimit) allowed")
        }
        var tensors: [SafeTensor] = []
        var metadata: [(key: String, value: String)] = []
        for (name, entry) in entries {
            if name.utf8.elementsEqual("__metadata__".utf8) {
                metadata = try Self.metadata(entry, path: path)
            } else {
                tensors.append(try Self.tensor(name, entry, dataOffset: dataOffset, path: path))
            }
        }
        try Self.checkLayout(tensors, dataOffset: dataOffset, fileSize: file.count, path: path)
        self.metadata = metadata
        self.tensors = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// N, checked against the file and the limits.
    private static func length(of file: UnsafeRawBufferPointer, path: String) throws(SafeTensorsError) -> Int {
        func failure(_ message: String) -> SafeTensorsError {
            SafeTensorsError(path: path, message: foreignFormat(file) ?? message)
        }
        guard file.count >= 8 else { throw failure("\(file.count) bytes, too small for a safetensors file (truncated download?)") }
        let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(lengthLimit) else { throw failure("the header claims \(length) bytes, more than the \(lengthLimit) allowed") }
        guard Int(length) <= file.count - 8 else {
            throw failure("the header claims \(length) bytes, the file has \(file.count - 8) after it (truncated download?)")
        }
        // A header larger than a MiB belongs to a large model; in a small file it only costs time and memory.
        guard length <= 1 << 20 || Int(length) <= file.count / 4 else {
            throw failure("the header takes \(length) of \(file.count) bytes; a header of more than 1 MiB may take a quarter of the file")
        }
        return Int(length)
    }

    /// What the file is, if its first bytes belong to something people often have in place of a safetensors file.
    private static func foreignFormat(_ file: UnsafeRawBufferPointer) -> String? {
        let start = String(decoding: file.prefix(64), as: UTF8.self).lowercased()
        if start.hasPrefix("version https://git-lfs") { return "this is a Git LFS pointer, not the weights; run 'git lfs pull'" }
        if start.hasPrefix("gguf") { return "this is a GGUF file; name it FILE.gguf to open it as one" }
        if start.hasPrefix("pk\u{3}\u{4}") || file.first == 0x80 {
            return "this is a PyTorch pickle or ZIP file, which can run code and is not loaded; convert it to safetensors"
        }
        let text = start.drop { $0 == " " || $0 == "\n" || $0 == "\r\n" || $0 == "\t" }
        if text.hasPrefix("<!doctype") || text.hasPrefix("<html") || text.hasPrefix("<?xml") {
            return "this is a web page, not the weights; download again"
        }
        if text.hasPrefix("{") { return "this is JSON text (an error message of a server?), not the weights; download again" }
        return nil
    }

    private static func metadata(_ entry: JSONValue, path: String) throws(SafeTensorsError) -> [(key: String, value: String)] {
        if entry == .null { return [] }
        guard let members = entry.object?.members else { throw SafeTensorsError(path: path, message: "__metadata__ is not an object of strings") }
        var metadata: [(key: String, value: String)] = []
        for (key, value) in members {
            guard let text = value.string else {
                throw SafeTensorsError(path: path, message: "__metadata__: the value of \"\(key)\" is not a string")
            }
            metadata.append((key, text))
        }
        return metadata
    }

    private static func tensor(_ name: String, _ entry: JSONValue, dataOffset: Int, path: String) throws(SafeTensorsError) -> SafeTensor {
        func failure(_ message: String) -> SafeTensorsError {
            SafeTensorsError(path: path, tensor: String(String.UnicodeScalarView(name.unicodeScalars.prefix(80))), message: message)
        }
        guard (1...nameLimit).contains(name.utf8.count) else { throw failure("a name of \(name.utf8.count) bytes; 1 to \(nameLimit) are allowed") }
        guard let fields = entry.object?.members else { throw failure("its entry is not an object") }
        if let extra = fields.first(where: { !["dtype", "shape", "data_offsets"].contains($0.key) }) {
            throw failure("unknown field \"\(extra.key)\"")
        }
        guard let dtype = entry["dtype"]?.string else { throw failure("dtype is missing or not a string") }
        guard let type = SafeTensorsType(rawValue: dtype) else { throw failure("unknown dtype \"\(dtype)\"") }
        guard let dimensions = entry["shape"]?.array else { throw failure("shape is missing or not an array") }
        let shape = dimensions.compactMap { $0.int }
        guard shape.count == dimensions.count, shape.allSatisfy({ $0 >= 0 }) else { throw failure("shape is not made of integers from 0") }
        guard shape.count <= rankLimit else { throw failure("\(shape.count) dimensions, more than the \(rankLimit) allowed") }
        guard let offsets = entry["data_offsets"]?.array, offsets.count == 2, let begin = offsets[0].int, let end = offsets[1].int else {
            throw failure("data_offsets is not a pair of integers")
        }
        guard 0 <= begin, begin <= end else { throw failure("data_offsets [\(begin), \(end)] are not a range") }
        guard let size = SafeTensor.byteCount(type: type, shape: shape) else {
            throw failure("\(dtype) of shape \(shape) has no size in whole bytes that fits 63 bits")
        }
        guard size == end - begin else {
            throw failure("\(dtype) of shape \(shape) takes \(size) bytes, data_offsets [\(begin), \(end)] hold \(end - begin)")
        }
        let (last, overflowed) = end.addingReportingOverflow(dataOffset)
        guard !overflowed else { throw failure("data_offsets [\(begin), \(end)] lie beyond the end of the file") }
        return SafeTensor(name: name, type: type, shape: shape, fileRange: last - size..<last)
    }

    /// The tensors must follow each other from the header to the end of the file: no hole, no overlap, nothing after them.
    private static func checkLayout(_ tensors: [SafeTensor], dataOffset: Int, fileSize: Int, path: String) throws(SafeTensorsError) {
        let ordered = tensors.sorted { ($0.fileRange.lowerBound, $0.fileRange.upperBound) < ($1.fileRange.lowerBound, $1.fileRange.upperBound) }
        var end = dataOffset
        for tensor in ordered {
            guard tensor.fileRange.lowerBound == end else {
                let kind = tensor.fileRange.lowerBound > end ? "leaves a hole" : "overlaps another tensor"
                let found = tensor.fileRange.lowerBound - dataOffset
                throw SafeTensorsError(
                    path: path, tensor: tensor.name, message: "begins at byte \(found) of the data, expected \(end - dataOffset): it \(kind)")
            }
            guard tensor.fileRange.upperBound <= fileSize else {
                let missing = tensor.fileRange.upperBound - fileSize
                throw SafeTensorsError(
                    path: path, tensor: tensor.name, message: "the file ends \(missing) bytes before the tensor does (truncated download?)")
            }
            end = tensor.fileRange.upperBound
        }
        guard end == fileSize else { throw SafeTensorsError(path: path, message: "\(fileSize - end) bytes after the last tensor; none are allowed") }
    }
}
