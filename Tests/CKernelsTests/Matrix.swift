import CKernels

/// A matrix W of [n][k] numbers as ck_matmul (BF16, packed) or ck_matmul_f32 takes it.
struct Matrix {
    enum Element: CaseIterable { case bf16, f32 }

    let element: Element
    let n, k: Int
    /// Row by row, and as ck_matmul packs them.
    let values: [Float]
    let packed: [UInt16]

    init(_ element: Element, n: Int, k: Int, _ random: inout Random) {
        (self.element, self.n, self.k) = (element, n, k)
        values = random.numbers(n * k, element)
        packed = element == .bf16 ? Kernels.Matmul.pack(values.map(nearestBF16), n: n, k: k) : []
    }

    /// y = x Wᵀ for some rows of x, [rows][k] numbers that the matrix's type holds.
    func multiply(_ y: inout [Float], _ ldy: Int, _ x: [Float], rows: Int, bias: [Float]? = nil, accumulate: Bool = false) {
        let accumulate: Int32 = accumulate ? 1 : 0
        switch element {
        case .bf16: with(&y, ldy, packed, n, bias) { ck_matmul($0, 1, x.map(nearestBF16), rows, k, accumulate) }
        case .f32: with(&y, ldy, values, n, bias) { ck_matmul_f32($0, 1, x, rows, k, accumulate) }
        }
    }

    func multiply(_ x: [Float], rows: Int, bias: [Float]? = nil) -> [Float] {
        var y = [Float](repeating: 0, count: rows * n)
        multiply(&y, n, x, rows: rows, bias: bias)
        return y
    }

    /// The products of one x with several matrices of one type and width, in one call.
    static func multiply(_ matrices: [Matrix], _ x: [Float], rows: Int, bias: [Float]) -> [[Float]] {
        guard let first = matrices.first else { return [] }
        let (sizes, k) = (matrices.map(\.n), first.k)
        switch first.element {
        case .bf16:
            let bits = x.map(nearestBF16)
            return together(sizes, matrices.map(\.packed), bias: bias, rows: rows) { ck_matmul($0, sizes.count, bits, rows, k, 0) }
        case .f32: return together(sizes, matrices.map(\.values), bias: bias, rows: rows) { ck_matmul_f32($0, sizes.count, x, rows, k, 0) }
        }
    }
}

extension SeededGenerator {
    /// Numbers that a type holds exactly.
    mutating func numbers(_ count: Int, _ element: Matrix.Element, in range: ClosedRange<Float> = -1...1) -> [Float] {
        element == .bf16 ? bf16(count, in: range).map(value) : floats(count, in: range)
    }
}
