import CKernels
import Testing

extension Kernels {
    @Suite struct Convert {
        /// Every exponent, signs, subnormals, ties and the numbers around them, infinities, NaNs, then random bits.
        static let patterns: [UInt32] = {
            var random = Random(1)
            var patterns: [UInt32] = [0, 1, 0x7F80_0000, 0x7F80_0001, 0x7FC0_0000, 0x7FFF_FFFF, 0x477F_EFFF, 0x477F_F000, 0x7F7F_7FFF, 0x7F7F_8000]
            for exponent in UInt32(0)...255 {
                for fraction: UInt32 in [0, 1, 0x7FFF, 0x8000, 0x8001, 0x17FFF, 0x18000, 0x18001, 0xFFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x7F_FFFF] {
                    patterns.append(exponent << 23 | fraction)
                }
            }
            patterns += patterns.map { $0 | 0x8000_0000 }
            patterns += (0..<150_001).map { _ in UInt32.random(in: 0...UInt32.max, using: &random) }
            // The exponents where FP16 has subnormals, normal numbers and overflow.
            patterns += (0..<50_000).map { _ in UInt32.random(in: 0x3200_0000...0x4800_0000, using: &random) }
            return patterns
        }()

        @Test func everyBF16PatternWidensExactlyAndComesBack() {
            let all = Array(UInt16.min...UInt16.max)
            underEverySet { _ in
                var wide = [Float](repeating: 0, count: all.count), back = all.map { _ in UInt16(0) }
                ck_bf16_to_f32(&wide, all, all.count)
                #expect(wide.bits == all.map { UInt32($0) << 16 })
                ck_f32_to_bf16(&back, wide, all.count)
                #expect(back == all.map { value($0).isNaN ? $0 | 0x40 : $0 })
            }
        }

        @Test func everyFP16PatternWidensExactlyAndComesBack() {
            let all = Array(UInt16.min...UInt16.max)
            var wide = [Float](repeating: 0, count: all.count), back = all.map { _ in UInt16(0) }
            ck_f16_to_f32(&wide, all, all.count)
            let expected = all.map { bits -> Double in
                let exponent = Int(bits >> 10 & 31), fraction = Double(bits & 1023) / 1024, sign = bits >> 15 == 1 ? -1.0 : 1.0
                if exponent == 31 { return fraction == 0 ? sign * .infinity : .nan }
                return sign * (exponent == 0 ? fraction * 0x1p-14 : Double(sign: .plus, exponent: exponent - 15, significand: 1 + fraction))
            }
            #expect(zip(wide, expected).allSatisfy { $0.isNaN ? $1.isNaN : Double($0) == $1 && $0.sign == $1.sign })
            #expect(ck_f32_to_f16(&back, wide, all.count) == 0)
            #expect(zip(back, all).allSatisfy { back, bits in bits & 0x7FFF > 0x7C00 ? back == bits & 0x8000 | 0x7E00 : back == bits })
        }

        @Test func singlesRoundToTheNearestBF16TiesToEven() {
            let singles = Self.patterns.map(Float.init(bitPattern:)), expected = singles.map(nearestBF16)
            underEverySet { _ in
                var out = [UInt16](repeating: 0, count: singles.count), rounded = singles
                ck_f32_to_bf16(&out, singles, singles.count)
                #expect(out == expected)
                rounded.withUnsafeMutableBufferPointer { ck_round_to_bf16($0.baseAddress!, $0.baseAddress!, $0.count) }
                #expect(rounded.bits == expected.map { UInt32($0) << 16 })
            }
        }

        @Test func singlesRoundToTheNearestFP16AndOverflowIsCounted() {
            let singles = Self.patterns.map(Float.init(bitPattern:))
            var out = [UInt16](repeating: 0, count: singles.count)
            let overflowed = ck_f32_to_f16(&out, singles, singles.count)
            #expect(overflowed == singles.count { $0.isFinite && Double($0.magnitude) >= 65520 })
            // The nearest of the two around it, by distance in FP64.
            var wide = [Float](repeating: 0, count: 0x7C01)
            ck_f16_to_f32(&wide, Array(UInt16(0)...0x7C00), wide.count)
            let wrong = zip(singles, out).filter { single, half in
                if single.isNaN { return half & 0x7FFF != 0x7E00 }
                if (half >> 15 == 1) != (single.sign == .minus) || half & 0x7FFF > 0x7C00 { return true }
                if single.isInfinite { return half & 0x7FFF != 0x7C00 }
                func distance(_ bits: UInt16) -> Double { abs(Double(single.magnitude) - (bits == 0x7C00 ? 65536 : Double(wide[Int(bits)]))) }
                let bits = half & 0x7FFF, here = distance(bits)
                // Beyond 65536 infinity is right however far.
                if bits == 0x7C00 && single.magnitude >= 65536 { return false }
                let neighbours = [bits > 0 ? bits - 1 : nil, bits < 0x7C00 ? bits + 1 : nil].compactMap { $0 }
                return neighbours.contains { distance($0) < here || (distance($0) == here && bits & 1 == 1) }
            }
            #expect(wrong.isEmpty)
        }

        @Test(arguments: [0, 1, 15, 16, 17, 65535, 65537, 200_003]) func noElementBeyondTheCountIsTouched(count: Int) {
            underEverySet { _ in
                var random = Random(2)
                let singles = random.floats(count)
                var half = [UInt16](repeating: 7, count: count + 3), wide = [Float](repeating: 7, count: count + 3)
                ck_f32_to_bf16(&half, singles, count)
                ck_bf16_to_f32(&wide, half, count)
                #expect(half == singles.map(nearestBF16) + [7, 7, 7])
                #expect(wide == half.prefix(count).map(value) + [7, 7, 7])
            }
        }
    }
}
