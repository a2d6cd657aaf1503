internal import SafeTensors

/// One tensor of a checkpoint directory, however it is stored there.
protocol TensorReader: Sendable {
    /// Copies elements, counted row by row, converted to `type`, into a buffer of exactly their size.
    func read(_ elements: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)

    /// Copies elements in the tensor's `storedType`; they are whole bytes.
    func readStored(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError)
}

/// A tensor whose elements stand in the file as they are.
struct PlainTensor: TensorReader {
    let file: SafeTensorsFile
    let tensor: SafeTensor

    func read(_ elements: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard ElementConversion.isReadable(tensor.type) else {
            throw CheckpointError(
                path: file.path, tensor: tensor.name,
                message: "stored as \(tensor.type.rawValue), which cannot be read as weights here; expected F32, F16, BF16, F64 or F8")
        }
        if tensor.type.rawValue == type.safeTensorsName { return try readStored(elements, into: buffer) }
        let size = tensor.type.bitCount / 8
        var overflowed = 0
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: min(elements.count, Self.block) * size, alignment: 64)
        defer { scratch.deallocate() }
        for start in stride(from: 0, to: elements.count, by: Self.block) {
            let count = min(Self.block, elements.count - start)
            let part = UnsafeMutableRawBufferPointer(rebasing: scratch[..<(count * size)])
            try readStored(elements.lowerBound + start..<elements.lowerBound + start + count, into: part)
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[start * type.byteCount..<(start + count) * type.byteCount])
            overflowed += ElementConversion.convert(UnsafeRawBufferPointer(part), from: tensor.type, to: type, into: target)
        }
        try ElementConversion.check(overflowed, to: type, of: tensor.name, path: file.path)
    }

    func readStored(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let bits = tensor.type.bitCount
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try file.read(tensor, bytes: elements.lowerBound * bits / 8..<elements.upperBound * bits / 8, into: buffer)
        }
    }

    /// Elements that are read at a time when they are to be converted.
    private static let block = 1 << 16
}
