import CKernels
import Testing

extension Kernels {
    @Suite struct Optimizer {
        /// torch.optim.AdamW, one parameter, in FP64.
        struct Reference {
            var p: Double, m = 0.0, v = 0.0

            mutating func step(_ g: Double, _ s: ck_adamw_step) {
                p *= 1 - s.learning_rate * s.weight_decay
                m += (g - m) * (1 - s.beta1)
                v = v * s.beta2 + g * g * (1 - s.beta2)
                p -= s.learning_rate / s.correction1 * m / (v.squareRoot() / s.correction2.squareRoot() + s.epsilon)
            }
        }

        @Test(arguments: [1, 15, 65_537], [0, 0.01]) func tenStepsAgreeWithTheFormulaInFP64(count: Int, decay: Double) {
            underEverySet { _ in
                var random = Random(11)
                let sizes: [Float] = [1e-6, 1e-3, 1, 100]
                var master = random.floats(count)
                let start = master
                var (m, v) = ([Float](repeating: 0, count: count), [Float](repeating: 0, count: count))
                var reference = master.map { Reference(p: Double($0)) }
                for t in 1...10 {
                    // Gradients over many orders of magnitude, some of them zero.
                    let gradient = random.floats(count).enumerated().map {
                        $0.offset % 7 == 3 ? 0 : $0.element * sizes[$0.offset % 4]
                    }
                    let (b1, b2) = (0.9, 0.999)
                    let step = ck_adamw_step(
                        learning_rate: 1e-3, beta1: b1, beta2: b2, epsilon: 1e-8, weight_decay: decay, gradient_scale: 0.5,
                        correction1: 1 - (1...t).reduce(1) { power, _ in power * b1 }, correction2: 1 - (1...t).reduce(1) { power, _ in power * b2 })
                    master.withUnsafeMutableBufferPointer {
                        ck_adamw(ck_master(values: $0.baseAddress, packed: nil, low: nil, rows: count, columns: 1), &m, &v, gradient, step)
                    }
                    for i in reference.indices { reference[i].step(Double(gradient[i]) * 0.5, step) }
                }
                // Each step may round by half a unit of a parameter below 1, and its update of 1e-3 by a few 1e-7.
                #expect(deviation(master, reference.map(\.p), scale: 1) < 10 * 0x1p-24 + 1e-8)
                // Gradients of both signs cancel: to a few roundings of the largest.
                #expect(m.indices.allSatisfy { abs(Double(m[$0]) - reference[$0].m) <= 3e-7 * Double(sizes[$0 % 4]) })
                #expect(zip(v, reference).allSatisfy { abs(Double($0) - $1.v) <= 1.5e-6 * $1.v + 1e-30 })
                #expect(zip(master, start).filter { $0 != $1 }.count > count / 2)
            }
        }

        @Test func theSumOfSquaresHasOneOrder() {
            var random = Random(12)
            let x = random.floats(200_005, in: -1000...1000), exact = x.reduce(0) { $0 + Double($1) * Double($1) }
            underEverySet { _ in
                let sums = [1, 2, 3].map { threads in with(threads: threads) { ck_sum_of_squares(x, x.count) } }
                #expect(sums.allSatisfy { $0 == sums[0] })
                #expect(abs(sums[0] - exact) < 1e-12 * exact)
                #expect(ck_sum_of_squares(x, 0) == 0)
                #expect(ck_sum_of_squares(x, 3) == x.prefix(3).reduce(0) { $0 + Double($1) * Double($1) })
                // Squares beyond FP32 are no trouble in FP64.
                #expect(ck_sum_of_squares([3e38, 1e-30], 2) == Double(Float(3e38)) * Double(Float(3e38)))
            }
        }
    }
}
