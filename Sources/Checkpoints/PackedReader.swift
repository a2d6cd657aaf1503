internal import CZstd
internal import SafeTensors
internal import Synchronization

/// Reads the weights of one packed tensor. Its blob is untrusted: every size is checked before anything is allocated or decoded.
final class PackedReader: Sendable {
    private let file: SafeTensorsFile
    private let blob: SafeTensor
    /// Weights of the tensor.
    private let count: Int
    private let chunks: [Chunk]
    /// The chunk decoded last, so that reading row by row does not decode it for every row.
    private let last = Mutex<(index: Int, weights: [UInt16])>((-1, []))

    private struct Chunk {
        /// Bytes of the blob: the frame, and the mantissa plane after it.
        let frame: Range<Int>
        let checksum: UInt64
        let weights: Int
    }

    /// Reads the table of a blob and checks that its chunks fill it.
    init(of blob: SafeTensor, in file: SafeTensorsFile, count: Int) throws(CheckpointError) {
        self.file = file
        self.blob = blob
        self.count = count
        self.chunks = try file.withPresentBytes(of: blob) { bytes throws(CheckpointError) in
            let chunkCount = PackedLayout.chunkCount(count)
            // The caller has checked that the blob has a byte a weight, so this cannot overflow.
            let table = bytes.count - chunkCount * PackedLayout.tableEntry
            guard table >= 0 else {
                throw Self.failure(file, blob, "a blob of \(bytes.count) bytes is too small for a table of \(chunkCount) chunks")
            }
            var chunks: [Chunk] = []
            var start = 0
            for index in 0..<chunkCount {
                let entry = table + index * PackedLayout.tableEntry
                let size = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: entry, as: UInt32.self)))
                let checksum = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: entry + 4, as: UInt64.self))
                let weights = PackedLayout.weights(ofChunk: index, of: count)
                guard size + weights <= table - start else {
                    throw Self.failure(file, blob, "chunk \(index) takes \(size + weights) bytes, \(table - start) are left")
                }
                chunks.append(Chunk(frame: start..<start + size, checksum: checksum, weights: weights))
                start += size + weights
            }
            guard start == table else { throw Self.failure(file, blob, "\(table - start) bytes between the last chunk and the table") }
            return chunks
        }
    }

    /// Copies elements of the tensor, converted to `type`, into a buffer of exactly their size.
    func read(_ elements: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        var position = elements.lowerBound
        while position < elements.upperBound {
            let index = position / PackedLayout.chunk
            let first = index * PackedLayout.chunk
            let end = min(elements.upperBound, first + chunks[index].weights)
            let weights = try decoded(index)
            let start = (position - elements.lowerBound) * type.byteCount
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + (end - position) * type.byteCount])
            let overflowed = weights.withUnsafeBytes { bytes in
                let part = UnsafeRawBufferPointer(rebasing: bytes[2 * (position - first)..<2 * (end - first)])
                return ElementConversion.convert(part, from: .bfloat16, to: type, into: target)
            }
            guard overflowed == 0 else {
                throw failure("\(overflowed) values beyond 65504 do not fit \(type.rawValue); use bfloat16 or float32")
            }
            position = end
        }
    }

    /// The weights of one chunk.
    private func decoded(_ index: Int) throws(CheckpointError) -> [UInt16] {
        if let weights = last.withLock({ $0.index == index ? $0.weights : nil }) { return weights }
        let chunk = chunks[index]
        let weights = try file.withPresentBytes(of: blob) { bytes throws(CheckpointError) in
            let mantissas = chunk.frame.upperBound..<chunk.frame.upperBound + chunk.weights
            return try decode(UnsafeRawBufferPointer(rebasing: bytes[chunk.frame]), UnsafeRawBufferPointer(rebasing: bytes[mantissas]), index)
        }
        let checksum = weights.withUnsafeBytes { XXHash64.hash($0) }
        guard checksum == chunk.checksum else { throw failure("chunk \(index) is damaged: its checksum differs") }
        last.withLock { $0 = (index, weights) }
        return weights
    }

    private func decode(_ frame: UnsafeRawBufferPointer, _ mantissas: UnsafeRawBufferPointer, _ index: Int) throws(CheckpointError) -> [UInt16] {
        let count = mantissas.count
        // One frame and nothing else, which says beforehand that it holds a byte a weight: no bomb gets as far as the decoder.
        guard ZSTD_getFrameContentSize(frame.baseAddress, frame.count) == UInt64(count),
            ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count) == frame.count
        else { throw failure("chunk \(index) is damaged: not one zstd frame of \(count) bytes") }
        let exponents = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: count)
        defer { exponents.deallocate() }
        guard ZSTD_decompress(exponents.baseAddress, count, frame.baseAddress, frame.count) == count else {
            throw failure("chunk \(index) is damaged: its zstd frame does not decode")
        }
        return [UInt16](unsafeUninitializedCapacity: count) { weights, initialized in
            guard let weights = weights.baseAddress, let exponents = exponents.baseAddress, let mantissas = mantissas.baseAddress else { return }
            let mantissa = mantissas.assumingMemoryBound(to: UInt8.self)
            PackedLayout.merge(exponents: exponents, mantissas: mantissa, count: count, weights: weights)
            initialized = count
        }
    }

    private func failure(_ message: String) -> CheckpointError { Self.failure(file, blob, message) }

    private static func failure(_ file: SafeTensorsFile, _ blob: SafeTensor, _ message: String) -> CheckpointError {
        CheckpointError(path: file.path, tensor: blob.name, message: message)
    }
}
