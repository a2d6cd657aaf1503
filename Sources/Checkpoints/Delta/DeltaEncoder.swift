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
    private var done = 0

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

    func write(_ bytes: UnsafeRawBufferPointer, to file: SafeTensorsWriter) throws(CheckpointError) -> [UInt8] {
        let count = bytes.count / size
        let old = UnsafeMutableRawBufferPointer(rebasing: original[..<bytes.count])
        try base.readStored(name, elements: done..<done + count, into: old)
        done += count
        guard let new = bytes.baseAddress, let old = old.baseAddress, let out = coded.baseAddress else { return [] }
        let hash = ck_hash(new, bytes.count), baseHash = ck_hash(old, bytes.count)
        var length = 0
        if memcmp(new, old, bytes.count) != 0 {
            length = ck_code_differences(
                out.assumingMemoryBound(to: UInt8.self), new.assumingMemoryBound(to: UInt8.self), old.assumingMemoryBound(to: UInt8.self), count, size
            )
            let part = length > 0 ? UnsafeRawBufferPointer(rebasing: coded[..<length]) : bytes
            length = part.count
            try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.append(part) }
        }
        var entry: [UInt8] = []
        entry.append(littleEndian: UInt32(length))
        entry.append(littleEndian: hash)
        entry.append(littleEndian: baseHash)
        return entry
    }
}
