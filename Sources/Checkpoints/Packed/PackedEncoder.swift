internal import CKernels
internal import CZstd
internal import SafeTensors

/// Packs the chunks of a tensor without loss.
final class PackedEncoder: ChunkEncoder {
    private let compressor: Compressor
    /// Bytes of an element.
    private let size: Int
    private let planes: UnsafeMutableRawBufferPointer

    /// The most bytes that a blob of that tensor takes.
    static func bound(_ count: Int, _ type: SafeTensorsType) -> Int {
        let (whole, rest) = count.quotientAndRemainder(dividingBy: BlobEntries.chunk)
        let frames = whole * Compressor.bound(BlobEntries.chunk) + (rest > 0 ? Compressor.bound(rest) : 0)
        return frames + count * (type.bitCount / 8 - 1) + BlobEntries.chunkCount(count) * PackedLayout.tableEntry
    }

    /// For elements of that type.
    init(_ type: SafeTensorsType, path: String) throws(CheckpointError) {
        // Matches among exponents are chance: coding them costs more than it saves. These parameters leave zstd's Huffman coder alone at work.
        let literalCompressionMode = ZSTD_c_experimentalParam5  // zstd.h: #define ZSTD_c_literalCompressionMode
        compressor = try Compressor(
            [
                (ZSTD_c_compressionLevel, 1), (ZSTD_c_strategy, Int32(ZSTD_fast.rawValue)), (ZSTD_c_minMatch, 7), (ZSTD_c_targetLength, 131_072),
                (ZSTD_c_hashLog, 6), (literalCompressionMode, Int32(ZSTD_ps_enable.rawValue)),
            ], most: BlobEntries.chunk, path: path)
        size = type.bitCount / 8
        planes = .allocate(byteCount: BlobEntries.chunk * size, alignment: 64)
    }

    deinit { planes.deallocate() }

    func encode(_ chunk: UnsafeRawBufferPointer, _ index: Int) throws(CheckpointError) -> EncodedChunk {
        let count = chunk.count / size
        guard let input = chunk.baseAddress, let high = planes.baseAddress else { return EncodedChunk(parts: [], entry: []) }
        ck_split_planes(
            high.assumingMemoryBound(to: UInt8.self), (high + count).assumingMemoryBound(to: UInt8.self), input.assumingMemoryBound(to: UInt8.self),
            count, size)
        let frame = try compressor.compress(UnsafeRawBufferPointer(rebasing: planes[..<count]))
        var entry: [UInt8] = []
        entry.append(littleEndian: UInt32(frame.count))
        entry.append(littleEndian: ck_hash(input, chunk.count))
        return EncodedChunk(parts: [frame, UnsafeRawBufferPointer(rebasing: planes[count..<count * size])], entry: entry)
    }
}
