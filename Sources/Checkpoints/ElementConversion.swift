internal import CKernels

/// Conversion between the three element types: to nearest, ties to even. Neither side needs to be aligned.
enum ElementConversion {
    /// Elements converted at a time; both scratch buffers stay in the first-level cache.
    private static let block = 2048

    /// Converts all of `input` into `output`, which has room for exactly as many elements.
    ///
    /// Returns how many finite values became infinite, which only FP16 can bring about.
    static func convert(
        _ input: UnsafeRawBufferPointer, from: ElementType, to: ElementType, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        guard from != to else {
            output.copyMemory(from: input)
            return 0
        }
        let count = input.count / from.byteCount
        return withUnsafeTemporaryAllocation(of: UInt16.self, capacity: block) { half in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { single in
                guard let half = half.baseAddress, let single = single.baseAddress else { return 0 }
                let halfBytes = UnsafeMutableRawBufferPointer(start: half, count: 2 * block)
                let singleBytes = UnsafeMutableRawBufferPointer(start: single, count: 4 * block)
                var overflowed = 0
                for start in stride(from: 0, to: count, by: block) {
                    let size = min(block, count - start)
                    let source = UnsafeRawBufferPointer(rebasing: input[start * from.byteCount..<(start + size) * from.byteCount])
                    let target = UnsafeMutableRawBufferPointer(rebasing: output[start * to.byteCount..<(start + size) * to.byteCount])
                    (from == .float32 ? singleBytes : halfBytes).copyMemory(from: source)
                    switch from {
                    case .float32: break
                    case .float16: ck_f16_to_f32(single, half, size)
                    case .bfloat16: ck_bf16_to_f32(single, half, size)
                    }
                    switch to {
                    case .float32: break
                    case .float16: overflowed += ck_f32_to_f16(half, single, size)
                    case .bfloat16: ck_f32_to_bf16(half, single, size)
                    }
                    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: (to == .float32 ? singleBytes : halfBytes)[..<target.count]))
                }
                return overflowed
            }
        }
    }

    /// Converts as above; refuses values that do not fit.
    static func convert(
        _ input: UnsafeRawBufferPointer, from: ElementType, to: ElementType, into output: UnsafeMutableRawBufferPointer, of tensor: String,
        path: String
    ) throws(CheckpointError) {
        let overflowed = convert(input, from: from, to: to, into: output)
        guard overflowed == 0 else {
            throw CheckpointError(
                path: path, tensor: tensor, message: "\(overflowed) values beyond 65504 do not fit \(to.rawValue); use bfloat16 or float32")
        }
    }
}
