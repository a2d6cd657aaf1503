import CKernels
import Testing

extension Kernels {
    @Suite struct Quantized {
        static let types = [CK_INT8, CK_INT4, CK_INT8_MIN, CK_INT4_MIN]
        static let blockTypes = [CK_Q4_0, CK_Q4_1, CK_Q5_0, CK_Q5_1, CK_Q8_0, CK_Q4_K, CK_Q5_K, CK_Q6_K]

        static func half(_ bits: UInt16) -> Float {
            var (single, bits) = (Float(0), bits)
            ck_f16_to_f32(&single, &bits, 1)
            return single
        }

        static func halfBits(_ single: Float) -> UInt16 {
            var (bits, single) = (UInt16(0), single)
            _ = ck_f32_to_f16(&bits, &single, 1)
            return bits
        }

        /// A block of one row as the header describes it: w = scale * (q - offset) + minimum.
        struct Block {
            var q = [Int32](repeating: 0, count: 32)
            var offset: Int32 = 0
            var scale: Float = 0
            var minimum: Float?
        }

        static func block(_ index: Int, row: Int, k: Int, _ type: ck_quantized_type, _ packed: [UInt8]) -> Block {
            let nibbles = type == CK_INT4 || type == CK_INT4_MIN, minima = type == CK_INT8_MIN || type == CK_INT4_MIN
            let head = minima ? 128 : 32, step = head + (nibbles ? 256 : 512)
            let start = (row / 16 * (k / 32) + index) * step, r = row % 16
            var block = Block()
            packed.withUnsafeBytes { bytes in
                if minima {
                    block.scale = bytes.loadUnaligned(fromByteOffset: start + 4 * r, as: Float.self)
                    block.minimum = bytes.loadUnaligned(fromByteOffset: start + 64 + 4 * r, as: Float.self)
                } else {
                    block.scale = half(bytes.loadUnaligned(fromByteOffset: start + 2 * r, as: UInt16.self))
                }
                for c in 0..<32 {
                    let byte = bytes[start + head + 64 * ((nibbles ? c % 16 : c) / 4) + 4 * r + c % 4]
                    block.q[c] = !nibbles ? Int32(Int8(bitPattern: byte)) : c < 16 ? Int32(byte & 15) : Int32(byte >> 4)
                }
            }
            block.offset = type == CK_INT4 ? 8 : 0
            return block
        }

        /// Any bytes, extreme weights often, scales and minima in -4...4.
        static func matrix(_ type: ck_quantized_type, n: Int, k: Int, _ random: inout Random) -> [UInt8] {
            var packed = (0..<ck_quantized_bytes(type, n, k)).map { _ in
                Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : [0x80, 0x7F, 0xFF, 0].randomElement(using: &random)!
            }
            let minima = type == CK_INT8_MIN || type == CK_INT4_MIN
            let step = ck_quantized_bytes(type, 16, 32)
            packed.withUnsafeMutableBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: step) {
                    for i in 0..<(minima ? 32 : 16) {
                        let value = Float.random(in: -4...4, using: &random)
                        if minima {
                            bytes.storeBytes(of: value, toByteOffset: start + 4 * i, as: Float.self)
                        } else {
                            bytes.storeBytes(of: halfBits(value), toByteOffset: start + 2 * i, as: UInt16.self)
                        }
                    }
                }
            }
            return packed
        }

        /// What the header promises of one output, in Swift's own arithmetic.
        static func output(_ x: ArraySlice<Float>, _ type: ck_quantized_type, _ packed: [UInt8], row: Int, from start: Float) -> Float {
            var y = start
            for b in 0..<x.count / 32 {
                let values = x.dropFirst(32 * b).prefix(32), w = block(b, row: row, k: x.count, type, packed)
                let max = values.map(\.magnitude).max() ?? 0, scale = max / 127
                let q = values.map { max == 0 ? 0 : Int32(($0 * (127 / max)).rounded(.toNearestOrEven)) }
                let dot = zip(q, w.q).reduce(Int32(0)) { $0 + $1.0 * ($1.1 - w.offset) }
                y = y.addingProduct(Float(dot), scale * w.scale)
                if let minimum = w.minimum { y = y.addingProduct(scale * Float(q.reduce(0, +)), minimum) }
            }
            return y
        }

        @Test(arguments: types) func everyOutputIsOneChainOfBlocksUnderEverySet(type: ck_quantized_type) {
            for (m, n, k) in [(1, 1, 32), (1, 16, 64), (2, 33, 160), (5, 17, 896), (7, 40, 96), (13, 16, 32), (0, 16, 32), (2, 20, 0)] {
                var random = Random(UInt64(m * n + k))
                let packed = Self.matrix(type, n: n, k: k, &random), ldy = n + 3
                var x = random.floats(m * k, in: -3...3)
                for i in stride(from: 0, to: x.count, by: 7) { x[i] = x[i] < 0 ? -3 : 3 }  // many integers are 127
                for i in x.indices where i / 32 % 5 == 4 { x[i] = 0 }
                let bias = random.floats(n), held = random.floats(m * ldy)
                for bias in [nil, bias] {
                    var expected = held
                    for r in 0..<m {
                        for c in 0..<n {
                            expected[r * ldy + c] = Self.output(x[r * k..<(r + 1) * k], type, packed, row: c, from: bias?[c] ?? 0)
                        }
                    }
                    underEverySet { _ in
                        var y = held
                        multiply(&y, ldy, x, m, k, packed, type, n, bias: bias)
                        #expect(y.bits == expected.bits, "m \(m), n \(n), k \(k)")
                    }
                }
            }
        }

        @Test(arguments: types) func aRowsBitsDoNotDependOnItsNeighboursOrOnThreads(type: ck_quantized_type) {
            let (m, n, k) = (127, 200, 1088)
            var random = Random(6)
            let x = random.bf16(m * k, in: -3...3), packed = Self.matrix(type, n: n, k: k, &random), bias = random.floats(n)
            func product(_ rows: Range<Int>) -> [UInt32] {
                var y = [Float](repeating: 0, count: rows.count * n)
                multiply(&y, n, Array(x[rows.lowerBound * k..<rows.upperBound * k]), rows.count, k, packed, type, n, bias: bias)
                return y.bits
            }
            underEverySet { level in
                guard level != CK_ISA_SCALAR else { return }
                let whole = product(0..<m)
                for threads: Int32 in [1, 2, 3] {
                    with(threads: threads) {
                        #expect(product(0..<m) == whole)
                        for size in [1, 2, 3, 4, 5, 6, 11, 12, 13, 61] {
                            let parts = stride(from: 0, to: size == 1 ? 8 : m, by: size).flatMap { product($0..<min($0 + size, m)) }
                            #expect(parts == Array(whole.prefix(parts.count)))
                        }
                    }
                }
            }
        }

        @Test(arguments: types) func outputsOfOneInputAreWhatEachIsAlone(type: ck_quantized_type) {
            let k = 160, sizes = [200, 16, 1, 130]
            var random = Random(8)
            let packed = sizes.map { Self.matrix(type, n: $0, k: k, &random) }, bias = random.floats(200)
            for m in [1, 3, 61] {
                let x = random.bf16(m * k)
                underEverySet { _ in
                    let alone = zip(sizes, packed).map { n, packed in
                        var y = [Float](repeating: 0, count: m * n)
                        multiply(&y, n, x, m, k, packed, type, n, bias: bias)
                        return y.bits
                    }
                    let together = together(sizes, packed, bias: bias, rows: m) { ck_matmul_quantized($0, sizes.count, type, x, CK_BF16, m, k) }
                    #expect(together.map(\.bits) == alone)
                }
            }
        }

        @Test func bf16RowsGiveWhatTheirNumbersGive() {
            var random = Random(8)
            let (n, k) = (33, 96), packed = Self.matrix(CK_INT8, n: n, k: k, &random), x = random.bf16(2 * k)
            var (a, b) = ([Float](repeating: 0, count: 2 * n), [Float](repeating: 1, count: 2 * n))
            multiply(&a, n, x, 2, k, packed, CK_INT8, n)
            multiply(&b, n, x.map(value), 2, k, packed, CK_INT8, n)
            #expect(a.bits == b.bits)
        }

        @Test func infinitiesAndNaNsSpoilTheirRowOnlyAndTinyNumbersCountAsZero() {
            var random = Random(9)
            let (n, k) = (20, 64)
            for type in Self.types {
                let packed = Self.matrix(type, n: n, k: k, &random)
                underEverySet { _ in
                    var x = random.floats(4 * k), y = [Float](repeating: 0, count: 4 * n)
                    (x[3], x[k + 40]) = (.nan, -.infinity)
                    for i in 2 * k..<3 * k { x[i] = i % 2 == 0 ? 1e-37 : -.leastNonzeroMagnitude }
                    multiply(&y, n, x, 4, k, packed, type, n)
                    #expect(y[..<(2 * n)].allSatisfy { $0.isNaN })
                    #expect(y[(2 * n)..<(3 * n)].allSatisfy { $0 == 0 })
                    #expect(y[(3 * n)...].allSatisfy { $0.isFinite })
                }
            }
        }

        @Test(arguments: [CK_F32, CK_BF16]) func int8RoundsAsQ8_0DoesUnderEverySet(inType: ck_type) {
            let (n, k) = (21, 96)
            var random = Random(10)
            // Ranges that exercise subnormal FP16 scales, ties (multiples of half a step) and whole blocks of zeros.
            var w = (0..<n * k / 32).flatMap { b in random.floats(32, in: b % 4 == 0 ? -1e-5...1e-5 : -2...2) }
            for i in 0..<32 { (w[i], w[32 + i]) = (Float(i) * 0.5 - 8, 0) }
            w[5] = 127
            var halves = w.map(nearestBF16)
            if inType == CK_BF16 { w = halves.map(value) }
            underEverySet { _ in
                var packed = [UInt8](repeating: 0xAA, count: ck_quantized_bytes(CK_INT8, n, k))
                #expect(
                    (inType == CK_BF16
                        ? ck_quantize_rows(&packed, CK_INT8, &halves, inType, 0, n, k) : ck_quantize_rows(&packed, CK_INT8, &w, inType, 0, n, k)) == 0
                )
                for row in 0..<32 {
                    for b in 0..<k / 32 {
                        let found = Self.block(b, row: row, k: k, CK_INT8, packed)
                        let values = row < n ? Array(w[row * k + 32 * b..<row * k + 32 * b + 32]) : [Float](repeating: 0, count: 32)
                        let scale = (values.map(\.magnitude).max() ?? 0) / 127, inverse = scale == 0 ? 0 : 1 / scale
                        #expect(found.scale == Self.half(Self.halfBits(scale)))
                        #expect(found.q == values.map { Int32(($0 * inverse).rounded(.toNearestOrAwayFromZero)) })
                    }
                }
            }
        }

        @Test func int4TakesTheBestOfNineteenScales() {
            let (n, k) = (32, 64)
            var random = Random(11)
            let w = random.floats(n * k).map { $0 * $0 * $0 }
            var first: [UInt8]?
            underEverySet { _ in
                var packed = [UInt8](repeating: 0xAA, count: ck_quantized_bytes(CK_INT4, n, k))
                #expect(ck_quantize_rows(&packed, CK_INT4, w, CK_F32, 0, n, k) == 0)
                #expect(packed == first ?? packed)
                first = packed
            }
            var (total, plain) = (0.0, 0.0)
            for row in 0..<n {
                for b in 0..<k / 32 {
                    let found = Self.block(b, row: row, k: k, CK_INT4, first ?? [])
                    let values = w[row * k + 32 * b..<row * k + 32 * b + 32].map(Double.init)
                    func error(_ scale: Double, _ q: [Double]) -> Double {
                        zip(values, q).reduce(0) { $0 + ($1.0 - scale * $1.1) * ($1.0 - scale * $1.1) }
                    }
                    func rounded(_ scale: Double) -> [Double] { values.map { max(-8, min(7, ($0 / scale).rounded())) } }
                    let extreme = values.max { abs($0) < abs($1) } ?? 1
                    let best =
                        (-9...9).map { i -> Double in
                            let q = rounded(extreme / (-8 + 0.1 * Double(i)))
                            return error(zip(values, q).reduce(0) { $0 + $1.0 * $1.1 } / q.reduce(0) { $0 + $1 * $1 }, q)
                        }.min() ?? 0
                    let own = error(Double(found.scale), found.q.map { Double($0 - 8) })
                    #expect(own <= best * 1.001)
                    total += own
                    plain += error(extreme / -8, rounded(extreme / -8))
                }
            }
            #expect(total < 0.89 * plain)  // the search is worth half a decibel
        }

        @Test func scalesThatFP16CannotHoldAreCounted() {
            var w = [Float](repeating: 1, count: 3 * 64)
            (w[5], w[70], w[64 + 33], w[128], w[190]) = (.nan, 1e8, -.infinity, 3e38, 8e6)
            underEverySet { _ in
                for type in [CK_INT8, CK_INT4] {
                    var packed = [UInt8](repeating: 0, count: ck_quantized_bytes(type, 3, 64))
                    #expect(ck_quantize_rows(&packed, type, w, CK_F32, 0, 3, 64) == (type == CK_INT8 ? 4 : 5))  // 8e6 / 127, 8e6 / 8
                }
            }
        }

        @Test(arguments: blockTypes) func blocksOfAFileKeepTheirValues(blockType: ck_block_type) {
            let (n, k) = (21, 512), type = ck_quantized_type_of(blockType)
            var random = Random(UInt64(blockType.rawValue))
            let count = n * k / ck_block_weights(blockType), bytes = ck_block_bytes(blockType)
            var blocks = (0..<count * bytes).map { _ in UInt8.random(in: 0...255, using: &random) }
            let scaleAt = blockType == CK_Q6_K ? [208] : blockType == CK_Q4_0 || blockType == CK_Q5_0 || blockType == CK_Q8_0 ? [0] : [0, 2]
            for b in 0..<count {
                for at in scaleAt {
                    let bits = Self.halfBits(Float.random(in: -0.1...0.1, using: &random))
                    (blocks[b * bytes + at], blocks[b * bytes + at + 1]) = (UInt8(bits & 255), UInt8(bits >> 8))
                }
            }
            var values = [Float](repeating: 0, count: n * k), packed = [UInt8](repeating: 0xAA, count: ck_quantized_bytes(type, n, k))
            ck_dequantize(blockType, &values, blocks, count)
            // In two parts.
            #expect(ck_pack_blocks(&packed, blockType, blocks, 0, 16, k) == 0)
            #expect(ck_pack_blocks(&packed, blockType, Array(blocks[(16 * k / ck_block_weights(blockType) * bytes)...]), 16, n - 16, k) == 0)
            for r in 0..<n {
                let expected = Array(values[r * k..<(r + 1) * k])
                var row = [Float](repeating: 0, count: k), rounded = [UInt16](repeating: 0, count: k)
                ck_unpack_quantized_row(&row, CK_F32, packed, type, r, k)
                ck_unpack_quantized_row(&rounded, CK_BF16, packed, type, r, k)
                #expect(rounded == row.map(nearestBF16))
                if blockType != CK_Q6_K {
                    #expect(row == expected)
                    continue
                }
                // Rounded to INT8: at most half a step of max / 127, and the rounding of the scale to FP16.
                for b in 0..<k / 32 {
                    let range = 32 * b..<32 * b + 32, max = expected[range].map(\.magnitude).max() ?? 0
                    #expect(range.allSatisfy { abs(row[$0] - expected[$0]) <= max / 254 + max * 0x1p-11 })
                }
            }
        }
    }
}
