import CKernels
import Testing

extension Kernels {
    @Suite struct MatmulF32 {
        typealias Shape = Matmul.Shape

        /// The shapes of BF16 products, more rows than are laid out at a time, three blocks of K.
        static let shapes = Matmul.shapes + [Shape(570, 19, 21), Shape(15, 70, 1793)]

        @Test(arguments: shapes) func everyOutputIsOneChainAlongK(shape: Shape) {
            let (m, n, k) = (shape.m, shape.n, shape.k), ldy = n + 3
            var random = Random(15)
            let x = random.floats(m * k), w = random.floats(n * k), bias = random.floats(n), held = random.floats(m * ldy)
            enum Start: CaseIterable { case zero, bias, held }
            for start in Start.allCases {
                var expected = held, worst = 0.0
                for r in 0..<m {
                    for c in 0..<n {
                        let first = start == .zero ? 0 : start == .bias ? bias[c] : held[r * ldy + c]
                        var chain = first, (sum, size) = (Double(first), abs(Double(first)))
                        for i in 0..<k {
                            chain = chain.addingProduct(x[r * k + i], w[c * k + i])
                            let product = Double(x[r * k + i]) * Double(w[c * k + i])
                            (sum, size) = (sum + product, size + abs(product))
                        }
                        expected[r * ldy + c] = chain
                        worst = max(worst, abs(Double(chain) - sum) / (Double(k + 1) * 0x1p-24 * size + .leastNormalMagnitude))
                    }
                }
                #expect(worst <= 1)  // the chain is a product of matrices
                underEverySet { _ in
                    var y = held
                    multiplyF32(&y, ldy, x, m, k, w, n, bias: start == .bias ? bias : nil, accumulate: start == .held)
                    #expect(y.bits == expected.bits)  // the gaps between rows included
                }
            }
        }

        @Test func aRowsBitsDoNotDependOnItsNeighboursOrOnThreads() {
            let (m, n, k) = (127, 200, 1090)
            var random = Random(16)
            let x = random.floats(m * k, in: -3...3), w = random.floats(n * k), bias = random.floats(n)
            func product(_ rows: Range<Int>) -> [UInt32] {
                var y = [Float](repeating: 0, count: rows.count * n)
                multiplyF32(&y, n, Array(x[rows.lowerBound * k..<rows.upperBound * k]), rows.count, k, w, n, bias: bias)
                return y.bits
            }
            underEverySet { _ in
                let whole = product(0..<m)
                for threads: Int32 in [1, 2, 3] {
                    with(threads: threads) {
                        for size in [1, 2, 5, 7, 13, 61, 127] {
                            let parts = stride(from: 0, to: size == 1 ? 8 : m, by: size).flatMap { product($0..<min($0 + size, m)) }
                            #expect(parts == Array(whole.prefix(parts.count)))
                        }
                    }
                }
            }
        }

        @Test func outputsOfOneInputAreWhatEachIsAlone() {
            let k = 300, sizes = [200, 16, 1, 130]
            var random = Random(18)
            let matrices = sizes.map { random.floats($0 * k) }, bias = random.floats(200)
            for m in [1, 8, 130] {
                let x = random.floats(m * k)
                underEverySet { _ in
                    let alone = zip(sizes, matrices).map { n, w in
                        var y = [Float](repeating: 0, count: m * n)
                        multiplyF32(&y, n, x, m, k, w, n, bias: bias)
                        return y.bits
                    }
                    let together = multiply(sizes, matrices, bias: bias, rows: m) { ck_matmul_f32($0, sizes.count, x, m, k, 0) }
                    #expect(together.map(\.bits) == alone)
                }
            }
        }
    }
}
