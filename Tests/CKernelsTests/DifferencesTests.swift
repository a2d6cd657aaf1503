import CKernels
import Foundation
import Testing

@Suite struct DifferencesTests {
    private func coded<Number: FixedWidthInteger>(_ new: [Number], _ base: [Number]) -> [UInt8] {
        let size = MemoryLayout<Number>.size
        var out = [UInt8](repeating: 0xA5, count: base.count * size + 16)
        let length = new.withUnsafeBytes { new in
            base.withUnsafeBytes { base in
                ck_code_differences(&out, bytes(new), bytes(base), base.count / size, size)
            }
        }
        #expect(length < max(base.count * size, 1) && out.suffix(16) == [UInt8](repeating: 0xA5, count: 16)[...])
        return Array(out.prefix(length))
    }

    /// Nil if the parts do not fill the bytes.
    private func decoded<Number: FixedWidthInteger>(_ bytes: [UInt8], _ base: [Number]) -> [Number]? {
        var out = [Number](repeating: 0, count: base.count)
        let isWhole = out.withUnsafeMutableBytes { out in
            base.withUnsafeBytes { base in
                ck_decode_differences(
                    out.baseAddress!.assumingMemoryBound(to: UInt8.self), bytes, bytes.count, self.bytes(base),
                    base.count / MemoryLayout<Number>.size,
                    MemoryLayout<Number>.size)
            }
        }
        return isWhole == 0 ? nil : out
    }

    private func bytes(_ buffer: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> { buffer.baseAddress!.assumingMemoryBound(to: UInt8.self) }

    private func expectBack<Number: FixedWidthInteger>(_ new: [Number], _ base: [Number], _ what: Comment) {
        let code = coded(new, base)
        #expect(!code.isEmpty && decoded(code, base) == new, what)
    }

    /// One place in the order of values further, or as many as `steps`; written apart from the code under test.
    private func moved(_ x: UInt16, by steps: Int) -> UInt16 {
        let place = (x & 0x8000 != 0 ? -Int(x & 0x7FFF) - 1 : Int(x)) + steps
        return place < 0 ? 0x8000 | UInt16(-place - 1) : UInt16(place)
    }

    @Test func everyNumberComesBack() {
        let all = (0...UInt16.max).map { $0 }
        expectBack(all, all, "the same")
        expectBack(
            all.map { $0 & 0x7FFF >= 0x7F80 ? $0 : moved($0, by: $0 % 5 == 0 ? 1 : $0 % 7 == 0 ? -1 : 0) }, all, "neighbours; -0 is next to +0")
        // Few of many, so that what they take is less than the elements: any number to any other, the extremes among them.
        var generator = SystemRandomNumberGenerator()
        func few<Number: FixedWidthInteger & UnsignedInteger>(_ type: Number.Type) {
            let base = (0..<200_001).map { _ in Number.random(in: 0...Number.max, using: &generator) }
            var new = base
            for index in stride(from: 0, to: base.count, by: 97) { new[index] = .random(in: 0...Number.max, using: &generator) }
            let top = Number.max / 2 + 1
            var (from, to) = (base, new)
            for (index, pair) in [(0, top), (top, 0), (.max, top - 1), (top - 1, .max), (0, .max), (.max, 0)].enumerated() {
                (from[index * 40_000], to[index * 40_000]) = pair
            }
            expectBack(to, from, "\(type)")
        }
        few(UInt8.self)
        few(UInt16.self)
        few(UInt32.self)
    }

    @Test func whatIsNotLessIsNotTaken() {
        var generator = SystemRandomNumberGenerator()
        for count in [0, 1, 3, 1000, 70_000, 262_144] {
            let (new, base) = (
                (0..<count).map { _ in UInt16.random(in: 0...UInt16.max, using: &generator) }, [UInt16](repeating: 0x3F80, count: count)
            )
            var out = [UInt8](repeating: 0xA5, count: count * 2 + 16)
            let length = new.withUnsafeBytes { new in
                base.withUnsafeBytes { base in count == 0 ? 0 : ck_code_differences(&out, bytes(new), bytes(base), count, 2) }
            }
            #expect(length == 0 && out.suffix(16) == [UInt8](repeating: 0xA5, count: 16)[...], "\(count)")
        }
    }

    /// What any code takes that knows the exponents and no more: the entropy of |d| given them, and the signs.
    @Test(arguments: [1e-6, 4e-6, 3e-5] as [Float]) func closeToTheEntropy(_ step: Float) {
        var state: UInt64 = 1
        func uniform() -> Float {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return (Float(state >> 40) + 0.5) / 16_777_216
        }
        func normal() -> Float { (-2 * log(uniform())).squareRoot() * cos(2 * Float.pi * uniform()) }
        func rounded(_ x: Float) -> UInt16 { UInt16(truncatingIfNeeded: (x.bitPattern &+ 0x7FFF &+ (x.bitPattern >> 16 & 1)) >> 16) }
        let base = (0..<262_144).map { _ in rounded(0.02 * normal()) }
        let new = base.map { rounded(Float(bitPattern: UInt32($0) << 16) + step * normal()) }
        func place(_ x: UInt16) -> Int { x & 0x8000 != 0 ? -Int(x & 0x7FFF) - 1 : Int(x) }
        var counts: [UInt16: [Int: Double]] = [:]
        var bits = 0.0
        for (new, base) in zip(new, base) {
            let distance = abs(place(new) - place(base))
            counts[base >> 7 & 255, default: [:]][distance, default: 0] += 1
            if distance > 0 { bits += 1 }
        }
        for seen in counts.values {
            let all = seen.values.reduce(0, +)
            for count in seen.values { bits -= count * log2(count / all) }
        }
        let code = coded(new, base)
        print("differences at \(step): \(code.count * 8) bits, entropy \(Int(bits)), \(Double(code.count) / Double(2 * base.count)) of the elements")
        #expect(Double(code.count * 8) < bits * 1.04 + 4096)
        #expect(decoded(code, base) == new)
    }

    /// The layout of files that are there: an answer of the decoder in Python that scripts/oracles/formats_parity.py has.
    @Test func knownAnswer() {
        let base = (0..<40 as Range<UInt16>).map { 0x3C00 &+ $0 &* 0x0155 &* ($0 % 3) | ($0 % 2) << 15 }
        let new = base.enumerated().map { moved($1, by: [0, 0, 1, 0, -2, 9, 0, 0, -300, 0][$0 % 10]) }
        #expect(
            coded(new, base).map { String($0, radix: 16) }.joined(separator: " ")
                == "17 0 0 0 da 8 d4 e7 2b e0 a6 59 96 c7 d9 60 b8 79 87 77 af 53 c7 25 df 97 0")
    }

    @Test func damageIsBoundedAndIncompleteTold() {
        var generator = SystemRandomNumberGenerator()
        let base = (0..<140_000).map { _ in UInt16.random(in: 0...UInt16.max, using: &generator) }
        let code = coded(base.enumerated().map { $0 % 50 == 0 ? $1 ^ 1 : $1 }, base)
        for length in [0, 1, 3, 4, 5, code.count / 2, code.count - 1] { #expect(decoded(Array(code.prefix(length)), base) == nil, "\(length)") }
        #expect(decoded(code + [0], base) == nil)
        for place in stride(from: 4, to: code.count, by: 2003) {
            var damaged = code
            damaged[place] ^= 0x41
            _ = decoded(damaged, base)
        }
    }
}
