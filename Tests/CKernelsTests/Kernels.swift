import CKernels
import Testing

/// All tests of the C core, one after the other: the instruction set and the number of threads belong to the process.
@Suite(.serialized) struct Kernels {}

/// The instruction sets of this CPU, the scalar one first.
let instructionSets: [ck_isa_level] = [CK_ISA_SCALAR, CK_ISA_AVX2, CK_ISA_AVX512, CK_ISA_AVX512BF16].filter {
    let before = ck_isa()
    defer { _ = ck_set_isa(before) }
    return ck_set_isa($0) == 1
}

/// Runs `body` under every instruction set of this CPU.
func underEverySet(_ body: (ck_isa_level) throws -> Void) rethrows {
    let before = ck_isa()
    defer { _ = ck_set_isa(before) }
    for level in instructionSets {
        #expect(ck_set_isa(level) == 1)
        try body(level)
    }
}

/// Runs `body` with `count` threads.
func with<Result>(threads count: Int32, _ body: () throws -> Result) rethrows -> Result {
    let before = ck_threads()
    defer { ck_set_threads(before) }
    ck_set_threads(count)
    return try body()
}

typealias Random = SeededGenerator

extension SeededGenerator {
    init(_ seed: UInt64) { self.init(state: seed) }

    mutating func floats(_ count: Int, in range: ClosedRange<Float> = -1...1) -> [Float] {
        (0..<count).map { _ in Float.random(in: range, using: &self) }
    }

    mutating func bf16(_ count: Int, in range: ClosedRange<Float> = -1...1) -> [UInt16] {
        floats(count, in: range).map(nearestBF16)
    }
}

/// The value of a BF16 pattern.
func value(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

/// To the nearest BF16 of the two around a number, to the even one from the middle: by distance, in FP64.
func nearestBF16(_ x: Float) -> UInt16 {
    if x.isNaN { return UInt16(x.bitPattern >> 16) | 0x40 }
    if x.isInfinite { return UInt16(x.bitPattern >> 16) }
    let low = UInt16(x.bitPattern >> 16)
    let magnitude = Double(x.magnitude), below = Double(value(low & 0x7FFF))
    let next = low & 0x7FFF &+ 1
    let above = next == 0x7F80 ? 0x1p128 : Double(value(next))
    let up = above - magnitude < magnitude - below || (above - magnitude == magnitude - below && low & 1 == 1)
    return up ? low &+ 1 : low
}

extension Sequence<Float> {
    /// Bit patterns, so that `==` tells 0 from -0 and a NaN equals itself.
    var bits: [UInt32] { map(\.bitPattern) }
}

/// The largest |a - b| / (scale + |b|); infinite where one is NaN or the counts differ.
func deviation(_ found: [Float], _ expected: [Double], scale: Double = 1) -> Double {
    guard found.count == expected.count else { return .infinity }
    return zip(found, expected).reduce(0.0) { worst, pair in
        let error = abs(Double(pair.0) - pair.1) / (scale + abs(pair.1))
        return error.isNaN ? .infinity : max(worst, error)
    }
}
