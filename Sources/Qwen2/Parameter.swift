import CKernels
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
    /// FP32 weights that the optimizer moves; in `float32` the same memory as `values`.
    let masterBuffer: AlignedBuffer?
    let gradientBuffer: AlignedBuffer?

    private let type: ComputeType

    init(name: String, shape: [Int], type: ComputeType, trainable: Bool, quantized: QuantizedMatrix? = nil) {
        self.name = name
        self.type = type
        self.shape = shape
        let count = shape.reduce(1, *)
        let isPacked = type == .bfloat16 && shape.count == 2
        packed = isPacked ? AlignedBuffer(bf16: ck_packed_count(shape[0], shape[1])) : nil
        self.quantized = quantized
        values = isPacked || quantized != nil ? nil : AlignedBuffer(floats: count)
        masterBuffer = !trainable ? nil : type == .float32 ? values : AlignedBuffer(floats: count)
        gradientBuffer = trainable ? AlignedBuffer(floats: count) : nil
    }

    /// Elements.
    public var count: Int { shape.reduce(1, *) }

    var rowCount: Int { shape[0] }

    var rowLength: Int { shape.count == 2 ? shape[1] : 1 }

    /// FP32 master weights of a trainable model, row-major; call `publishMaster` after changing them.
    public var master: UnsafeMutableBufferPointer<Float>? { masterBuffer.map { .init(start: $0.floats, count: count) } }

    /// The gradient of a trainable model, row-major FP32; the backward pass adds to it.
    public var gradient: UnsafeMutableBufferPointer<Float>? { gradientBuffer.map { .init(start: $0.floats, count: count) } }

    /// Makes the forward pass use the master weights: rounds them to BF16 where that is the compute type.
    public func publishMaster() {
        guard let masterBuffer else { return }
        if let packed {
            ck_pack_rows_f32(packed.bf16, masterBuffer.floats, 0, rowCount, rowLength)
        } else if let values, values !== masterBuffer {
            ck_round_to_bf16(values.floats, masterBuffer.floats, count)
        }
    }

    /// Takes the weights from a checkpoint, a slice of rows at a time.
    func load(from source: Checkpoint) throws(CheckpointError) {
        let slice = sliceRows
        if let quantized {
            try quantized.load(from: source, slice: slice)
            return
        }
        if let masterBuffer {
            for first in stride(from: 0, to: rowCount, by: slice) {
                let rows = first..<min(first + slice, rowCount)
                let bytes = UnsafeMutableRawBufferPointer(start: masterBuffer.floats + first * rowLength, count: rows.count * rowLength * 4)
                try source.read(name, rows: rows, as: .float32, into: bytes)
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
    private var sliceRows: Int { max(16, (1 << 20) / rowLength / 16 * 16) }

    /// Rows as FP32, from the most exact form there is.
    func read(rows: Range<Int>, into out: UnsafeMutablePointer<Float>) {
        if let exact = masterBuffer ?? values {
            out.update(from: exact.floats + rows.lowerBound * rowLength, count: rows.count * rowLength)
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
