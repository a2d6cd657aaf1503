internal import CKernels
internal import SafeTensors

/// Quantises rows of one weight and appends one part of the result. Each part is a tensor of its own that comes at another place of the file, so the
/// quantisation is done for each: that is cheaper than to keep the scales of a whole model.
struct IntegerEncoder {
    private let info: TensorInfo
    private let part: IntegerQuantization.Part
    private let bits, group: Int
    /// How much an error in each column matters, if that is known.
    private let importance: [Float]?
    private let path: String

    init(_ info: TensorInfo, _ part: IntegerQuantization.Part, bits: Int, group: Int, importance: [Float]?, path: String) {
        self.info = info
        self.part = part
        self.bits = bits
        self.group = group
        self.importance = importance
        self.path = path
    }

    /// The shape of the weight, as two INT64.
    func appendShape(to file: SafeTensorsWriter) throws(CheckpointError) {
        let bytes = info.shape.flatMap { dimension in (0..<8).map { UInt8(truncatingIfNeeded: dimension >> (8 * $0)) } }
        try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.append(bytes) }
    }

    /// Appends what whole rows of FP32 numbers become.
    func append(_ numbers: UnsafeRawBufferPointer, to file: SafeTensorsWriter) throws(CheckpointError) {
        let rows = numbers.count / (4 * info.rowLength)
        let integers = UnsafeMutableRawBufferPointer.allocate(byteCount: rows * info.rowLength * bits / 8, alignment: 64)
        let scales = UnsafeMutableRawBufferPointer.allocate(byteCount: rows * info.rowLength / group * 2, alignment: 64)
        defer {
            integers.deallocate()
            scales.deallocate()
        }
        guard let q = integers.baseAddress, let s = scales.baseAddress, let x = numbers.baseAddress else { return }
        let refused = ck_quantize_groups(
            q.assumingMemoryBound(to: UInt8.self), s.assumingMemoryBound(to: UInt16.self), x.assumingMemoryBound(to: Float.self), importance, rows,
            info.rowLength, group, Int32(bits))
        guard refused == 0 else {
            throw CheckpointError(
                path: path, tensor: info.name,
                message: "\(refused) groups hold numbers that are infinite, NaN or beyond 1e12, and cannot be quantised")
        }
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try file.append(UnsafeRawBufferPointer(part == .packed ? integers : scales))
        }
    }
}
