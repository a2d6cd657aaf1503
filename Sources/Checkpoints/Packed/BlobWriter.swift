internal import CKernels
internal import CZstd
internal import SafeTensors
internal import Synchronization

/// Writes one tensor as a blob: `append` its elements in pieces of any length, then `finish`. Some chunks are collected and encoded side by side.
struct BlobWriter: ~Copyable {
    /// One for each chunk that is encoded at a time.
    private let encoders: [any ChunkEncoder]
    private let file: SafeTensorsWriter
    private let chunkBytes: Int
    private var collected: ElementBuffer
    private var table: [UInt8] = []
    /// Chunks that have been written.
    private var written = 0

    /// A writer of elements of that type.
    init(
        _ type: SafeTensorsType, into file: SafeTensorsWriter, by encoder: () throws(CheckpointError) -> any ChunkEncoder
    ) throws(CheckpointError) {
        var encoders: [any ChunkEncoder] = []
        for _ in 0..<min(2 * Int(ck_threads()), 32) { encoders.append(try encoder()) }
        self.encoders = encoders
        self.file = file
        chunkBytes = BlobEntries.chunk * type.bitCount / 8
        collected = ElementBuffer(byteCount: encoders.count * chunkBytes)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        var rest = bytes
        while !rest.isEmpty {
            rest = collected.take(rest)
            if collected.isFull { try write() }
        }
    }

    mutating func finish() throws(CheckpointError) {
        try write()
        let (file, table) = (file, table)
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try file.append(table)
            try file.endBlob()
        }
    }

    /// Writes the chunks that have been collected.
    private mutating func write() throws(CheckpointError) {
        let (bytes, chunkBytes, encoders, written) = (collected.bytes, chunkBytes, encoders, written)
        let chunks = stride(from: 0, to: bytes.count, by: chunkBytes).map {
            UnsafeRawBufferPointer(rebasing: bytes[$0..<min($0 + chunkBytes, bytes.count)])
        }
        let encoded = Mutex([EncodedChunk?](repeating: nil, count: chunks.count))
        try concurrently(chunks.count) { index throws(CheckpointError) in
            let chunk = try encoders[index].encode(chunks[index], written + index)
            encoded.withLock { $0[index] = chunk }
        }
        for chunk in encoded.withLock({ $0 }).compactMap({ $0 }) {
            try CheckpointError.wrapping { () throws(SafeTensorsError) in for part in chunk.parts { try file.append(part) } }
            table += chunk.entry
        }
        self.written += chunks.count
        collected.clear()
    }
}

/// What becomes of a chunk: parts of the blob, valid until the encoder is used again, and the chunk's entry of the blob's table.
struct EncodedChunk: @unchecked Sendable {  // the parts are only read, once all encoders are done
    let parts: [UnsafeRawBufferPointer]
    let entry: [UInt8]
}

/// Turns chunks of one tensor into parts of a blob, one at a time.
protocol ChunkEncoder: AnyObject {
    /// Encodes the tensor's chunk of that number.
    func encode(_ chunk: UnsafeRawBufferPointer, _ index: Int) throws(CheckpointError) -> EncodedChunk
}

extension [UInt8] {
    /// Adds the bytes of a number.
    mutating func append(littleEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}

/// Collects elements until it is full.
struct ElementBuffer: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private var filled = 0

    init(byteCount: Int) { memory = .allocate(byteCount: byteCount, alignment: 64) }

    deinit { memory.deallocate() }

    /// What it has.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<filled]) }

    var isFull: Bool { filled == memory.count }

    /// Adds what there is room for, and returns what is left.
    mutating func take(_ input: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let count = min(memory.count - filled, input.count)
        UnsafeMutableRawBufferPointer(rebasing: memory[filled..<filled + count]).copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<count]))
        filled += count
        return UnsafeRawBufferPointer(rebasing: input[count...])
    }

    mutating func clear() { filled = 0 }
}

/// A zstd context with its parameters and room for what it makes.
final class Compressor {
    private let context: OpaquePointer
    private let frame: UnsafeMutableRawBufferPointer
    private let path: String

    /// The most bytes that a frame of so many takes.
    static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

    /// For frames of at most `most` bytes.
    init(_ parameters: [(ZSTD_cParameter, Int32)], most: Int, path: String) throws(CheckpointError) {
        guard let context = ZSTD_createCCtx() else { throw CheckpointError(path: path, message: "out of memory") }
        self.context = context
        self.path = path
        frame = .allocate(byteCount: Self.bound(most), alignment: 64)
        for (parameter, value) in parameters where ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) != 0 {
            throw CheckpointError(path: path, message: "this libzstd does not know parameter \(parameter.rawValue)")
        }
    }

    deinit {
        ZSTD_freeCCtx(context)
        frame.deallocate()
    }

    /// One frame, valid until the next call.
    func compress(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) -> UnsafeRawBufferPointer {
        let size = ZSTD_compress2(context, frame.baseAddress, frame.count, bytes.baseAddress, bytes.count)
        guard ZSTD_isError(size) == 0 else { throw CheckpointError(path: path, message: "zstd: \(String(cString: ZSTD_getErrorName(size)))") }
        return UnsafeRawBufferPointer(rebasing: frame[..<size])
    }
}

extension CheckpointError {
    /// Calls what may fail with an error of a file.
    static func wrapping<Result>(_ body: () throws(SafeTensorsError) -> Result) throws(CheckpointError) -> Result {
        do { return try body() } catch { throw CheckpointError(error) }
    }
}
