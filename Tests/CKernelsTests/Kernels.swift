import CKernels
import Testing

/// All tests of the C core, one after the other: the instruction set and the number of threads belong to the process.
@Suite(.serialized) struct Kernels {}

/// The instruction sets of this CPU, the scalar one first.
let instructionSets: [ck_isa_level] = [CK_ISA_SCALAR, CK_ISA_AVX2, CK_ISA_AVX512, CK_ISA_AVX512VNNI, CK_ISA_AVX512BF16].filter {
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

/// ck_matmul_quantized of one matrix; x is FP32 or BF16.
func multiply<Element: BitwiseCopyable>(
    _ y: inout [Float], _ ldy: Int, _ x: [Element], _ m: Int, _ k: Int, _ packed: [UInt8], _ type: ck_quantized_type, _ n: Int, bias: [Float]? = nil
) {
    with(&y, ldy, packed, n, bias) { ck_matmul_quantized($0, 1, type, x, Element.self == Float.self ? CK_F32 : CK_BF16, m, k) }
}

/// One output of a product, for a call of its kernel.
func with<Packed: BitwiseCopyable>(
    _ y: inout [Float], _ ldy: Int, _ packed: [Packed], _ n: Int, _ bias: [Float]?, _ body: (UnsafePointer<ck_output>) -> Void
) {
    y.withUnsafeMutableBufferPointer { y in
        packed.withUnsafeBytes { packed in
            (bias ?? []).withUnsafeBufferPointer { numbers in
                guard let out = y.baseAddress, let matrix = packed.baseAddress else { return }
                var output = ck_output(y: out, ldy: ldy, packed: matrix, n: n, bias: bias == nil ? nil : numbers.baseAddress)
                body(&output)
            }
        }
    }
}

/// Products of one x with several matrices, all with the same bias, in one call of a kernel.
func together<Packed: BitwiseCopyable>(
    _ sizes: [Int], _ packed: [[Packed]], bias: [Float], rows: Int, _ kernel: ([ck_output]) -> Void
) -> [[Float]] {
    let memory = zip(sizes, packed).map { n, packed in
        let matrix = UnsafeMutableBufferPointer<Packed>.allocate(capacity: packed.count)
        _ = matrix.initialize(from: packed)
        let y = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows * n)
        y.initialize(repeating: .nan)
        return (y: y, matrix: matrix)
    }
    defer {
        for (y, matrix) in memory {
            y.deallocate()
            matrix.deallocate()
        }
    }
    bias.withUnsafeBufferPointer { bias in
        kernel(
            zip(sizes, memory).compactMap { n, memory in
                guard let y = memory.y.baseAddress, let matrix = memory.matrix.baseAddress else { return nil }
                return ck_output(y: y, ldy: n, packed: matrix, n: n, bias: bias.baseAddress)
            })
    }
    return memory.map { Array($0.y) }
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
