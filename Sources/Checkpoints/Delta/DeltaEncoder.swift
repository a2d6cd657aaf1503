internal import CKernels
internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Turns the chunks of a tensor into differences from the same tensor of a base.
final class DeltaEncoder: ChunkEncoder {
    private let base: Checkpoint
    private let name: String
    /// Bytes of an element.
    private let size: Int
    private let original, coded: UnsafeMutableRawBufferPointer

    /// The most bytes that a blob of that tensor takes.
    static func bound(_ count: Int, _ type: SafeTensorsType) -> Int {
        count * (type.bitCount / 8) + BlobEntries.chunkCount(count) * DeltaLayout.tableEntry
    }

    init(_ name: String, _ type: SafeTensorsType, base: Checkpoint) {
        size = type.bitCount / 8
        let most = BlobEntries.chunk * size
        self.name = name
        self.base = base
        original = .allocate(byteCount: most, alignment: 64)
        coded = .allocate(byteCount: most, alignment: 64)
    }

    deinit {
        original.deallocate()
        coded.deallocate()
    }

    func encode(_ chunk: UnsafeRawBufferPointer, _ index: Int) throws(CheckpointError) -> EncodedChunk {
        let count = chunk.count / size, first = index * BlobEntries.chunk
        let old = UnsafeMutableRawBufferPointer(rebasing: original[..<chunk.count])
        try base.readStored(name, elements: first..<first + count, into: old)
        guard let new = chunk.baseAddress, let old = old.baseAddress, let out = coded.baseAddress else { return EncodedChunk(parts: [], entry: []) }
        var parts: [UnsafeRawBufferPointer] = []
        if memcmp(new, old, chunk.count) != 0 {
            let length = ck_code_differences(
                out.assumingMemoryBound(to: UInt8.self), new.assumingMemoryBound(to: UInt8.self), old.assumingMemoryBound(to: UInt8.self), count, size
            )
            parts = [length > 0 ? UnsafeRawBufferPointer(rebasing: coded[..<length]) : chunk]
        }
        var entry: [UInt8] = []
        entry.append(littleEndian: UInt32(parts.first?.count ?? 0))
        entry.append(littleEndian: ck_hash(new, chunk.count))
        entry.append(littleEndian: ck_hash(old, chunk.count))
        return EncodedChunk(parts: parts, entry: entry)
    }
}
