internal import CKernels
internal import CZstd
internal import SafeTensors

/// Packs tensors, one after the other, into the blobs of a safetensors writer. Keeps one chunk in memory.
final class PackedWriter: BlobWriter {
    private let file: SafeTensorsWriter
    private let compressor: Compressor
    private var chunk: ChunkBuffer
    /// Bytes of an element.
    private let size: Int
    private let planes: UnsafeMutableRawBufferPointer
    private var table: [UInt8] = []

    /// The most bytes that a blob of that tensor takes.
    static func bound(_ count: Int, _ type: SafeTensorsType) -> Int {
        count * (type.bitCount / 8 - 1) + BlobEntries.chunkCount(count) * (Compressor.bound(BlobEntries.chunk) + PackedLayout.tableEntry)
    }

    /// A packer of one tensor.
    init(_ type: SafeTensorsType, into file: SafeTensorsWriter, path: String) throws(CheckpointError) {
        // Matches among exponents are chance: coding them costs more than it saves. These parameters leave zstd's Huffman coder alone at work.
        let literalCompressionMode = ZSTD_c_experimentalParam5  // zstd.h: #define ZSTD_c_literalCompressionMode
        compressor = try Compressor(
            [
                (ZSTD_c_compressionLevel, 1), (ZSTD_c_strategy, Int32(ZSTD_fast.rawValue)), (ZSTD_c_minMatch, 7), (ZSTD_c_targetLength, 131_072),
                (ZSTD_c_hashLog, 6), (literalCompressionMode, Int32(ZSTD_ps_enable.rawValue)),
            ], most: BlobEntries.chunk, path: path)
        self.file = file
        size = type.bitCount / 8
        chunk = ChunkBuffer(elementSize: size)
        planes = .allocate(byteCount: BlobEntries.chunk * size, alignment: 64)
    }

    deinit { planes.deallocate() }

    func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        try chunk.append(bytes) { full throws(CheckpointError) in try writeChunk(full) }
    }

    func finish() throws(CheckpointError) {
        try chunk.finish { rest throws(CheckpointError) in try writeChunk(rest) }
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try file.append(table)
            try file.endBlob()
        }
    }

    private func writeChunk(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        let count = bytes.count / size
        guard let input = bytes.baseAddress, let high = planes.baseAddress else { return }
        ck_split_planes(
            high.assumingMemoryBound(to: UInt8.self), (high + count).assumingMemoryBound(to: UInt8.self), input.assumingMemoryBound(to: UInt8.self),
            count, size)
        let frame = try compressor.compress(UnsafeRawBufferPointer(rebasing: planes[..<count]))
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try file.append(frame)
            try file.append(UnsafeRawBufferPointer(rebasing: planes[count..<count * size]))
        }
        withUnsafeBytes(of: UInt32(frame.count).littleEndian) { table.append(contentsOf: $0) }
        withUnsafeBytes(of: ck_hash(input, bytes.count).littleEndian) { table.append(contentsOf: $0) }
    }
}
