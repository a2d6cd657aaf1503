package import CKernels
import Checkpoints

/// One weight of the model under its Hugging Face name, with what training keeps beside it.
public final class Parameter {
    /// The checkpoint's name, such as `model.layers.0.mlp.up_proj.weight`.
    public let name: String
    /// `[outputs, inputs]` of a matrix, `[size]` of a bias or a norm's weight.
    public let shape: [Int]

    /// A matrix in `bfloat16`: panels of BF16, see ck_matmul.h.
    let packed: AlignedBuffer?
    /// A matrix in `int8` and `int4`.
    let quantized: QuantizedMatrix?
    /// The FP32 numbers the forward reads: every parameter in `float32`; otherwise the vectors, rounded to BF16.
    let values: AlignedBuffer?
    /// What a trainable parameter keeps so that the optimizer moves FP32 numbers: the low halves of a packed matrix, all of a vector in `bfloat16`.
    private let low, exact: AlignedBuffer?
    let gradientBuffer: Gradient?

    let type: ComputeType

    init(name: String, shape: [Int], type: ComputeType, trainable: Bool, quantized: QuantizedMatrix? = nil) {
        self.name = name
        self.type = type
        self.shape = shape
        let count = shape.reduce(1, *)
        let isPacked = type == .bfloat16 && shape.count == 2
        packed = isPacked ? AlignedBuffer(bf16: ck_packed_count(shape[0], shape[1])) : nil
        self.quantized = quantized
        values = isPacked || quantized != nil ? nil : AlignedBuffer(floats: count)
        low = trainable && isPacked ? AlignedBuffer(bf16: count) : nil
        exact = trainable && !isPacked && type != .float32 ? AlignedBuffer(floats: count) : nil
        gradientBuffer = trainable ? Gradient(count: count) : nil
    }

    /// Elements.
    public var count: Int { shape.reduce(1, *) }

    var rowCount: Int { shape[0] }

    var rowLength: Int { shape.count == 2 ? shape[1] : 1 }

    /// The FP32 weights of a trainable model, for an optimizer; call `publishMaster` after changing them.
    package var master: ck_master? {
        guard gradientBuffer != nil else { return nil }
        return ck_master(
            values: (exact ?? values)?.floats, packed: packed?.bf16, low: low?.bf16, rows: rowCount, columns: rowLength)
    }

    /// The gradient of a trainable model, row-major FP32; the backward pass adds to it.
    public var gradient: UnsafeMutableBufferPointer<Float>? { gradientBuffer.map { .init(start: $0.floats, count: count) } }

    /// Makes the forward pass use the master weights where it has numbers of its own: the vectors of `bfloat16`, rounded.
    package func publishMaster() {
        if let exact, let values { ck_round_to_bf16(values.floats, exact.floats, count) }
    }

    /// Takes the weights from a checkpoint, a slice of rows at a time.
    func load(from source: Checkpoint) throws(CheckpointError) {
        let slice = sliceRows
        if let quantized {
            try quantized.load(from: source, slice: slice)
            return
        }
        if let master {
            let buffer = AlignedBuffer(floats: slice * rowLength)
            for first in stride(from: 0, to: rowCount, by: slice) {
                let rows = first..<min(first + slice, rowCount)
                try source.read(name, rows: rows, as: .float32, into: .init(start: buffer.pointer, count: rows.count * rowLength * 4))
                ck_master_write(master, buffer.floats, rows.lowerBound, rows.count)
            }
            publishMaster()
            return
        }
        let type: ElementType = packed == nil ? .float32 : .bfloat16
        let buffer = AlignedBuffer(byteCount: slice * rowLength * type.byteCount)
        for first in stride(from: 0, to: rowCount, by: slice) {
            let rows = first..<min(first + slice, rowCount)
            let elements = rows.count * rowLength
            try source.read(name, rows: rows, as: type, into: .init(start: buffer.pointer, count: elements * type.byteCount))
            if let packed {
                ck_pack_rows(packed.bf16, buffer.bf16, first, rows.count, rowLength)
            } else if let values {
                (values.floats + first * rowLength).update(from: buffer.floats, count: elements)
            }
        }
        if self.type != .float32, let values { ck_round_to_bf16(values.floats, values.floats, count) }
    }

    /// Whole panels of rows, about four megabytes of them.
    var sliceRows: Int { max(16, (1 << 20) / rowLength / 16 * 16) }

    /// Rows as FP32, from the most exact form there is.
    func read(rows: Range<Int>, into out: UnsafeMutablePointer<Float>) {
        if let master {
            ck_master_read(master, out, rows.lowerBound, rows.count)
        } else if let values {
            out.update(from: values.floats + rows.lowerBound * rowLength, count: rows.count * rowLength)
        } else if let quantized {
            for (i, index) in rows.enumerated() { quantized.copyRow(index, into: out + i * rowLength) }
        } else if let packed {
            withUnsafeTemporaryAllocation(of: UInt16.self, capacity: rowLength) { row in
                guard let bits = row.baseAddress else { return }
                for (i, index) in rows.enumerated() {
                    ck_unpack_row(bits, packed.bf16, index, rowLength)
                    ck_bf16_to_f32(out + i * rowLength, bits, rowLength)
                }
            }
        }
    }
}

/// A parameter's gradient. It is zero until somebody writes, and who writes all of it stores instead of adding to zeros.
final class Gradient {
    private let buffer: AlignedBuffer
    private let count: Int
    private var isZero = true

    init(count: Int) {
        buffer = AlignedBuffer(floats: count)
        self.count = count
    }

    /// Sets it to zero, without touching the memory.
    func clear() { isZero = true }

    /// The numbers, for reading and for adding to some of them.
    var floats: UnsafeMutablePointer<Float> {
        if isZero { buffer.floats.update(repeating: 0, count: count) }
        isZero = false
        return buffer.floats
    }

    /// The memory for a product that writes every element, and whether it must add to what is there.
    func whole() -> (floats: UnsafeMutablePointer<Float>, accumulate: Bool) {
        defer { isZero = false }
        return (buffer.floats, !isZero)
    }
}
