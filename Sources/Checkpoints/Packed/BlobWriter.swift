internal import CZstd
internal import SafeTensors

/// Writes one tensor as a blob: `append` its elements in pieces of any length, then `finish`. Keeps one chunk in memory.
struct BlobWriter: ~Copyable {
    private let encoder: any ChunkEncoder
    private let file: SafeTensorsWriter
    private var chunk: ChunkBuffer
    private var table: [UInt8] = []

    /// A writer of elements of that type.
    init(_ encoder: any ChunkEncoder, _ type: SafeTensorsType, into file: SafeTensorsWriter) {
        self.encoder = encoder
        self.file = file
        chunk = ChunkBuffer(elementSize: type.bitCount / 8)
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        let (encoder, file) = (encoder, file)
        var entries: [UInt8] = []
        try chunk.append(bytes) { full throws(CheckpointError) in entries += try encoder.write(full, to: file) }
        table += entries
    }

    mutating func finish() throws(CheckpointError) {
        let (encoder, file) = (encoder, file)
        var entries: [UInt8] = []
        try chunk.finish { rest throws(CheckpointError) in entries += try encoder.write(rest, to: file) }
        table += entries
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try file.append(table)
            try file.endBlob()
        }
    }
}

/// Turns the chunks of one tensor, one after the other, into parts of a blob.
protocol ChunkEncoder: AnyObject {
    /// Writes what becomes of a chunk and gives its entry of the blob's table.
    func write(_ chunk: UnsafeRawBufferPointer, to file: SafeTensorsWriter) throws(CheckpointError) -> [UInt8]
}

extension [UInt8] {
    /// Adds the bytes of a number.
    mutating func append(littleEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }
}

/// Collects elements until a chunk is full.
struct ChunkBuffer: ~Copyable {
    private let bytes: UnsafeMutableRawBufferPointer
    private var filled = 0

    /// For elements of that many bytes.
    init(elementSize: Int) {
        bytes = .allocate(byteCount: BlobEntries.chunk * elementSize, alignment: 64)
    }

    deinit { bytes.deallocate() }

    /// Adds elements; `write` gets every chunk that becomes full.
    mutating func append(
        _ input: UnsafeRawBufferPointer, write: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        var rest = input
        while !rest.isEmpty {
            if filled == 0, rest.count >= bytes.count {
                try write(UnsafeRawBufferPointer(rebasing: rest[..<bytes.count]))
                rest = UnsafeRawBufferPointer(rebasing: rest[bytes.count...])
                continue
            }
            let count = min(bytes.count - filled, rest.count)
            UnsafeMutableRawBufferPointer(rebasing: bytes[filled..<filled + count]).copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            filled += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if filled == bytes.count { try finish(write: write) }
        }
    }

    /// Writes what has been collected.
    mutating func finish(write: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void) throws(CheckpointError) {
        guard filled > 0 else { return }
        try write(UnsafeRawBufferPointer(rebasing: bytes[..<filled]))
        filled = 0
    }
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
