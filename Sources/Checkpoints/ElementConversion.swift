internal import CKernels
internal import SafeTensors

/// Conversion of what is stored to the three element types: to nearest, ties to even. Neither side needs to be aligned.
enum ElementConversion {
    /// Elements converted at a time; both scratch buffers stay in the first-level cache.
    private static let block = 2048

    /// Whether numbers of that type can be converted.
    static func isReadable(_ type: SafeTensorsType) -> Bool {
        switch type {
        case .f32, .f16, .bf16, .f64, .f8E4M3, .f8E5M2: true
        default: false
        }
    }

    /// Converts all of `input` into `output`, which has room for exactly as many elements. `from` is readable.
    ///
    /// Returns how many finite values became infinite, which only FP16 (and FP32 from FP64) can bring about.
    static func convert(
        _ input: UnsafeRawBufferPointer, from: SafeTensorsType, to: ElementType, into output: UnsafeMutableRawBufferPointer
    ) -> Int {
        guard from.rawValue != to.safeTensorsName else {
            output.copyMemory(from: input)
            return 0
        }
        let size = from.bitCount / 8
        let count = input.count / size
        return withUnsafeTemporaryAllocation(of: UInt16.self, capacity: block) { half in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: block) { single in
                guard let half = half.baseAddress, let single = single.baseAddress else { return 0 }
                var overflowed = 0
                for start in stride(from: 0, to: count, by: block) {
                    let count = min(block, count - start)
                    overflowed += read(
                        UnsafeRawBufferPointer(rebasing: input[start * size..<(start + count) * size]), from, count, half, into: single)
                    let target = UnsafeMutableRawBufferPointer(rebasing: output[start * to.byteCount..<(start + count) * to.byteCount])
                    switch to {
                    case .float32: target.copyMemory(from: UnsafeRawBufferPointer(start: single, count: target.count))
                    case .float16:
                        overflowed += ck_f32_to_f16(half, single, count)
                        target.copyMemory(from: UnsafeRawBufferPointer(start: half, count: target.count))
                    case .bfloat16:
                        ck_f32_to_bf16(half, single, count)
                        target.copyMemory(from: UnsafeRawBufferPointer(start: half, count: target.count))
                    }
                }
                return overflowed
            }
        }
    }

    /// Stored elements as FP32; returns how many finite ones became infinite.
    private static func read(
        _ input: UnsafeRawBufferPointer, _ type: SafeTensorsType, _ count: Int, _ half: UnsafeMutablePointer<UInt16>,
        into single: UnsafeMutablePointer<Float>
    ) -> Int {
        var overflowed = 0
        switch type {
        case .f16, .bf16:
            UnsafeMutableRawBufferPointer(start: half, count: input.count).copyMemory(from: input)
            if type == .f16 { ck_f16_to_f32(single, half, count) } else { ck_bf16_to_f32(single, half, count) }
        case .f64:
            for index in 0..<count {
                let value = Double(bitPattern: UInt64(littleEndian: input.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)))
                single[index] = Float(value)
                overflowed += value.isFinite && single[index].isInfinite ? 1 : 0
            }
        case .f8E5M2:  // the upper half of an FP16 number
            for index in 0..<count { half[index] = UInt16(input[index]) << 8 }
            ck_f16_to_f32(single, half, count)
        case .f8E4M3: for index in 0..<count { single[index] = e4m3[Int(input[index])] }
        default: UnsafeMutableRawBufferPointer(start: single, count: input.count).copyMemory(from: input)
        }
        return overflowed
    }

    /// FP8 with four bits of exponent and three of mantissa, as the OCP specification has it: no infinity, NaN only where all seven bits are set.
    private static let e4m3: [Float] = (0..<256).map { bits in
        let exponent = bits >> 3 & 15
        let mantissa = Float(bits & 7) / 8
        let magnitude = exponent == 0 ? mantissa * 0x1p-6 : (1 + mantissa) * Float(sign: .plus, exponent: exponent - 7, significand: 1)
        return bits & 127 == 127 ? .nan : bits < 128 ? magnitude : -magnitude
    }

    /// Converts as above; refuses values that do not fit.
    static func convert(
        _ input: UnsafeRawBufferPointer, from: SafeTensorsType, to: ElementType, into output: UnsafeMutableRawBufferPointer, of tensor: String,
        path: String
    ) throws(CheckpointError) {
        try check(convert(input, from: from, to: to, into: output), to: to, of: tensor, path: path)
    }

    /// Refuses a conversion that could not hold some values.
    static func check(_ overflowed: Int, to: ElementType, of tensor: String, path: String) throws(CheckpointError) {
        guard overflowed == 0 else {
            let range = to == .float16 ? "beyond 65504 do not fit float16; use bfloat16 or float32" : "beyond 3.4e38 do not fit \(to.rawValue)"
            throw CheckpointError(path: path, tensor: tensor, message: "\(overflowed) values \(range)")
        }
    }
}
