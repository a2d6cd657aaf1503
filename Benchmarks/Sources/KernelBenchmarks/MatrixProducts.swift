import CKernels

/// The linear layers of the 0.5B as (outputs, inputs): q and o, k and v, gate and up, down, the head.
private let layers = [(896, 896), (128, 896), (4864, 896), (896, 4864), (151_936, 896)]

/// Products of the forward pass: one row as in decoding, eight and thirty-two sequences, a prompt.
func forwardProducts() -> [Kernel] {
    layers.flatMap { outputs, inputs in
        let weights = halves(ck_packed_count(outputs, inputs))
        return (outputs > 100_000 ? [1, 8, 32] : [1, 8, 32, 512]).map { rows in
            let x = halves(rows * inputs), y = floats(rows * outputs)
            return Kernel(
                name: "matmul", shape: "\(rows) x \(inputs) x \(outputs)", operations: 2 * Double(rows * inputs * outputs),
                bytes: Double(2 * outputs * inputs + 2 * rows * inputs + 4 * rows * outputs)
            ) { ck_matmul([ck_output(y: y, ldy: outputs, packed: weights, n: outputs, bias: nil)], 1, x, rows, inputs, 0) }
        }
    }
}

/// The same in FP32.
func floatProducts() -> [Kernel] {
    layers.flatMap { outputs, inputs in
        let weights = floats(outputs * inputs)
        return (outputs > 100_000 ? [1, 8] : [1, 8, 512]).map { rows in
            let x = floats(rows * inputs), y = floats(rows * outputs)
            return Kernel(
                name: "matmul_f32", shape: "\(rows) x \(inputs) x \(outputs)", operations: 2 * Double(rows * inputs * outputs),
                bytes: Double(4 * (outputs * inputs + rows * inputs + rows * outputs))
            ) { ck_matmul_f32([ck_output(y: y, ldy: outputs, packed: weights, n: outputs, bias: nil)], 1, x, rows, inputs, 0) }
        }
    }
}

/// Both products of the backward pass, of 552 rows: a prompt of 40 and 8 completions of 64.
func backwardProducts() -> [Kernel] {
    let rows = 552
    return layers.dropLast().flatMap { outputs, inputs in
        let weights = halves(ck_packed_count(outputs, inputs)), packedX = floats(ck_transposed_bytes(rows, inputs) / 4)
        ck_pack_transposed(packedX, halves(rows * inputs), rows, inputs)
        let dy = floats(rows * outputs), dx = floats(rows * inputs), dw = floats(outputs * inputs)
        let operations = 2 * Double(rows * inputs * outputs), shape = "\(rows) x \(inputs) x \(outputs)"
        return [
            Kernel(
                name: "matmul_nn", shape: shape, operations: operations,
                bytes: Double(2 * outputs * inputs + 4 * rows * (inputs + outputs))
            ) { ck_matmul_nn(dx, dy, rows, weights, outputs, inputs, 0) },
            Kernel(
                name: "matmul_tn", shape: shape, operations: operations,
                bytes: Double(4 * outputs * inputs + 2 * rows * inputs + 4 * rows * outputs)
            ) { ck_matmul_tn(dw, dy, rows, outputs, packedX, inputs, 0) },
        ]
    }
}

/// Products with weights in blocks of 32.
func quantizedProducts() -> [Kernel] {
    [(CK_INT8, "int8"), (CK_INT4, "int4")].flatMap { type, name in
        [(4864, 896), (896, 4864), (151_936, 896)].flatMap { outputs, inputs in
            let size = ck_quantized_bytes(type, outputs, inputs)
            let packed = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64), rows = floats(outputs * inputs)
            _ = ck_quantize_rows(packed, type, rows, CK_F32, 0, outputs, inputs)
            rows.deallocate()
            return (outputs > 100_000 ? [1, 8] : [1, 8, 512]).map { rows in
                let x = halves(rows * inputs), y = floats(rows * outputs)
                return Kernel(
                    name: "matmul_quantized \(name)", shape: "\(rows) x \(inputs) x \(outputs)", operations: 2 * Double(rows * inputs * outputs),
                    bytes: Double(size + 2 * rows * inputs + 4 * rows * outputs)
                ) { ck_matmul_quantized([ck_output(y: y, ldy: outputs, packed: packed, n: outputs, bias: nil)], 1, type, x, CK_BF16, rows, inputs) }
            }
        }
    }
}
