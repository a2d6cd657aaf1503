import CKernels
import Testing

extension Kernels {
    @Suite struct Candidates {
        /// Every rest of the vectors, ties, infinities and a NaN.
        @Test(arguments: [1, 2, 15, 16, 17, 63, 1000, 5000]) func largeOnesAmongMany(n: Int) {
            var random = Random(23)
            var x = random.floats(n, in: -4...4).map { ($0 * 8).rounded() / 8 }
            if n > 2 { (x[1], x[n - 1]) = (-.infinity, .nan) }
            underEverySet { _ in
                for least in [-.infinity, -1, 3.5, 100] as [Float] {
                    let found = [Int32](unsafeUninitializedCapacity: n) { $1 = ck_at_least($0.baseAddress!, x, n, least) }
                    #expect(found == x.indices.filter { x[$0] >= least }.map { Int32($0) })
                }
                for block in [1, 7, 64, 5000] {
                    let starts = Array(stride(from: 0, to: n, by: block))
                    var maxima = [Float](repeating: 0, count: starts.count)
                    ck_block_maxima(&maxima, x, n, block)
                    let expected = starts.map { x[$0..<min($0 + block, n)].reduce(x[$0]) { $1 > $0 ? $1 : $0 } }
                    #expect(maxima.bits == expected.bits)
                }
            }
        }
    }
}
