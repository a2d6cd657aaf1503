import CKernels
import Foundation
import Testing

extension Kernels {
    @Suite struct Softmax {
        struct Row {
            var lse: Double, logprob: [Double], entropy: Double

            init(_ logits: ArraySlice<Float>, inverse: Float) {
                let z = logits.map { Double($0) * Double(inverse) }, top = z.max() ?? 0
                let lse = top + log(z.reduce(0) { $0 + exp($1 - top) })
                let logprob = z.map { $0 - lse }
                self.lse = lse
                self.logprob = logprob
                entropy = -logprob.reduce(0) { $0 + ($1 == -.infinity ? 0 : exp($1) * $1) }
            }
        }

        @Test(arguments: [1, 2, 15, 199, 1024, 1025, 5000], [1, 0.7, 2] as [Float]) func logSoftmax(n: Int, inverse: Float) {
            let rows = 5
            var random = Random(19)
            for size: Float in [0.01, 8, 60] {
                let logits = random.floats(rows * n, in: -size...size), targets = (0..<rows).map { Int32($0 * 31 % n) }
                let expected = (0..<rows).map { Row(logits[$0 * n..<($0 + 1) * n], inverse: inverse) }
                let logprobs = zip(expected, targets).map { $0.logprob[Int($1)] }
                underEverySet { _ in
                    var (lse, logprob, entropy) = (
                        [Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows)
                    )
                    ck_log_softmax(logits, rows, n, inverse, targets, &lse, &logprob, &entropy)
                    #expect(deviation(lse, expected.map(\.lse), scale: 3) < 2e-7)
                    #expect(deviation(logprob, logprobs, scale: Double(size * inverse) + 1) < 3e-7)
                    #expect(deviation(entropy, expected.map(\.entropy), scale: 3) < 1e-6)
                    // The same bits without the entropy, and row by row.
                    var (alone, aloneLSE) = ([Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows))
                    for r in 0..<rows {
                        ck_log_softmax(Array(logits[r * n..<(r + 1) * n]), 1, n, inverse, [targets[r]], &aloneLSE[r], &alone[r], nil)
                    }
                    #expect(alone.bits == logprob.bits && aloneLSE.bits == lse.bits)
                }
            }
        }

        @Test func maskedLogitsHaveNoProbabilityAndMakeNoNaN() {
            var random = Random(20)
            var logits = random.floats(2000)
            for i in logits.indices where i % 3 == 0 { logits[i] = -.infinity }
            logits[1] = -1000
            let expected = Row(logits[...], inverse: 1)
            underEverySet { _ in
                var (lse, logprob, entropy): (Float, Float, Float) = (0, 0, 0)
                ck_log_softmax(logits, 1, logits.count, 1, [2], &lse, &logprob, &entropy)
                #expect(deviation([lse, logprob, entropy], [expected.lse, expected.logprob[2], expected.entropy]) < 1e-6)
                var gradient = logits
                inPlace(&gradient) { ck_log_softmax_backward($0, [UnsafePointer($0)], 1, 0, logits.count, 1, [2], &lse, &entropy, [1], [0.5]) }
                #expect(gradient.allSatisfy { $0.isFinite } && gradient[0] == 0 && gradient[1] == 0)
                gradient = logits
                inPlace(&gradient) { ck_log_softmax_backward($0, [UnsafePointer($0)], 1, 0, logits.count, 1, [2], &lse, &entropy, [1], nil) }
                #expect(gradient.allSatisfy { $0.isFinite } && gradient[0] == 0)
            }
        }

        /// Lets a kernel replace its input.
        private func inPlace(_ row: inout [Float], _ body: (UnsafeMutablePointer<Float>) -> Void) {
            row.withUnsafeMutableBufferPointer { if let start = $0.baseAddress { body(start) } }
        }

        @Test(arguments: [2, 199, 5000], [1, 0.7] as [Float]) func theGradientIsTheDerivative(n: Int, inverse: Float) {
            let rows = 4
            var random = Random(21)
            let logits = random.floats(rows * n, in: -4...4), targets = (0..<rows).map { Int32($0 * 57 % n) }
            let (dlogprob, dentropy) = (random.floats(rows), random.floats(rows))
            func places(_ first: UnsafeMutablePointer<Float>, _ length: Int) -> [UnsafePointer<Float>] {
                (0..<rows).map { UnsafePointer(first + $0 * length) }
            }
            func loss(_ row: Row, _ r: Int) -> Double { Double(dlogprob[r]) * row.logprob[Int(targets[r])] + Double(dentropy[r]) * row.entropy }
            var (expected, plain): ([Double], [Double]) = ([], [])
            for r in 0..<rows {
                let slice = logits[r * n..<(r + 1) * n], row = Row(slice, inverse: inverse)
                for j in 0..<n {
                    let p = exp(row.logprob[j]), hit = j == Int(targets[r]) ? 1.0 : 0
                    plain.append(Double(inverse) * Double(dlogprob[r]) * (hit - p))
                    expected.append(plain[r * n + j] - Double(inverse) * Double(dentropy[r]) * p * (row.logprob[j] + row.entropy))
                }
                // That the formula is the derivative, by central differences: steps that FP32 holds exactly.
                for j in [0, n - 1, Int(targets[r])] {
                    var (up, down) = (slice, slice)
                    up[r * n + j] += 0x1p-10
                    down[r * n + j] -= 0x1p-10
                    let step = Double(up[r * n + j]) - Double(down[r * n + j])
                    let difference = (loss(Row(up, inverse: inverse), r) - loss(Row(down, inverse: inverse), r)) / step
                    #expect(abs(difference - expected[r * n + j]) < 1e-6)
                }
            }
            underEverySet { _ in
                var (lse, logprob, entropy) = (
                    [Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows)
                )
                ck_log_softmax(logits, rows, n, inverse, targets, &lse, &logprob, &entropy)
                var (both, one) = (logits, logits)
                func backward(_ z: inout [Float], _ dentropy: [Float]?) {
                    inPlace(&z) {
                        ck_log_softmax_backward($0, places($0, n), rows, 0, n, inverse, targets, lse, entropy, dlogprob, dentropy)
                    }
                }
                backward(&both, dentropy)
                backward(&one, nil)
                #expect(deviation(both, expected, scale: 0.1) < 1e-5)
                #expect(deviation(one, plain, scale: 0.1) < 1e-5)
                // Some columns, from rows that are longer and lie in another order: the same bits.
                let (first, width) = (n / 3, n - n / 3 - n / 5), length = n + 2
                var scattered = [Float](repeating: .nan, count: rows * length), part = [Float](repeating: .nan, count: rows * width + 1)
                for r in 0..<rows {
                    scattered.replaceSubrange((rows - 1 - r) * length..<(rows - 1 - r) * length + n, with: logits[r * n..<(r + 1) * n])
                }
                inPlace(&scattered) {
                    let from: [UnsafePointer] = places($0 + first, length).reversed()
                    ck_log_softmax_backward(&part, from, rows, first, width, inverse, targets, lse, entropy, dlogprob, dentropy)
                }
                #expect(part.dropLast().bits == (0..<rows).flatMap { both[$0 * n + first..<$0 * n + first + width] }.bits)
                #expect(part[rows * width].isNaN)
            }
        }

        /// Seen through the gradient: with lse, entropy and its gradient 0 and that of the log-probability 1, it is -ck_exp(x) but at the target.
        @Test func theExponentialIsWithinTwoUnitsInTheLastPlace() {
            let x = stride(from: Float(-87), through: 88, by: 0.00173).map { $0 } + [-0.34657359, 0.34657359, -1e-7, 1e-7, 0, 88, -87]
            let below: [Float] = [-87.00001, -88, -100, -1e30, -.infinity], above: [Float] = [88.00001, 89, 1e30]
            let count = x.count
            underEverySet { _ in
                func exponentials(_ x: [Float]) -> [Float] {
                    var row = x + [0]  // the target, which gets dlogprob added
                    inPlace(&row) { ck_log_softmax_backward($0, [UnsafePointer($0)], 1, 0, x.count + 1, 1, [Int32(x.count)], [0], [0], [1], nil) }
                    return row.dropLast().map { -$0 }
                }
                let found = exponentials(x)
                let units = (0..<count).map { abs(Double(found[$0]) - exp(Double(x[$0]))) / Double(found[$0].ulp) }
                #expect(units.allSatisfy { $0 <= 2 })
                #expect(found[x.firstIndex(of: 0) ?? 0] == 1)
                #expect(exponentials(below).allSatisfy { $0 == 0 })
                #expect(exponentials(above).allSatisfy { $0.isFinite && $0 > 1e38 })
            }
        }

        static func sample(_ logits: [Float], _ uniforms: [Double], inverse: Float = 1) -> [Int] {
            let n = logits.count
            var out: Int32 = -1
            var (lse, logprob, entropy): (Float, Float, Float) = (0, 0, 0)
            return uniforms.map {
                ck_sample(&out, logits, 1, n, inverse, [$0], &lse, &logprob, &entropy)
                let told = [lse, logprob, entropy]
                ck_log_softmax(logits, 1, n, inverse, [out], &lse, &logprob, &entropy)
                #expect(told == [lse, logprob, entropy])
                return Int(out)
            }
        }

        @Test(arguments: [1, 2, 199, 1024, 1025, 5000]) func aDrawIsTheFirstTokenWhoseCumulativeProbabilityExceedsTheNumber(n: Int) {
            var random = Random(22)
            let logits = random.floats(n, in: -6...6), row = Row(logits[...], inverse: 0.8)
            let cumulative = row.logprob.reduce(into: [0.0]) { $0.append($0[$0.count - 1] + exp($1)) }
            let uniforms = (0..<400).map { _ in Double.random(in: 0..<1, using: &random) } + [0, 1 - 0x1p-53, 0.5]
            underEverySet { _ in
                for (u, token) in zip(uniforms, Self.sample(logits, uniforms, inverse: 0.8)) {
                    // Right unless the number is within rounding of a border.
                    #expect(cumulative[token] <= u + 1e-6 && u - 1e-6 < cumulative[token + 1])
                }
            }
        }

        @Test func frequenciesAreTheProbabilities() {
            var random = Random(23)
            let n = 40, draws = 20_000
            var logits = random.floats(n, in: -2...2)
            logits[7] = -.infinity
            let row = Row(logits[...], inverse: 1), uniforms = (0..<draws).map { _ in Double.random(in: 0..<1, using: &random) }
            let rows = Array(repeating: logits, count: draws).flatMap { $0 }
            underEverySet { _ in
                var out = [Int32](repeating: -1, count: draws)
                var lse = [Float](repeating: 0, count: draws), logprob = lse
                ck_sample(&out, rows, draws, n, 1, uniforms, &lse, &logprob, nil)
                let counts = out.reduce(into: [Int](repeating: 0, count: n)) { $0[Int($1)] += 1 }
                let chiSquare = (0..<n).filter { $0 != 7 }.reduce(0.0) { sum, i in
                    let expected = exp(row.logprob[i]) * Double(draws)
                    return sum + (Double(counts[i]) - expected) * (Double(counts[i]) - expected) / expected
                }
                #expect(chiSquare < 80)  // 38 degrees of freedom: exceeded once in 10,000 times
                #expect(counts[7] == 0)
            }
        }

        @Test func anImpossibleTokenIsNeverDrawn() {
            // Runs of impossible tokens around the borders of the blocks of 1024, at both ends; numbers at and around every border.
            let n = 4100
            var random = Random(24)
            var logits = random.floats(n, in: -3...3)
            for range in [0..<5, 1000..<1030, 2040..<2049, 3072..<4096, 4097..<4100] { for i in range { logits[i] = i % 2 == 0 ? -.infinity : -500 } }
            let row = Row(logits[...], inverse: 1)
            var cumulative = 0.0
            var uniforms = [0, .leastNonzeroMagnitude, 1 - 0x1p-53, 1 - 1e-9, 1 - 1e-7, 1 - 1e-6]
            for i in 0..<n {
                cumulative += exp(row.logprob[i])
                guard [999, 1023, 1030, 2039, 2047, 2049, 3071, 3072, 4096].contains(i) else { continue }
                uniforms += (-40...40).map { min(max(cumulative + Double($0) * 2e-8, 0), 1 - 0x1p-53) }
            }
            underEverySet { _ in #expect(Self.sample(logits, uniforms).allSatisfy { logits[$0] > -100 }) }
        }

        @Test func numbersNearOneDoNotFallOnTokensThatAreAllButImpossible() {
            // Two thousand tokens of probability e^-80 or so at the end: all of them together have 1e-31.
            let logits = [Float](repeating: 20, count: 3000) + [Float](repeating: -55, count: 2000)
            underEverySet { _ in #expect(Self.sample(logits, [1 - 0x1p-52, 1 - 1e-12, 1 - 1e-8, 0.99999]).allSatisfy { $0 < 3000 }) }
        }

        @Test(arguments: [1, 2, 15, 16, 17, 199, 5000]) func argmaxIsTheFirstOfTheLargest(n: Int) {
            var random = Random(25)
            underEverySet { _ in
                for _ in 0..<20 {
                    let rows = 3, logits = (0..<rows * n).map { _ in Float(Int.random(in: -9...9, using: &random)) }
                    var out = [Int32](repeating: -1, count: rows)
                    ck_argmax(&out, logits, rows, n)
                    for r in 0..<rows {
                        let row = Array(logits[r * n..<(r + 1) * n])
                        #expect(row.firstIndex(of: row.max() ?? 0) == Int(out[r]))
                    }
                }
                var out: Int32 = -1
                ck_argmax(&out, [.nan, -.infinity, 3, .nan] as [Float], 1, 4)
                #expect((0..<4).contains(out))
            }
        }
    }
}
