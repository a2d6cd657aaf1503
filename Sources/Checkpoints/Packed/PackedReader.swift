internal import CKernels
internal import CZstd
internal import SafeTensors

/// Reads the elements of one packed tensor. Its blob is untrusted: every size is checked before anything is allocated or decoded.
final class PackedReader: BlobReader {
    let blob: Blob
    private let chunks: [BlobTable.Chunk]
    private let size: Int

    /// Reads the table of a blob and checks that its chunks fill it.
    init(of tensor: SafeTensor, in file: SafeTensorsFile, info: TensorInfo) throws(CheckpointError) {
        blob = Blob(file: file, tensor: tensor, info: info)
        size = blob.elementSize
        chunks = try BlobTable(of: blob, checksums: PackedLayout.checksums, restBytes: size - 1).chunks
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
            let hash = ck_merge_planes(out.assumingMemoryBound(to: UInt8.self), high.assumingMemoryBound(to: UInt8.self), rest, count, size)
            guard hash == chunk.checksums[0] else { throw blob.failure("chunk \(index) is damaged: its checksum differs") }
        }
    }
}
