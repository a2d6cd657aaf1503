import CKernels
import COpenBLAS

/// The products of a linear layer, in every compute type. `x` is the matrix input (BF16 or FP32 by `type`), `y` and all gradients are FP32.
struct Linear {
    let type: ComputeType

    /// y[rows][outputs] = x[rows][inputs] Wᵀ + bias.
    func forward(_ weight: Parameter, bias: Parameter? = nil, _ x: UnsafeRawPointer, rows: Int, into y: UnsafeMutablePointer<Float>) {
        let (n, k) = (weight.rowCount, weight.rowLength)
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

    /// dx[rows][inputs] (+)= dy W, dW += dyᵀ x, dbias += the sums of dy's columns.
    func backward(
        _ weight: Parameter, bias: Parameter? = nil, dy: UnsafeMutablePointer<Float>, x: UnsafeRawPointer, rows: Int,
        dx: UnsafeMutablePointer<Float>, accumulate: Bool, scratch: GrowingBuffer
    ) {
        let (n, k) = (weight.rowCount, weight.rowLength)
        guard let dW = weight.gradientBuffer?.floats else { return }
        if let packed = weight.packed {
            ck_matmul_nn(dx, dy, rows, packed.bf16, n, k, accumulate ? 1 : 0)
            let inputs = scratch.bf16(count: ck_packed_count(k, rows))
            ck_pack_transposed(inputs, x.assumingMemoryBound(to: UInt16.self), k, rows)
            ck_matmul_tn(dW, dy, rows, n, inputs, k, 1)
        } else if let values = weight.values {
            sgemm(false, false, rows, k, n, dy, n, values.floats, k, accumulate: accumulate, dx, k)
            sgemm(true, false, n, k, rows, dy, n, x.assumingMemoryBound(to: Float.self), k, accumulate: true, dW, k)
        }
        if let dbias = bias?.gradientBuffer { ck_column_sums(dbias.floats, dy, rows, n) }
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

/// Memory that grows to the largest use and is kept.
final class GrowingBuffer {
    private var buffer = AlignedBuffer(byteCount: 0)

    func raw(byteCount: Int) -> UnsafeMutableRawPointer {
        if byteCount > buffer.byteCount { buffer = AlignedBuffer(byteCount: byteCount) }
        return buffer.pointer
    }

    func bf16(count: Int) -> UnsafeMutablePointer<UInt16> { raw(byteCount: count * 2).assumingMemoryBound(to: UInt16.self) }

    func floats(count: Int) -> UnsafeMutablePointer<Float> { raw(byteCount: count * 4).assumingMemoryBound(to: Float.self) }
}
