import CKernels
import COpenBLAS

/// The products of a linear layer, in every compute type. `x` is the matrix input (BF16 or FP32 by `type`), `y` and all gradients are FP32.
struct Linear {
    let type: ComputeType
    /// What the layers read, while somebody wants to know.
    let inputs = InputSquares()

    /// y[rows][outputs] = x[rows][inputs] Wᵀ + bias.
    func forward(_ weight: Parameter, bias: Parameter? = nil, _ x: UnsafeRawPointer, rows: Int, into y: UnsafeMutablePointer<Float>) {
        let (n, k) = (weight.rowCount, weight.rowLength)
        if inputs.isCollecting { inputs.add(weight, x, isFloat: type == .float32, rows: rows) }
        if let packed = weight.packed {
            ck_matmul(y, n, x.assumingMemoryBound(to: UInt16.self), rows, k, packed.bf16, n, bias?.values?.floats, 0)
        } else if let quantized = weight.quantized {
            quantized.multiply(x, rows: rows, bias: bias?.values?.floats, into: y)
        } else if let values = weight.values {
            if let bias = bias?.values { for row in 0..<rows { (y + row * n).update(from: bias.floats, count: n) } }
            sgemm(
                false, true, rows, n, k, x.assumingMemoryBound(to: Float.self), k, values.floats, k, accumulate: bias != nil, y, n)
        }
    }

    /// A layer's part of a backward pass: its weights and the derivatives of its output, [rows][outputs].
    typealias Output = (weight: Parameter, bias: Parameter?, dy: UnsafeMutablePointer<Float>)

    /// dx[rows][inputs] = the sum of dy W over the layers that read x, dW += dyᵀ x, dbias += the sums of dy's columns.
    func backward(
        _ outputs: [Output], x: UnsafeRawPointer, rows: Int, inputs: Int, dx: UnsafeMutablePointer<Float>, scratch: GrowingBuffer
    ) {
        let packedX = type == .bfloat16 ? scratch.bf16(count: ck_packed_count(inputs, rows)) : nil
        if let packedX { ck_pack_transposed(packedX, x.assumingMemoryBound(to: UInt16.self), inputs, rows) }
        for (index, (weight, bias, dy)) in outputs.enumerated() {
            let n = weight.rowCount
            guard let gradient = weight.gradientBuffer?.whole() else { continue }
            if let packed = weight.packed, let packedX {
                ck_matmul_nn(dx, dy, rows, packed.bf16, n, inputs, index > 0 ? 1 : 0)
                ck_matmul_tn(gradient.floats, dy, rows, n, packedX, inputs, gradient.accumulate ? 1 : 0)
            } else if let values = weight.values {
                sgemm(false, false, rows, inputs, n, dy, n, values.floats, inputs, accumulate: index > 0, dx, inputs)
                let x = x.assumingMemoryBound(to: Float.self)
                sgemm(true, false, n, inputs, rows, dy, n, x, inputs, accumulate: gradient.accumulate, gradient.floats, inputs)
            }
            if let bias = bias?.gradientBuffer { ck_column_sums(bias.floats, dy, rows, n) }
        }
    }

    /// c[m][n] (+)= op(a) op(b), row-major, through OpenBLAS.
    private func sgemm(
        _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>,
        _ ldb: Int, accumulate: Bool, _ c: UnsafeMutablePointer<Float>, _ ldc: Int
    ) {
        cblas_sgemm(
            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, blasint(m), blasint(n), blasint(k), 1, a,
            blasint(lda), b, blasint(ldb), accumulate ? 1 : 0, c, blasint(ldc))
    }
}
