import CKernels
import Testing

extension Kernels {
    @Suite struct Matmul {
        struct Shape: CustomTestStringConvertible {
            var m, n, k: Int
            var testDescription: String { "m \(m), n \(n), k \(k)" }

            init(_ m: Int, _ n: Int, _ k: Int) { (self.m, self.n, self.k) = (m, n, k) }
        }

        /// One row, every tile height, several chunks of rows, one output, ragged panels, odd k, k across its blocks, more rows than are laid out at a
        /// time in FP32, and three of its blocks.
        static let shapes = [
            Shape(1, 1, 2), Shape(1, 16, 64), Shape(1, 199, 896), Shape(2, 130, 66), Shape(3, 15, 2100), Shape(4, 64, 1024), Shape(5, 17, 1026),
            Shape(6, 33, 30), Shape(7, 65, 128), Shape(13, 129, 16), Shape(14, 20, 515), Shape(59, 31, 48), Shape(61, 48, 515), Shape(121, 70, 33),
            Shape(0, 16, 16), Shape(2, 20, 0), Shape(3, 40, 9), Shape(1, 33, 17), Shape(570, 19, 21), Shape(15, 70, 1793),
        ]

        static func pack(_ w: [UInt16], n: Int, k: Int) -> [UInt16] {
            var packed = [UInt16](repeating: 0xFFFF, count: ck_packed_count(n, k))
            ck_pack_rows(&packed, w, 0, n, k)
            return packed
        }

        /// The chain of fused multiply-adds that the headers promise, in Swift's own arithmetic. vdpbf16ps takes the odd column of a pair first; that it
        /// rounds products and sums apart shows nowhere, because the product of two BF16 numbers is exact in FP32.
        static func chain(from start: Float, _ count: Int, oddFirst: Bool, _ term: (Int) -> (Float, Float)) -> Float {
            var sum = start
            for i in 0..<count {
                let (a, b) = term(oddFirst && (i ^ 1) < count ? i ^ 1 : i)
                sum = sum.addingProduct(a, b)
            }
            return sum
        }

        @Test(arguments: [1, 15, 16, 17, 40, 300], [1, 2, 7, 16, 33]) func packingPutsElementsWhereTheHeaderSays(n: Int, k: Int) {
            var random = Random(3)
            let w = random.bf16(n * k), even = (k + 1) / 2 * 2
            var expected = [UInt16](repeating: 0, count: (n + 15) / 16 * 16 * even)
            for r in 0..<n {
                for c in 0..<k { expected[((r / 16) * (even / 2) + c / 2) * 32 + (r % 16) * 2 + c % 2] = w[r * k + c] }
            }
            #expect(ck_packed_count(n, k) == expected.count)
            #expect(Self.pack(w, n: n, k: k) == expected)
            underEverySet { _ in
                // In two parts.
                var parts = expected.map { _ in UInt16(0xFFFF) }
                let first = min(16, n)
                ck_pack_rows(&parts, w, 0, first, k)
                if n > 16 { Array(w.dropFirst(16 * k)).withUnsafeBufferPointer { ck_pack_rows(&parts, $0.baseAddress!, 16, n - 16, k) } }
                #expect(parts == expected)
            }
            for r in [0, n / 2, n - 1] {
                var row = [UInt16](repeating: 0, count: k)
                ck_unpack_row(&row, expected, r, k)
                #expect(row == Array(w[r * k..<(r + 1) * k]))
            }
        }

        @Test(arguments: Matrix.Element.allCases, shapes) func everyOutputIsOneChainAlongK(element: Matrix.Element, shape: Shape) {
            let (m, n, k) = (shape.m, shape.n, shape.k), ldy = n + 3
            var random = Random(5)
            let x = random.numbers(m * k, element), matrix = Matrix(element, n: n, k: k, &random), w = matrix.values
            let bias = random.floats(n), held = random.floats(m * ldy)
            enum Start: CaseIterable { case zero, bias, held }
            for start in Start.allCases {
                func chains(oddFirst: Bool) -> [UInt32] {
                    var expected = held, worst = 0.0
                    for r in 0..<m {
                        for c in 0..<n {
                            let first = start == .zero ? 0 : start == .bias ? bias[c] : held[r * ldy + c]
                            let chain = Self.chain(from: first, k, oddFirst: oddFirst) { (x[r * k + $0], w[c * k + $0]) }
                            expected[r * ldy + c] = chain
                            var (sum, size) = (Double(first), abs(Double(first)))
                            for i in 0..<k {
                                let product = Double(x[r * k + i]) * Double(w[c * k + i])
                                (sum, size) = (sum + product, size + abs(product))
                            }
                            worst = max(worst, abs(Double(chain) - sum) / (Double(k + 1) * 0x1p-24 * size + .leastNormalMagnitude))
                        }
                    }
                    #expect(worst <= 1)  // in FP64: the chain is a product of matrices
                    return expected.bits
                }
                var expected: [Bool: [UInt32]] = [:]
                underEverySet { level in
                    var y = held
                    matrix.multiply(&y, ldy, x, rows: m, bias: start == .bias ? bias : nil, accumulate: start == .held)
                    let oddFirst = element == .bf16 && level == CK_ISA_AVX512BF16
                    let bits = expected[oddFirst] ?? chains(oddFirst: oddFirst)
                    expected[oddFirst] = bits
                    #expect(y.bits == bits)  // the gaps between rows included
                }
            }
        }

        @Test(arguments: Matrix.Element.allCases) func aRowsBitsDoNotDependOnItsNeighboursOnThreadsOrOnTheStride(_ element: Matrix.Element) {
            let (m, n, k) = (127, 200, 1090)
            var random = Random(6)
            let x = random.numbers(m * k, element, in: -3...3), matrix = Matrix(element, n: n, k: k, &random), bias = random.floats(n)
            func product(_ rows: Range<Int>, ldy: Int) -> [UInt32] {
                var y = [Float](repeating: 0, count: rows.count * ldy)
                matrix.multiply(&y, ldy, Array(x[rows.lowerBound * k..<rows.upperBound * k]), rows: rows.count, bias: bias)
                return rows.indices.flatMap { row in y[(row - rows.lowerBound) * ldy..<(row - rows.lowerBound) * ldy + n].bits }
            }
            underEverySet { _ in
                let whole = product(0..<m, ldy: n)
                for threads: Int32 in [1, 2, 3] {
                    with(threads: threads) {
                        #expect(product(0..<m, ldy: n + Int(threads)) == whole)
                        for size in [1, 2, 3, 4, 5, 6, 7, 11, 13, 61] {
                            let parts = stride(from: 0, to: size == 1 ? 8 : m, by: size).flatMap { product($0..<min($0 + size, m), ldy: n + 5) }
                            #expect(parts == Array(whole.prefix(parts.count)))
                        }
                    }
                }
            }
        }

        @Test(arguments: Matrix.Element.allCases) func outputsOfOneInputAreWhatEachIsAlone(_ element: Matrix.Element) {
            let k = 300
            var random = Random(8)
            let matrices = [200, 16, 1, 130].map { Matrix(element, n: $0, k: k, &random) }, bias = random.floats(200)
            for m in [1, 3, 8, 61, 130] {
                let x = random.numbers(m * k, element)
                underEverySet { _ in
                    let alone = matrices.map { $0.multiply(x, rows: m, bias: bias).bits }
                    #expect(Matrix.multiply(matrices, x, rows: m, bias: bias).map(\.bits) == alone)
                }
            }
        }

        /// dy of the two backward products: numbers that BF16 has to round, and what it makes of them.
        static func gradient(_ count: Int, _ random: inout Random) -> (dy: [Float], rounded: [Float]) {
            let dy = random.floats(count)
            return (dy, dy.map { value(nearestBF16($0)) })
        }

        static let backwardShapes = [
            Shape(1, 1, 1), Shape(1, 16, 16), Shape(2, 199, 64), Shape(5, 515, 33), Shape(7, 2500, 50), Shape(61, 33, 130), Shape(13, 512, 15),
            Shape(3, 2, 200), Shape(121, 18, 66), Shape(2, 0, 20), Shape(130, 300, 17), Shape(77, 61, 48),
        ]

        @Test(arguments: backwardShapes) func theProductWithTheMatrixItselfIsOneChainAlongN(shape: Shape) {
            let (m, n, k) = (shape.m, shape.n, shape.k), even = n + n % 2
            var random = Random(8)
            let w = random.bf16(n * k), packed = Self.pack(w, n: n, k: k), held = random.floats(m * k), ws = w.map(value)
            let (dy, rounded) = Self.gradient(m * n, &random)
            for accumulate in [false, true] {
                underEverySet { level in
                    var dx = held + [7]
                    ck_matmul_nn(&dx, dy, m, packed, n, k, accumulate ? 1 : 0)
                    var expected = held + [7], exact: [Double] = []
                    for r in 0..<m {
                        for c in 0..<k {
                            let start = accumulate ? held[r * k + c] : 0
                            expected[r * k + c] = Self.chain(from: start, even, oddFirst: level == CK_ISA_AVX512BF16) {
                                $0 < n ? (rounded[r * n + $0], ws[$0 * k + c]) : (0, 0)
                            }
                            exact.append((0..<n).reduce(Double(start)) { $0 + Double(rounded[r * n + $1]) * Double(ws[$1 * k + c]) })
                        }
                    }
                    #expect(dx.bits == expected.bits)
                    #expect(deviation(Array(dx.dropLast()), exact) < 1e-5 * Double(n + 1).squareRoot())
                }
            }
        }

        @Test(arguments: backwardShapes) func theProductOfTheTransposeIsOneChainAlongTheRows(shape: Shape) {
            let (rows, n, k) = (shape.m, shape.n, shape.k), even = rows + rows % 2
            var random = Random(9)
            let x = random.bf16(rows * k), xs = x.map(value), held = random.floats(n * k)
            let (dy, rounded) = Self.gradient(rows * n, &random)
            for accumulate in [false, true] {
                underEverySet { level in
                    var packed = [UInt8](repeating: 0xFF, count: ck_transposed_bytes(rows, k))
                    ck_pack_transposed(&packed, x, rows, k)
                    // On whole lines of the caches, as the model's gradients lie: k of 16, 48 or 64 columns is streamed.
                    let lines = UnsafeMutableRawBufferPointer.allocate(byteCount: (held.count + 1) * 4, alignment: 64).bindMemory(to: Float.self)
                    defer { lines.deallocate() }
                    _ = lines.initialize(from: held + [7])
                    ck_matmul_tn(lines.baseAddress!, dy, rows, n, packed, k, accumulate ? 1 : 0)
                    let dw = Array(lines)
                    var expected = held + [7]
                    for r in 0..<n {
                        for c in 0..<k {
                            expected[r * k + c] = Self.chain(from: accumulate ? held[r * k + c] : 0, even, oddFirst: level == CK_ISA_AVX512BF16) {
                                $0 < rows ? (rounded[$0 * n + r], xs[$0 * k + c]) : (0, 0)
                            }
                        }
                    }
                    #expect(dw.bits == expected.bits)
                }
            }
        }

        @Test func backwardProductsRoundAsTheConversionDoes() {
            // Ties, infinities and NaNs on the way into a product with the unit matrix.
            let dy: [Float] = [1.00390625, 1.01171875, -.infinity, 3.4e38, 0x1p-130, -0.0, .nan, 0.1]
            var unit = [UInt16](repeating: 0, count: 64)
            for i in 0..<8 { unit[i * 9] = 0x3F80 }
            let packed = Self.pack(unit, n: 8, k: 8)
            underEverySet { level in
                for i in dy.indices where !dy[i].isSubnormal || level != CK_ISA_AVX512BF16 {
                    var row = [Float](repeating: 0, count: 8), dx = row
                    row[i] = dy[i]
                    ck_matmul_nn(&dx, row, 1, packed, 8, 8, 0)
                    let rounded = value(nearestBF16(dy[i]))
                    #expect(dx[i] == rounded || (dx[i].isNaN && (rounded.isNaN || rounded.isInfinite)), "\(dy[i])")
                }
            }
        }
    }
}
