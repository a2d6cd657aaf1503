internal import CKernels
internal import SafeTensors

/// Reads the elements of one tensor that is stored as differences from a base. Its blob is untrusted, and so is the base.
final class DeltaReader: BlobReader {
    let blob: Blob
    private let base: Checkpoint
    private let chunks: [BlobTable.Chunk]

    /// Reads the table of a blob and checks that its chunks fill it, and that the base has such a tensor.
    init(of tensor: SafeTensor, in file: SafeTensorsFile, info: TensorInfo, base: Checkpoint) throws(CheckpointError) {
        blob = Blob(file: file, tensor: tensor, info: info)
        guard let original = base.tensor(named: info.name), original.shape == info.shape, original.storedType == info.storedType else {
            throw blob.failure("the base \(base.path) has no such tensor of that type and shape: it is another checkpoint")
        }
        self.base = base
        chunks = try BlobTable(of: blob, checksums: DeltaLayout.checksums, restBytes: 0).chunks
    }

    func decode(_ index: Int, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let chunk = chunks[index], size = blob.elementSize, count = buffer.count / size
        let original = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count, alignment: 64)
        defer { original.deallocate() }
        let first = index * BlobEntries.chunk
        try base.readStored(blob.info.name, elements: first..<first + count, into: original)
        guard let start = original.baseAddress, let out = buffer.baseAddress else { return }
        guard ck_hash(start, original.count) == chunk.checksums[1] else {
            throw blob.failure("the base \(base.path) is not the one this was made from: chunk \(index) of its tensor has another checksum")
        }
        if chunk.frame.isEmpty {
            buffer.copyMemory(from: UnsafeRawBufferPointer(original))
        } else {
            try blob.withCopy(of: chunk.frame) { bytes throws(CheckpointError) in
                if bytes.count == buffer.count { return buffer.copyMemory(from: bytes) }
                guard let coded = bytes.baseAddress,
                    ck_decode_differences(
                        out.assumingMemoryBound(to: UInt8.self), coded.assumingMemoryBound(to: UInt8.self), bytes.count,
                        start.assumingMemoryBound(to: UInt8.self), count, size) != 0
                else { throw blob.failure("chunk \(index) is damaged: its parts do not fill its \(bytes.count) bytes") }
            }
        }
        guard ck_hash(out, buffer.count) == chunk.checksums[0] else { throw blob.failure("chunk \(index) is damaged: its checksum differs") }
    }
}
