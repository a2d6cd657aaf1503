internal import JSON

/// Writes one safetensors file, tensor by tensor, with no more in memory than what one `append` brings.
///
/// The same tensors and metadata give the same bytes, laid out as the reference implementation does: tensors by type (widest first), then by
/// name, the header padded with spaces to a multiple of 8. The file appears under its name only when `finish` succeeds; a writer that is let go
/// before leaves nothing behind.
public final class SafeTensorsWriter {
    /// A tensor to be written.
    public struct Tensor: Sendable {
        /// Its name; 1 to 512 bytes without NUL, and not `__metadata__`.
        public let name: String
        /// The type of its elements.
        public let type: SafeTensorsType
        /// Its dimensions, outermost first.
        public fileprivate(set) var shape: [Int]
        /// Whether its only dimension is an upper bound, fixed when `endBlob` is called.
        public let isBlob: Bool

        /// The bytes it takes; of a blob that has not ended, at most.
        public var byteCount: Int { SafeTensor.byteCount(type: type, shape: shape) ?? 0 }

        /// A tensor of known shape.
        public init(name: String, type: SafeTensorsType, shape: [Int]) {
            self.name = name
            self.type = type
            self.shape = shape
            self.isBlob = false
        }

        /// A vector of `U8` whose length is known only once it has been written, at most `bound` bytes.
        public init(blob name: String, atMost bound: Int) {
            self.name = name
            self.type = .u8
            self.shape = [bound]
            self.isBlob = true
        }
    }

    /// The tensors in the order in which their bytes must be appended.
    public private(set) var tensors: [Tensor]
    private let metadata: [(key: String, value: String)]
    private let file: AtomicFile
    private let headerLength: Int
    /// The tensor whose bytes come next, and how many of them came.
    private var current = 0
    private var written = 0

    /// The bytes of the file that these tensors and metadata give, blobs taken at their bounds. Throws what `init` would.
    public static func fileSize(
        of tensors: [Tensor], metadata: [(key: String, value: String)] = [], path: String
    ) throws(SafeTensorsError) -> Int {
        try check(tensors, path: path)
        let sorted = sorted(tensors)
        return sorted.reduce(8 + (header(sorted, withFormat(metadata)).count + 7) / 8 * 8) { $0 + byteCount($1) }
    }

    /// Creates the file under its temporary name. `__metadata__` begins with `"format": "pt"`, which some loaders insist on.
    public init(creating path: String, tensors: [Tensor], metadata: [(key: String, value: String)] = []) throws(SafeTensorsError) {
        self.tensors = Self.sorted(tensors)
        self.metadata = Self.withFormat(metadata)
        try Self.check(self.tensors, path: path)
        let header = Self.header(self.tensors, self.metadata)
        guard header.count <= SafeTensorsHeader.lengthLimit else {
            throw SafeTensorsError(path: path, message: "a header of \(header.count) bytes, more than the \(SafeTensorsHeader.lengthLimit) allowed")
        }
        self.headerLength = (header.count + 7) / 8 * 8
        self.file = try AtomicFile(creating: path)
        // The header is known for sure at the end: here its place is reserved.
        try file.write([UInt8](repeating: UInt8(ascii: " "), count: 8 + headerLength))
        skipFullTensors()
    }

    /// The tensor that `append` continues; nil when all are complete.
    public var next: Tensor? { current < tensors.count ? tensors[current] : nil }

    /// Appends bytes, little-endian and row-major, to the current tensor; a full tensor gives way to the next.
    public func append(_ bytes: UnsafeRawBufferPointer) throws(SafeTensorsError) {
        guard !bytes.isEmpty else { return }
        guard let tensor = next else { throw SafeTensorsError(path: file.path, message: "\(bytes.count) bytes after the last tensor") }
        let room = Self.byteCount(tensor) - written
        guard bytes.count <= room else {
            throw SafeTensorsError(path: file.path, tensor: tensor.name, message: "\(bytes.count) bytes where \(room) are left")
        }
        try file.write(bytes)
        written += bytes.count
        skipFullTensors()
    }

    /// Appends bytes to the current tensor, as above.
    public func append(_ bytes: [UInt8]) throws(SafeTensorsError) {
        let result = bytes.withUnsafeBytes { buffer in Result { () throws(SafeTensorsError) in try append(buffer) } }
        try result.get()
    }

    /// Ends the current blob at the bytes it has got.
    public func endBlob() throws(SafeTensorsError) {
        guard let tensor = next, tensor.isBlob else { throw SafeTensorsError(path: file.path, message: "no blob to end") }
        tensors[current].shape = [written]
        current += 1
        written = 0
        skipFullTensors()
    }

    /// Writes the header, syncs the file and gives it its name. Every tensor must be complete.
    public func finish() throws(SafeTensorsError) {
        if let tensor = next {
            let expected = Self.byteCount(tensor)
            throw SafeTensorsError(path: file.path, tensor: tensor.name, message: "got \(written) bytes, expected \(expected)")
        }
        try file.rewind()
        let header = Self.header(tensors, metadata)
        let length = (0..<8).map { UInt8(truncatingIfNeeded: headerLength >> (8 * $0)) }
        try file.write(length + header + [UInt8](repeating: UInt8(ascii: " "), count: headerLength - header.count))
        try file.commit()
    }

    private func skipFullTensors() {
        while let tensor = next, !tensor.isBlob, written == Self.byteCount(tensor) {
            current += 1
            written = 0
        }
    }

    private static func sorted(_ tensors: [Tensor]) -> [Tensor] {
        tensors.sorted { left, right in
            left.type != right.type ? left.type > right.type : left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
        }
    }

    private static func withFormat(_ metadata: [(key: String, value: String)]) -> [(key: String, value: String)] {
        [(key: "format", value: "pt")] + metadata
    }

    private static func byteCount(_ tensor: Tensor) -> Int { SafeTensor.byteCount(type: tensor.type, shape: tensor.shape) ?? 0 }

    /// What is written must pass the reader's gate.
    private static func check(_ tensors: [Tensor], path: String) throws(SafeTensorsError) {
        var total = 0
        var names: Set<[UInt8]> = []
        for tensor in tensors {
            func failure(_ message: String) -> SafeTensorsError { SafeTensorsError(path: path, tensor: tensor.name, message: message) }
            guard (1...SafeTensorsHeader.nameLimit).contains(tensor.name.utf8.count), !tensor.name.utf8.contains(0), tensor.name != "__metadata__"
            else {
                throw failure("not a name for a tensor")
            }
            guard tensor.shape.count <= SafeTensorsHeader.rankLimit, tensor.shape.allSatisfy({ $0 >= 0 }),
                let size = SafeTensor.byteCount(type: tensor.type, shape: tensor.shape),
                case let (sum, overflowed) = total.addingReportingOverflow(size),
                !overflowed
            else { throw failure("\(tensor.type.rawValue) of shape \(tensor.shape) cannot be written") }
            total = sum
            guard names.insert(Array(tensor.name.utf8)).inserted else { throw failure("the name stands twice") }
        }
    }

    private static func header(_ tensors: [Tensor], _ metadata: [(key: String, value: String)]) -> [UInt8] {
        var members: [(key: String, value: JSONValue)] = []
        members.append(("__metadata__", .object(JSONObject(metadata.map { ($0.key, .string($0.value)) }))))
        var offset = 0
        for tensor in tensors {
            let end = offset + byteCount(tensor)
            members.append(
                (
                    tensor.name,
                    [
                        "dtype": .string(tensor.type.rawValue), "shape": .array(tensor.shape.map { .integer(Int64($0)) }),
                        "data_offsets": [.integer(Int64(offset)), .integer(Int64(end))],
                    ]
                ))
            offset = end
        }
        return Array(JSONValue.object(JSONObject(members)).serialized().utf8)
    }
}
