import CKernels
import COpenBLAS

/// The products of a linear layer, in every compute type. `x` is the matrix input (BF16 or FP32 by `type`), `y` and all gradients are FP32.
struct Linear {
    let type: ComputeType
    /// What the layers read, while somebody wants to know.
    let inputs = InputSquares()

    /// One of the layers that read the same input: its weights and its output, [rows][outputs], or in a backward pass the output's derivatives.
    typealias Output = (weight: Parameter, bias: Parameter?, y: UnsafeMutablePointer<Float>)

    /// y[rows][outputs] = x[rows][inputs] Wᵀ + bias for every output, and what an adapter adds.
    func forward(_ outputs: [Output], _ x: UnsafeRawPointer, rows: Int) {
        // Those of one form are one product: x is laid out once, and threads wait for one another once.
        var left = outputs[...]
        while let form = left.first?.weight.form {
            let alike = left.prefix { $0.weight.form == form }
            product(alike, x, rows: rows)
            left = left.dropFirst(alike.count)
        }
        for (weight, _, y) in outputs { weight.update?.forward(x, rows: rows, into: y, self) }
    }

    /// y[rows][outputs] = x[rows][inputs] Wᵀ + bias for outputs whose weights are of one form; with `accumulate`, plus what y holds (then without bias
    /// and not with quantised weights).
    func product(_ outputs: ArraySlice<Output>, _ x: UnsafeRawPointer, rows: Int, accumulate: Bool = false) {
        guard let weight = outputs.first?.weight else { return }
        if inputs.isCollecting { for output in outputs { inputs.add(output.weight, x, isFloat: type == .float32, rows: rows) } }
        switch weight.form {
        case .packed:
            if let disk = weight.disk, disk.takeFirstUse(of: outputs) {
                return disk.multiply(outputs, x.assumingMemoryBound(to: UInt16.self), rows: rows)
            }
            let outputs = outputs.compactMap { kernelOutput($0, $0.weight.packed) }
            ck_matmul(outputs, outputs.count, x.assumingMemoryBound(to: UInt16.self), rows, weight.rowLength, accumulate ? 1 : 0)
        case .quantized(let type):
            let outputs = outputs.compactMap { kernelOutput($0, $0.weight.quantized?.buffer) }
            ck_matmul_quantized(outputs, outputs.count, type, x, CK_BF16, rows, weight.rowLength)
        case .plain:
            let outputs = outputs.compactMap { kernelOutput($0, $0.weight.values) }
            ck_matmul_f32(outputs, outputs.count, x.assumingMemoryBound(to: Float.self), rows, weight.rowLength, accumulate ? 1 : 0)
        }
    }

    private func kernelOutput(_ output: Output, _ matrix: AlignedBuffer?) -> ck_output? {
        matrix.map {
            ck_output(y: output.y, ldy: output.weight.rowCount, packed: $0.pointer, n: output.weight.rowCount, bias: output.bias?.values?.floats)
        }
    }

    /// dx[rows][inputs] = the sum of dy W over the layers that read x, dW += dyᵀ x, dbias += the sums of dy's columns; only dx where the weights are not
    /// trained, and the gradients of an adapter.
    func backward(
        _ outputs: [Output], x: UnsafeRawPointer, rows: Int, inputs: Int, dx: UnsafeMutablePointer<Float>, scratch: GrowingBuffer
    ) {
        let isInputNeeded = outputs.contains { $0.weight.gradientBuffer != nil || $0.weight.update?.seesInput ?? false }
        let input = isInputNeeded ? self.input(x, rows: rows, width: inputs, scratch: scratch) : LayerInput(x: x, packed: nil)
        for (index, (weight, bias, dy)) in outputs.enumerated() {
            inputGradient(weight, dy, rows: rows, into: dx, accumulate: index > 0)
            weightGradient(weight, dy, input, rows: rows)
            if let bias = bias?.gradientBuffer { ck_column_sums(bias.floats, dy, rows, weight.rowCount) }
            weight.update?.backward(dy, input, rows: rows, dx: dx, self)
        }
    }

    /// A layer's input [rows][width], ready for the products that give gradients of weights.
    func input(_ x: UnsafeRawPointer, rows: Int, width: Int, scratch: GrowingBuffer) -> LayerInput {
        guard type == .bfloat16 else { return LayerInput(x: x, packed: nil) }
        let packed = scratch.raw(byteCount: ck_transposed_bytes(rows, width))
        ck_pack_transposed(packed, x.assumingMemoryBound(to: UInt16.self), rows, width)
        return LayerInput(x: x, packed: packed)
    }

    /// dx[rows][inputs] = dy W, or += with `accumulate`.
    func inputGradient(_ weight: Parameter, _ dy: UnsafeMutablePointer<Float>, rows: Int, into dx: UnsafeMutablePointer<Float>, accumulate: Bool) {
        let (n, k) = (weight.rowCount, weight.rowLength)
        if let packed = weight.packed {
            ck_matmul_nn(dx, dy, rows, packed.bf16, n, k, accumulate ? 1 : 0)
        } else if let values = weight.values {
            sgemm(false, false, rows, k, n, dy, n, values.floats, k, accumulate: accumulate, dx, k)
        }
    }

    /// dW += dyᵀ x, where W is trained.
    func weightGradient(_ weight: Parameter, _ dy: UnsafeMutablePointer<Float>, _ input: LayerInput, rows: Int) {
        guard let gradient = weight.gradientBuffer?.whole() else { return }
        let (n, k) = (weight.rowCount, weight.rowLength)
        if let packed = input.packed {
            ck_matmul_tn(gradient.floats, dy, rows, n, packed, k, gradient.accumulate ? 1 : 0)
        } else {
            let x = input.x.assumingMemoryBound(to: Float.self)
            sgemm(true, false, n, k, rows, dy, n, x, k, accumulate: gradient.accumulate, gradient.floats, k)
        }
    }

    /// c[m][n] (+)= op(a) op(b), row-major, through OpenBLAS.
    private func sgemm(
        _ transposeA: Bool, _ transposeB: Bool, _ m: Int, _ n: Int, _ k: Int, _ a: UnsafePointer<Float>, _ lda: Int, _ b: UnsafePointer<Float>,
        _ ldb: Int, accumulate: Bool, _ c: UnsafeMutablePointer<Float>, _ ldc: Int
    ) {
        OpenBLAS.suitsThisCPU
        cblas_sgemm(
            CblasRowMajor, transposeA ? CblasTrans : CblasNoTrans, transposeB ? CblasTrans : CblasNoTrans, blasint(m), blasint(n), blasint(k), 1, a,
            blasint(lda), b, blasint(ldb), accumulate ? 1 : 0, c, blasint(ldc))
    }
}

/// The input of a linear layer in a backward pass.
struct LayerInput {
    /// [rows][width] in the compute type.
    let x: UnsafeRawPointer
    /// Its transpose in `bfloat16`, packed.
    let packed: UnsafeMutableRawPointer?
}
