import CKernels
import Foundation
import Testing

extension Kernels {
    @Suite struct Attention {
        /// Groups, each a shared prompt and completions behind it, as in training; by default two, then a row that sees only itself.
        struct Case {
            var d: Int, heads: Int, kvHeads: Int
            var keys: [ck_keys] = []
            var keyCount = 0
            var q: [Float], k: [Float], v: [Float], dout: [Float]

            typealias Group = (prompt: Int, completions: [Int])

            init(d: Int, heads: Int, kvHeads: Int, seed: UInt64, groups: [Group] = [(5, [3, 1]), (17, [20, 2, 5]), (1, [])]) {
                (self.d, self.heads, self.kvHeads) = (d, heads, kvHeads)
                for (prompt, completions) in groups {
                    let start = keyCount
                    for i in 0..<prompt { keys.append(ck_keys(start0: 0, n0: 0, start1: start, n1: i + 1)) }
                    keyCount += prompt
                    for count in completions {
                        for i in 0..<count { keys.append(ck_keys(start0: start, n0: prompt, start1: keyCount, n1: i + 1)) }
                        keyCount += count
                    }
                }
                var random = Random(seed)
                q = random.floats(keys.count * heads * d, in: -2...2)
                dout = random.floats(keys.count * heads * d)
                // Numbers that BF16 holds, so that both types see the same ones.
                k = random.bf16(keyCount * kvHeads * d, in: -2...2).map(value)
                v = random.bf16(keyCount * kvHeads * d).map(value)
            }

            var rows: Int { keys.count }

            static func rows(_ some: [Int], of x: [Float], width: Int) -> [Float] { some.flatMap { x[$0 * width..<($0 + 1) * width] } }

            static func indices(_ keys: ck_keys) -> [Int] { Array(keys.start0..<keys.start0 + keys.n0) + Array(keys.start1..<keys.start1 + keys.n1) }

            /// The outputs of some rows, in their order; of all when none are named.
            func forward(_ type: ck_type, rows some: [Int]? = nil) -> [Float] {
                let some = some ?? Array(0..<rows)
                let (q, keys) = (Self.rows(some, of: self.q, width: heads * d), some.map { self.keys[$0] })
                if type == CK_F32 {
                    var out = [Float](repeating: .nan, count: q.count)
                    ck_attention(&out, q, k, v, type, keys, keys.count, heads, kvHeads, d)
                    return out
                }
                var out = [UInt16](repeating: 0xFFFF, count: q.count)
                ck_attention(&out, q, k.map(nearestBF16), v.map(nearestBF16), type, keys, keys.count, heads, kvHeads, d)
                return out.map(value)
            }

            func backward(_ type: ck_type, held: [Float]) -> (dq: [Float], dk: [Float], dv: [Float]) {
                var (dq, dk, dv) = ([Float](repeating: .nan, count: q.count), held, held)
                if type == CK_F32 {
                    ck_attention_backward(&dq, &dk, &dv, dout, q, k, v, type, keys, keys.count, heads, kvHeads, d)
                } else {
                    let (k, v) = (k.map(nearestBF16), v.map(nearestBF16))
                    ck_attention_backward(&dq, &dk, &dv, dout, q, k, v, type, keys, keys.count, heads, kvHeads, d)
                }
                return (dq, dk, dv)
            }

            /// In FP64: the outputs, and the gradients of sum dout * out.
            func exact(q: [Double], k: [Double], v: [Double]) -> (out: [Double], dq: [Double], dk: [Double], dv: [Double]) {
                var out = q.map { _ in 0.0 }, dq = out, dk = k.map { _ in 0.0 }, dv = dk
                let scale = 1 / Double(d).squareRoot()
                for row in 0..<rows {
                    for head in 0..<heads {
                        let at = (row * heads + head) * d, places = Self.indices(keys[row]).map { ($0 * kvHeads + head * kvHeads / heads) * d }
                        let scores = places.map { place in (0..<d).reduce(0) { $0 + q[at + $1] * k[place + $1] } * scale }
                        let top = scores.max() ?? 0, weights = scores.map { exp($0 - top) }, total = weights.reduce(0, +)
                        let p = weights.map { $0 / total }
                        let dp = places.map { place in (0..<d).reduce(0) { $0 + Double(dout[at + $1]) * v[place + $1] } }
                        let mean = zip(p, dp).reduce(0) { $0 + $1.0 * $1.1 }
                        for (j, place) in places.enumerated() {
                            let ds = p[j] * (dp[j] - mean) * scale
                            for i in 0..<d {
                                out[at + i] += p[j] * v[place + i]
                                dq[at + i] += ds * k[place + i]
                                dk[place + i] += ds * q[at + i]
                                dv[place + i] += p[j] * Double(dout[at + i])
                            }
                        }
                    }
                }
                return (out, dq, dk, dv)
            }
        }

        static let sizes = [(2, 4, 2), (16, 2, 2), (64, 6, 2), (80, 3, 1), (96, 2, 2), (128, 4, 2), (256, 2, 1)]

        @Test(arguments: sizes) func outputsAndGradientsAgreeWithFP64(d: Int, heads: Int, kvHeads: Int) {
            let attention = Case(d: d, heads: heads, kvHeads: kvHeads, seed: 26)
            var random = Random(27)
            let held = random.floats(attention.k.count)
            let exact = attention.exact(q: attention.q.map(Double.init), k: attention.k.map(Double.init), v: attention.v.map(Double.init))
            underEverySet { _ in
                let wide = attention.forward(CK_F32)
                #expect(deviation(wide, exact.out) < 1e-6)
                // BF16 keys, values and outputs: the same sums, rounded once at the end.
                #expect(attention.forward(CK_BF16).bits == wide.map { value(nearestBF16($0)) }.bits)
                for type in [CK_F32, CK_BF16] {
                    let found = attention.backward(type, held: held)
                    #expect(deviation(found.dq, exact.dq) < 3e-6)
                    #expect(deviation(found.dk, zip(exact.dk, held).map { $0 + Double($1) }) < 3e-6)
                    #expect(deviation(found.dv, zip(exact.dv, held).map { $0 + Double($1) }) < 3e-6)
                }
            }
        }

        @Test func theFormulaInFP64IsTheDerivative() {
            let attention = Case(d: 2, heads: 4, kvHeads: 2, seed: 28)
            let (q, k, v) = (attention.q.map(Double.init), attention.k.map(Double.init), attention.v.map(Double.init))
            let exact = attention.exact(q: q, k: k, v: v)
            func loss(_ out: [Double]) -> Double { zip(out, attention.dout).reduce(0) { $0 + $1.0 * Double($1.1) } }
            for i in stride(from: 0, to: k.count, by: 23) {
                func difference(_ change: (Double) -> [Double]) -> Double { (loss(change(1e-5)) - loss(change(-1e-5))) / 2e-5 }
                func moved(_ x: [Double], _ step: Double) -> [Double] { x.enumerated().map { $0.offset == i ? $0.element + step : $0.element } }
                #expect(abs(difference { attention.exact(q: moved(q, $0), k: k, v: v).out } - exact.dq[i]) < 1e-8)
                #expect(abs(difference { attention.exact(q: q, k: moved(k, $0), v: v).out } - exact.dk[i]) < 1e-8)
                #expect(abs(difference { attention.exact(q: q, k: k, v: moved(v, $0)).out } - exact.dv[i]) < 1e-8)
            }
        }

        @Test func bitsDoNotDependOnNeighboursThreadsOrPlacesOfTheKeys() {
            let attention = Case(d: 64, heads: 4, kvHeads: 2, seed: 29), width = 4 * 64
            let held = [Float](repeating: 0, count: attention.k.count)
            // The same keys, stored as one run each: a prompt of its own for every row.
            var apart = attention
            (apart.k, apart.v, apart.keys) = ([], [], [])
            for keys in attention.keys {
                let places = Case.indices(keys), start = apart.k.count / 128
                for place in places {
                    apart.k += attention.k[place * 128..<(place + 1) * 128]
                    apart.v += attention.v[place * 128..<(place + 1) * 128]
                }
                apart.keys.append(ck_keys(start0: 0, n0: 0, start1: start, n1: places.count))
            }
            underEverySet { _ in
                for type in [CK_F32, CK_BF16] {
                    let whole = attention.forward(type), gradients = attention.backward(type, held: held)
                    #expect(apart.forward(type).bits == whole.bits)
                    for row in [0, 7, 40, attention.rows - 1] {
                        #expect(attention.forward(type, rows: [row]).bits == whole[row * width..<(row + 1) * width].bits)
                    }
                    for threads: Int32 in [1, 3] {
                        with(threads: threads) {
                            #expect(attention.forward(type).bits == whole.bits)
                            let again = attention.backward(type, held: held)
                            #expect(again.dq.bits == gradients.dq.bits && again.dk.bits == gradients.dk.bits && again.dv.bits == gradients.dv.bits)
                        }
                    }
                }
            }
        }

        /// Prompts and completions longer than a block of rows, a tile of keys and the keys that are expanded at a time; enough for several waves of
        /// the backward pass.
        @Test func manyBlocksOfRowsAgreeWithFP64AndWithEachRowAlone() {
            let heads = 7, d = 16, width = heads * d
            let attention = Case(d: d, heads: heads, kvHeads: 1, seed: 31, groups: [(150, [70, 3, 40, 1]), (33, [65])])
            let held = [Float](repeating: 0, count: attention.k.count)
            let exact = attention.exact(q: attention.q.map(Double.init), k: attention.k.map(Double.init), v: attention.v.map(Double.init))
            underEverySet { _ in
                for type in [CK_F32, CK_BF16] {
                    let whole = with(threads: 1) { attention.forward(type) }, gradients = with(threads: 1) { attention.backward(type, held: held) }
                    if type == CK_F32 { #expect(deviation(whole, exact.out) < 1e-6) }
                    #expect(deviation(gradients.dq, exact.dq) < 3e-6)
                    // Hundreds of terms each.
                    #expect(deviation(gradients.dk, exact.dk) < 1e-5)
                    #expect(deviation(gradients.dv, exact.dv) < 1e-5)
                    with(threads: 5) {
                        #expect(attention.forward(type).bits == whole.bits)
                        let again = attention.backward(type, held: held)
                        #expect(again.dq.bits == gradients.dq.bits && again.dk.bits == gradients.dk.bits && again.dv.bits == gradients.dv.bits)
                    }
                    for row in [0, 63, 64, 149, 150, 219, 263, attention.rows - 1] {
                        #expect(attention.forward(type, rows: [row]).bits == whole[row * width..<(row + 1) * width].bits)
                    }
                }
            }
        }

        /// One row of every completion, as the decoder has them: they share the prompt's keys and have their own.
        @Test func rowsOfDifferentCompletionsAreTheBitsThatTheyAreInTraining() {
            for (heads, kvHeads) in [(14, 2), (3, 3)] {
                let attention = Case(d: 64, heads: heads, kvHeads: kvHeads, seed: 32, groups: [(70, [9, 30, 1, 21]), (18, [4, 4])])
                // The last of each, a row of the other prompt's, and the first of each in another order.
                let some = [78, 108, 109, 130, 131, 152, 156, 70, 109, 79]
                underEverySet { _ in
                    for type in [CK_F32, CK_BF16] {
                        let whole = attention.forward(type)
                        for threads: Int32 in [1, 2, 7] {
                            with(threads: threads) {
                                #expect(attention.forward(type, rows: some).bits == Case.rows(some, of: whole, width: heads * 64).bits)
                            }
                        }
                    }
                }
            }
        }

        /// What lies beyond a row's keys, such as places of the cache that nothing was written to, is not read.
        @Test func keysThatARowDoesNotSeeMayBeAnything() {
            let attention = Case(d: 64, heads: 4, kvHeads: 2, seed: 33, groups: [(20, [7])])
            var unwritten = attention
            for i in 23 * 2 * 64..<attention.k.count { (unwritten.k[i], unwritten.v[i]) = (.nan, .infinity) }
            underEverySet { _ in
                for type in [CK_F32, CK_BF16] {
                    #expect(unwritten.forward(type, rows: [21, 22]).bits == attention.forward(type, rows: [21, 22]).bits)
                }
            }
        }

        /// The memory that the calls share may hold anything.
        @Test func nothingIsLeftOfAnEarlierCall() {
            let attention = Case(d: 16, heads: 4, kvHeads: 2, seed: 34), held = [Float](repeating: 0, count: attention.k.count)
            var poison = attention
            (poison.q, poison.dout) = (poison.q.map { _ in .nan }, poison.dout.map { _ in .nan })
            underEverySet { _ in
                with(threads: 1) {
                    let (whole, gradients) = (attention.forward(CK_F32), attention.backward(CK_F32, held: held))
                    for _ in 0..<4 { #expect(poison.forward(CK_F32)[0].isNaN && poison.backward(CK_F32, held: held).dk[0].isNaN) }
                    #expect(attention.forward(CK_F32).bits == whole.bits)
                    let again = attention.backward(CK_F32, held: held)
                    #expect(again.dq.bits == gradients.dq.bits && again.dk.bits == gradients.dk.bits && again.dv.bits == gradients.dv.bits)
                }
            }
        }

        @Test func scoresFarApartOverflowNothing() {
            var attention = Case(d: 16, heads: 2, kvHeads: 2, seed: 30)
            attention.q = attention.q.map { $0 * 1000 }
            let exact = attention.exact(q: attention.q.map(Double.init), k: attention.k.map(Double.init), v: attention.v.map(Double.init))
            underEverySet { _ in
                // Scores reach 10,000: FP32 holds them to 1e-3, and so are the probabilities between close ones.
                #expect(deviation(attention.forward(CK_F32), exact.out) < 5e-3)
                let gradients = attention.backward(CK_F32, held: [Float](repeating: 0, count: attention.k.count))
                #expect((gradients.dq + gradients.dk + gradients.dv).allSatisfy { $0.isFinite })
            }
        }
    }
}
