import CKernels
import Testing

extension Kernels {
    @Suite struct Master {
        /// A matrix as its packed BF16 form and the low halves.
        final class Split {
            var packed: [UInt16], low: [UInt16]
            let rows: Int, columns: Int

            init(_ rows: Int, _ columns: Int) {
                (self.rows, self.columns) = (rows, columns)
                packed = .init(repeating: 0xFFFF, count: ck_packed_count(rows, columns))
                low = .init(repeating: 0xFFFF, count: rows * columns)
            }

            func with(_ body: (ck_master) -> Void) {
                packed.withUnsafeMutableBufferPointer { packed in
                    low.withUnsafeMutableBufferPointer { low in
                        body(ck_master(values: nil, packed: packed.baseAddress, low: low.baseAddress, rows: rows, columns: columns))
                    }
                }
            }

            func write(_ values: [Float]) {
                let (rows, columns) = (rows, columns)
                with { master in
                    // In two parts where there are two panels.
                    let first = min(16, rows)
                    ck_master_write(master, values, 0, first)
                    if rows > 16 {
                        values.withUnsafeBufferPointer { ck_master_write(master, $0.baseAddress! + 16 * columns, 16, rows - 16) }
                    }
                }
            }

            func read(_ range: Range<Int>) -> [Float] {
                var out = [Float](repeating: .nan, count: range.count * columns)
                with { ck_master_read($0, &out, range.lowerBound, range.count) }
                return out
            }
        }

        /// Ties of both kinds, zeros, subnormals, the largest numbers, infinities, NaN; then random bits.
        static func values(_ count: Int) -> [Float] {
            var random = Random(21)
            let chosen: [UInt32] = [
                0x3F80_8000, 0x3F81_8000, 0xBF80_8000, 0xBF81_8000, 0x3F80_7FFF, 0x3F80_8001, 0x3F81_7FFF, 0x3F81_8001, 0, 0x8000_0000, 1,
                0x8000_8000,
                0x0001_8000, 0x7F7F_FFFF, 0xFF7F_8000, 0x7F80_0000, 0xFF80_0000,
            ]
            let bits = chosen + (0..<max(0, count - chosen.count)).map { _ in UInt32.random(in: 0...UInt32.max, using: &random) }
            return bits.prefix(count).map { Float(bitPattern: $0) }.map { $0.isNaN ? 1.5 : $0 }
        }

        /// What the halves can hold: a tie that rounds up is kept as its successor.
        static func held(_ x: Float) -> Float {
            x.bitPattern & 0x1_FFFF == 0x1_8000 ? Float(bitPattern: x.bitPattern + 1) : x
        }

        @Test(arguments: [1, 15, 16, 33, 70], [1, 2, 17, 64, 300]) func aMatrixComesBackAsItWas(rows: Int, columns: Int) {
            let values = Self.values(rows * columns)
            underEverySet { _ in
                let split = Split(rows, columns)
                split.write(values)
                var packed = [UInt16](repeating: 0, count: split.packed.count)
                ck_pack_rows(&packed, values.map(nearestBF16), 0, rows, columns)
                #expect(split.packed == packed)
                let expected = values.map { Self.held($0).bitPattern }
                for range in [0..<rows, rows / 2..<rows, 0..<1, rows - 1..<rows] {
                    #expect(split.read(range).map(\.bitPattern) == Array(expected[range.lowerBound * columns..<range.upperBound * columns]))
                }
            }
        }

        @Test func whatIsNotANumberStaysSo() {
            let split = Split(1, 4)
            split.write([.nan, -.nan, Float(bitPattern: 0x7F80_0001), Float(bitPattern: 0xFF80_FFFF)])
            let read = split.read(0..<1)
            #expect(read.allSatisfy { $0.isNaN })
        }

        @Test(arguments: [(5, 7), (40, 33), (300, 64)]) func adamWMovesHalvesAsItMovesFP32(rows: Int, columns: Int) {
            underEverySet { _ in
                for threads: Int32 in [1, 2] {
                    var random = Random(22)
                    let count = rows * columns
                    var values = random.floats(count).map(Self.held)
                    let split = Split(rows, columns)
                    split.write(values)
                    var (m, v) = ([Float](repeating: 0, count: count), [Float](repeating: 0, count: count)), (m2, v2) = (m, v)
                    with(threads: threads) {
                        for t in 1...3 {
                            let gradient = random.floats(count)
                            let step = ck_adamw_step(
                                learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01, gradient_scale: 0.5,
                                correction1: t == 1 ? 0.1 : 0.2, correction2: t == 1 ? 0.001 : 0.002)
                            values.withUnsafeMutableBufferPointer {
                                ck_adamw(
                                    ck_master(values: $0.baseAddress, packed: nil, low: nil, rows: rows, columns: columns), &m, &v, gradient, step)
                            }
                            values = values.map(Self.held)
                            split.with { ck_adamw($0, &m2, &v2, gradient, step) }
                        }
                    }
                    #expect(split.read(0..<rows).map(\.bitPattern) == values.map(\.bitPattern))
                    #expect(m == m2 && v == v2)
                    var packed = split.packed
                    ck_pack_rows(&packed, values.map(nearestBF16), 0, rows, columns)
                    #expect(split.packed == packed)
                }
            }
        }
    }
}
