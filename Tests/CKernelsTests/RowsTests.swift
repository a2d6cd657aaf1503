import CKernels
import Foundation
import Testing

extension Kernels {
    @Suite struct Rows {
        static let shapes: [(rows: Int, n: Int)] = [(1, 1), (1, 16), (3, 17), (9, 64), (70, 130), (2, 896)]

        @Test(arguments: [0, 1, 17, 16_385]) func addAdds(count: Int) {
            var random = Random(13)
            let x = random.floats(count), delta = random.floats(count)
            underEverySet { _ in
                var sum = x + [7]
                ck_add(&sum, delta, count)
                #expect(sum == zip(x, delta).map { $0 + $1 } + [7])
            }
        }

        /// x / sqrt(mean(x²) + eps) * weight in FP64.
        static func rmsnorm(_ x: [Double], _ weight: [Double], rows: Int, eps: Double) -> [Double] {
            let n = weight.count
            return (0..<rows).flatMap { r -> [Double] in
                let row = x[r * n..<(r + 1) * n], scale = 1 / (row.reduce(0) { $0 + $1 * $1 } / Double(n) + eps).squareRoot()
                return zip(row, weight).map { $0 * scale * $1 }
            }
        }

        @Test(arguments: shapes) func rmsnorm(rows: Int, n: Int) {
            var random = Random(14)
            for size: Float in [1, 1e-4, 1e4] {
                let x = random.floats(rows * n, in: -size...size), weight = random.floats(n)
                let expected = Self.rmsnorm(x.map(Double.init), weight.map(Double.init), rows: rows, eps: 1e-6)
                underEverySet { _ in
                    var wide = [Float](repeating: 0, count: rows * n), half = [UInt16](repeating: 0, count: rows * n)
                    ck_rmsnorm(&wide, CK_F32, x, weight, 1e-6, rows, n)
                    ck_rmsnorm(&half, CK_BF16, x, weight, 1e-6, rows, n)
                    #expect(deviation(wide, expected) < 1e-6)
                    #expect(half == wide.map(nearestBF16))
                    // A row's bits are its own.
                    var alone = [Float](repeating: 0, count: n)
                    ck_rmsnorm(&alone, CK_F32, Array(x[((rows - 1) * n)...]), weight, 1e-6, 1, n)
                    #expect(alone.bits == wide.suffix(n).bits)
                }
            }
        }

        @Test(arguments: shapes) func rmsnormBackwardIsTheDerivative(rows: Int, n: Int) {
            var random = Random(15)
            let x = random.floats(rows * n), weight = random.floats(n), dy = random.floats(rows * n), heldX = random.floats(rows * n),
                heldW = random.floats(n)
            let (xd, wd) = (x.map(Double.init), weight.map(Double.init))
            var expectedX = heldX.map(Double.init), expectedW = heldW.map(Double.init)
            for r in 0..<rows {
                let at = r * n, mean = (0..<n).reduce(0) { $0 + xd[at + $1] * xd[at + $1] } / Double(n), s = 1 / (mean + 1e-6).squareRoot()
                let along = (0..<n).reduce(0) { $0 + Double(dy[at + $1]) * wd[$1] * xd[at + $1] } * s * s * s / Double(n)
                for i in 0..<n {
                    expectedX[at + i] += Double(dy[at + i]) * wd[i] * s - along * xd[at + i]
                    expectedW[i] += Double(dy[at + i]) * xd[at + i] * s
                }
            }
            // That these formulas are the derivative, by central differences in FP64.
            func loss(_ x: [Double], _ w: [Double]) -> Double {
                zip(Self.rmsnorm(x, w, rows: rows, eps: 1e-6), dy).reduce(0) { $0 + $1.0 * Double($1.1) }
            }
            for i in [0, n / 2, n - 1] where abs(xd[i]) > 1e-2 {
                var (up, down, wUp, wDown) = (xd, xd, wd, wd)
                (up[i], down[i], wUp[i], wDown[i]) = (up[i] + 1e-5, down[i] - 1e-5, wUp[i] + 1e-5, wDown[i] - 1e-5)
                #expect(abs((loss(up, wd) - loss(down, wd)) / 2e-5 - (expectedX[i] - Double(heldX[i]))) < 1e-6)
                #expect(abs((loss(xd, wUp) - loss(xd, wDown)) / 2e-5 - (expectedW[i] - Double(heldW[i]))) < 1e-6)
            }
            underEverySet { _ in
                var (dx, dweight) = (heldX, heldW)
                ck_rmsnorm_backward(&dx, &dweight, dy, x, weight, 1e-6, rows, n)
                #expect(deviation(dx, expectedX) < 3e-6)
                #expect(deviation(dweight, expectedW) < 1e-5)
            }
        }

        @Test(arguments: [2, 16, 64, 80]) func ropeRotatesHalvesAndTurnsBack(d: Int) {
            let (rows, heads, half) = (11, 3, d / 2)
            var random = Random(16)
            let positions = (0..<rows).map { Int32($0 * 7 % 13) }
            let angles = (0..<13).flatMap { p in (0..<half).map { Double(p) * pow(10000, -2 * Double($0) / Double(d)) } }
            let (cosine, sine) = (angles.map { Float(cos($0)) }, angles.map { Float(sin($0)) })
            let x = random.floats(rows * heads * d)
            var expected = x.map(Double.init)
            for r in 0..<rows {
                for h in 0..<heads {
                    for i in 0..<half {
                        let low = (r * heads + h) * d + i, angle = angles[Int(positions[r]) * half + i],
                            (a, b) = (Double(x[low]), Double(x[low + half]))
                        (expected[low], expected[low + half]) = (a * cos(angle) - b * sin(angle), b * cos(angle) + a * sin(angle))
                    }
                }
            }
            underEverySet { _ in
                var turned = x
                ck_rope(&turned, positions, cosine, sine, rows, heads, d, 1)
                #expect(deviation(turned, expected) < 3e-7)
                ck_rope(&turned, positions, cosine, sine, rows, heads, d, -1)
                #expect(deviation(turned, x.map(Double.init)) < 5e-7)
            }
        }

        @Test func siluAndItsGradientFromEndToEnd() {
            var random = Random(17)
            let gate = [-200, -104, -90, -88, -87, -20, -1e-8, 0, 1e-8, 20, 88, 90, 200].map(Float.init) + random.floats(16_400, in: -10...10)
            let count = gate.count, up = random.floats(count, in: -2...2), dout = random.floats(count)
            func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
            let values = zip(gate, up).map { Double($0) * sigmoid(Double($0)) * Double($1) }
            let dup = zip(gate, dout).map { Double($0) * sigmoid(Double($0)) * Double($1) }
            let dgate = (0..<count).map { i -> Double in
                let g = Double(gate[i]), s = sigmoid(g)
                return Double(dout[i]) * Double(up[i]) * s * (1 + g * (1 - s))
            }
            underEverySet { _ in
                var wide = [Float](repeating: 0, count: count), half = [UInt16](repeating: 0, count: count)
                ck_silu_mul(&wide, CK_F32, gate, up, count)
                ck_silu_mul(&half, CK_BF16, gate, up, count)
                #expect(deviation(wide, values, scale: 1e-3) < 1e-6)
                #expect(half == wide.map(nearestBF16))
                var (a, b) = (gate, up)
                ck_silu_mul_backward(&a, &b, dout, count)
                #expect(deviation(a, dgate) < 1e-6)
                #expect(deviation(b, dup) < 1e-6)
            }
        }

        @Test(arguments: shapes) func sumsOverRowsGoInTheOrderOfTheRows(rows: Int, n: Int) {
            var random = Random(18)
            let x = random.floats(rows * n), held = random.floats(n), table = random.floats(5 * n), ids = (0..<rows).map { Int32($0 * 3 % 5) }
            var columns = held, scattered = table
            for r in 0..<rows {
                for i in 0..<n {
                    columns[i] += x[r * n + i]
                    scattered[Int(ids[r]) * n + i] += x[r * n + i]
                }
            }
            underEverySet { _ in
                for threads: Int32 in [1, 3] {
                    with(threads: threads) {
                        var (sums, rowsOfTable) = (held, table)
                        ck_column_sums(&sums, x, rows, n)
                        ck_scatter_add(&rowsOfTable, ids, x, rows, n)
                        #expect(sums.bits == columns.bits && rowsOfTable.bits == scattered.bits)
                    }
                }
            }
        }
    }
}
