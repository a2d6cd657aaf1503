internal import SafeTensors

/// The table at the end of a blob: where its chunks lie. It is untrusted.
struct BlobTable {
    /// One chunk of a blob.
    struct Chunk {
        /// Bytes of the blob: a zstd frame, and those that follow it.
        let frame, rest: Range<Int>
        /// The checksums that the table has of it, XXH64 each; of the elements first.
        let checksums: [UInt64]
    }

    let chunks: [Chunk]

    /// Reads a table and checks that the chunks it tells of fill the blob. An entry has the length of the frame and some checksums; after its frame a
    /// chunk has `restBytes` an element.
    init(of blob: Blob, checksums: Int, restBytes: Int) throws(CheckpointError) {
        chunks = try blob.withBytes { bytes throws(CheckpointError) in
            let count = BlobEntries.chunkCount(blob.info.count), entryBytes = Self.entryBytes(checksums: checksums)
            let table = bytes.count - count * entryBytes  // not negative: the layout has checked the shape against the blob
            var chunks: [Chunk] = []
            var start = 0
            for index in 0..<count {
                let entry = table + index * entryBytes
                let frame = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: entry, as: UInt32.self)))
                let rest = BlobEntries.elements(ofChunk: index, of: blob.info.count) * restBytes
                guard frame + rest <= table - start else {
                    throw blob.failure("chunk \(index) takes \(frame + rest) bytes, \(table - start) are left")
                }
                let sums = (0..<checksums).map {
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: entry + 4 + 8 * $0, as: UInt64.self))
                }
                chunks.append(Chunk(frame: start..<start + frame, rest: start + frame..<start + frame + rest, checksums: sums))
                start += frame + rest
            }
            guard start == table else { throw blob.failure("\(table - start) bytes between the last chunk and the table") }
            return chunks
        }
    }

    /// Bytes of an entry: UInt32, and UInt64 for each checksum.
    static func entryBytes(checksums: Int) -> Int { 4 + 8 * checksums }
}
