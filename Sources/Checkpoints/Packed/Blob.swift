internal import CZstd
internal import SafeTensors
internal import Synchronization

/// A tensor kept in chunks that are decoded one by one: what packed and delta tensors have in common.
struct Blob: Sendable {
    typealias Decode = (Int, UnsafeMutableRawBufferPointer) throws(CheckpointError) -> Void

    let file: SafeTensorsFile
    let tensor: SafeTensor
    /// What the blob stands for; it has a `storedType`.
    let info: TensorInfo
    private let storedType: SafeTensorsType
    /// The chunk decoded last, so that reading row by row does not decode it for every row.
    private let last = LastChunk()

    /// A box, so that copies of the blob share it.
    private final class LastChunk: Sendable {
        let chunk = Mutex<(index: Int, bytes: [UInt8])>((-1, []))
    }

    init(file: SafeTensorsFile, tensor: SafeTensor, info: TensorInfo) {
        self.file = file
        self.tensor = tensor
        self.info = info
        self.storedType = info.storedType ?? .bf16
    }

    /// Bytes of one element.
    var elementSize: Int { storedType.bitCount / 8 }

    func failure(_ message: String) -> CheckpointError { CheckpointError(path: file.path, tensor: tensor.name, message: message) }

    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result) throws(CheckpointError) -> Result {
        try file.withPresentBytes(of: tensor, body)
    }

    /// Gives `body` a copy of some bytes of the blob.
    func withCopy(of range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void) throws(CheckpointError) {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: range.count, alignment: 64)
        defer { copy.deallocate() }
        try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.read(tensor, bytes: range, into: copy) }
        try body(UnsafeRawBufferPointer(copy))
    }

    /// Elements converted to `type`; `decode` fills a buffer with the elements of one chunk.
    func read(_ elements: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer, decode: Decode) throws(CheckpointError) {
        if storedType.rawValue == type.safeTensorsName { return try readStored(elements, into: buffer, decode: decode) }
        try forEachChunk(of: elements, decode) { part, bytes throws(CheckpointError) in
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[part.lowerBound * type.byteCount..<part.upperBound * type.byteCount])
            try ElementConversion.convert(bytes, from: storedType, to: type, into: target, of: tensor.name, path: file.path)
        }
    }

    /// Elements as they were before they became a blob, chunks side by side.
    func readStored(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer, decode: Decode) throws(CheckpointError) {
        guard !elements.isEmpty else { return }
        let size = elementSize, first = elements.lowerBound / BlobEntries.chunk
        try concurrently((elements.upperBound - 1) / BlobEntries.chunk - first + 1) { number throws(CheckpointError) in
            let index = first + number
            let chunk = index * BlobEntries.chunk..<index * BlobEntries.chunk + BlobEntries.elements(ofChunk: index, of: info.count)
            let part = chunk.clamped(to: elements)
            let target = UnsafeMutableRawBufferPointer(
                rebasing: buffer[(part.lowerBound - elements.lowerBound) * size..<(part.upperBound - elements.lowerBound) * size])
            // Whole chunks go straight to where they are wanted.
            if part == chunk { return try decode(index, target) }
            try withChunk(index, decode) { bytes in
                let wanted = bytes[(part.lowerBound - chunk.lowerBound) * size..<(part.upperBound - chunk.lowerBound) * size]
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: wanted))
            }
        }
    }

    /// Calls `body` with the elements (counted from the first one wanted) that lie in one chunk after the other, and their bytes.
    private func forEachChunk(
        of elements: Range<Int>, _ decode: Decode, _ body: (Range<Int>, UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let size = elementSize
        var position = elements.lowerBound
        while position < elements.upperBound {
            let index = position / BlobEntries.chunk
            let first = index * BlobEntries.chunk
            let end = min(elements.upperBound, first + BlobEntries.elements(ofChunk: index, of: info.count))
            try withChunk(index, decode) { bytes throws(CheckpointError) in
                try body(
                    position - elements.lowerBound..<end - elements.lowerBound,
                    UnsafeRawBufferPointer(rebasing: bytes[(position - first) * size..<(end - first) * size]))
            }
            position = end
        }
    }

    private func withChunk(
        _ index: Int, _ decode: Decode, _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        var bytes = last.chunk.withLock { $0.index == index ? $0.bytes : [] }
        if bytes.isEmpty {
            bytes = [UInt8](repeating: 0, count: BlobEntries.elements(ofChunk: index, of: info.count) * elementSize)
            let decoded = bytes.withUnsafeMutableBytes { buffer in Result { () throws(CheckpointError) in try decode(index, buffer) } }
            try decoded.get()
            last.chunk.withLock { [bytes] in $0 = (index, bytes) }
        }
        let result = bytes.withUnsafeBytes { buffer in Result { () throws(CheckpointError) in try body(buffer) } }
        try result.get()
    }

    /// Decodes a zstd frame that must hold exactly as many bytes as the buffer.
    func inflate(_ frame: UnsafeRawBufferPointer, chunk: Int, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        // One frame and nothing else, which says beforehand how much it holds: no bomb gets as far as the decoder.
        guard ZSTD_getFrameContentSize(frame.baseAddress, frame.count) == UInt64(buffer.count),
            ZSTD_findFrameCompressedSize(frame.baseAddress, frame.count) == frame.count
        else { throw failure("chunk \(chunk) is damaged: not one zstd frame of \(buffer.count) bytes") }
        guard ZSTD_decompress(buffer.baseAddress, buffer.count, frame.baseAddress, frame.count) == buffer.count else {
            throw failure("chunk \(chunk) is damaged: its zstd frame does not decode")
        }
    }
}

/// A tensor kept as a blob.
protocol BlobReader: TensorReader {
    var blob: Blob { get }

    /// The elements of one chunk, into a buffer of their size.
    func decode(_ index: Int, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)
}

extension BlobReader {
    func read(_ elements: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try blob.read(elements, as: type, into: buffer, decode: decode)
    }

    func readStored(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try blob.readStored(elements, into: buffer, decode: decode)
    }
}
