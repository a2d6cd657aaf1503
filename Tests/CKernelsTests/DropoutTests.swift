import CKernels
import Testing

extension Kernels {
    /// Dropout goes by Philox4x32-10, written here once more.
    @Suite struct Dropout {
        private let mask = ck_dropout_mask(seed: 0x1234_5678_9ABC_DEF0, layer: 3, pass: 77, threshold: 13107, scale: 1.25)

        private func isKept(row: Int, column: Int) -> Bool {
            var c = (UInt32(column / 8), UInt32(row), mask.layer, mask.pass)
            var k = (UInt32(truncatingIfNeeded: mask.seed), UInt32(truncatingIfNeeded: mask.seed >> 32))
            for _ in 0..<10 {
                let (a, b) = (c.0.multipliedFullWidth(by: 0xD251_1F53), c.2.multipliedFullWidth(by: 0xCD9E_8D57))
                c = (b.high ^ c.1 ^ k.0, b.low, a.high ^ c.3 ^ k.1, a.low)
                k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
            }
            let word = [c.0, c.1, c.2, c.3][column % 8 / 2]
            return (column % 2 == 0 ? word & 0xFFFF : word >> 16) >= mask.threshold
        }

        @Test func everyElementHasItsOwnNumber() {
            let (rows, n) = (13, 203)
            let ids = (0..<rows).map { Int32(($0 * 7) % 40) }
            var random = Random(1)
            let x = random.floats(rows * n), before = random.floats(rows * n)
            let halves = x.map(nearestBF16)
            let kept = (0..<rows).flatMap { row in (0..<n).map { isKept(row: Int(ids[row]), column: $0) } }
            #expect(abs(Double(kept.count { $0 }) / Double(kept.count) - 0.8) < 0.02)
            underEverySet { _ in
                for threads in [Int32(1), 2] {
                    with(threads: threads) {
                        var out = [Float](repeating: 9, count: rows * n)
                        ck_dropout(&out, x, CK_F32, ids, rows, n, mask)
                        #expect(out == zip(x, kept).map { $1 ? $0 * 1.25 : 0 })
                        var rounded = [UInt16](repeating: 9, count: rows * n)
                        ck_dropout(&rounded, halves, CK_BF16, ids, rows, n, mask)
                        #expect(rounded == zip(halves, kept).map { $1 ? nearestBF16(value($0) * 1.25) : 0 })
                        var gradient = before
                        ck_dropout_backward(&gradient, x, ids, rows, n, mask)
                        // A product and a sum, or both at once where the CPU can.
                        for i in gradient.indices { #expect(abs(gradient[i] - (before[i] + (kept[i] ? x[i] * 1.25 : 0))) < 1e-6) }
                    }
                }
            }
            var plain = [Float](repeating: 9, count: rows * n)
            ck_dropout(&plain, x, CK_F32, nil, rows, n, mask)
            #expect(plain == x.indices.map { isKept(row: $0 / n, column: $0 % n) ? x[$0] * 1.25 : 0 })
        }
    }
}
