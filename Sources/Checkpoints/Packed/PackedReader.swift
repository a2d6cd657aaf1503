internal import CKernels
internal import CZstd
internal import SafeTensors

/// Reads the elements of one packed tensor. Its blob is untrusted: every size is checked before anything is allocated or decoded.
final class PackedReader: BlobReader {
    let blob: Blob
    private let chunks: [Chunk]
    private let size: Int

    private struct Chunk {
        /// Bytes of the blob: the frame of the highest bytes, and the other bytes after it.
        let frame: Range<Int>
        let rest: Range<Int>
        let checksum: UInt64
    }

    /// Reads the table of a blob and checks that its chunks fill it.
    init(of tensor: SafeTensor, in file: SafeTensorsFile, info: TensorInfo) throws(CheckpointError) {
        let blob = Blob(file: file, tensor: tensor, info: info)
        let size = blob.elementSize
        self.blob = blob
        self.size = size
        self.chunks = try blob.withBytes { bytes throws(CheckpointError) in
            let count = BlobEntries.chunkCount(info.count)
            let table = bytes.count - count * PackedLayout.tableEntry  // not negative: the layout has checked the shape against the blob
            var chunks: [Chunk] = []
            var start = 0
            for index in 0..<count {
                let entry = table + index * PackedLayout.tableEntry
                let frame = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: entry, as: UInt32.self)))
                let checksum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: entry + 4, as: UInt64.self))
                let rest = BlobEntries.elements(ofChunk: index, of: info.count) * (size - 1)
                guard frame + rest <= table - start else {
                    throw blob.failure("chunk \(index) takes \(frame + rest) bytes, \(table - start) are left")
                }
                chunks.append(Chunk(frame: start..<start + frame, rest: start + frame..<start + frame + rest, checksum: checksum))
                start += frame + rest
            }
            guard start == table else { throw blob.failure("\(table - start) bytes between the last chunk and the table") }
            return chunks
        }
    }

    func decode(_ index: Int, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let chunk = chunks[index], count = buffer.count / size
        try blob.withCopy(of: chunk.frame.lowerBound..<chunk.rest.upperBound) { bytes throws(CheckpointError) in
            let frame = UnsafeRawBufferPointer(rebasing: bytes[..<chunk.frame.count])
            let high = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
            defer { high.deallocate() }
            try blob.inflate(frame, chunk: index, into: high)
            guard let out = buffer.baseAddress, let high = high.baseAddress, let start = bytes.baseAddress else { return }
            let rest = (start + chunk.frame.count).assumingMemoryBound(to: UInt8.self)
            ck_merge_planes(out.assumingMemoryBound(to: UInt8.self), high.assumingMemoryBound(to: UInt8.self), rest, count, size)
            guard ck_hash(out, buffer.count) == chunk.checksum else { throw blob.failure("chunk \(index) is damaged: its checksum differs") }
        }
    }
}
