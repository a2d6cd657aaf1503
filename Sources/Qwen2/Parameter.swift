package import CKernels
import Checkpoints

/// One weight of the model under its Hugging Face name, with what training keeps beside it.
public final class Parameter {
    /// The checkpoint's name, such as `model.layers.0.mlp.up_proj.weight`.
    public let name: String
    /// `[outputs, inputs]` of a matrix, `[size]` of a bias or a norm's weight.
    public let shape: [Int]

    /// A matrix in `bfloat16`: panels of BF16, see ck_matmul.h; filled while `disk` is nil.
    private let panels: AlignedBuffer?
    /// Where a matrix still is, until it is needed in memory.
    var disk: WeightsOnDisk?
    /// A matrix in `int8` and `int4`.
    let quantized: QuantizedMatrix?
    /// The FP32 numbers the forward reads: every parameter in `float32`; otherwise the vectors, rounded to BF16.
    let values: AlignedBuffer?
    /// What a trainable parameter keeps so that the optimizer moves FP32 numbers: the low halves of a packed matrix, all of a vector in `bfloat16`.
    private let low, exact: AlignedBuffer?
    let gradientBuffer: Gradient?
    /// What an adapter adds to the products with this matrix.
    var update: LowRankUpdate?

    let type: ComputeType

    init(name: String, shape: [Int], type: ComputeType, trainable: Bool, quantized: QuantizedMatrix? = nil) {
        self.name = name
        self.type = type
        self.shape = shape
        let count = shape.reduce(1, *)
        let isPacked = type == .bfloat16 && shape.count == 2
        panels = isPacked ? AlignedBuffer(bf16: ck_packed_count(shape[0], shape[1])) : nil
        self.quantized = quantized
        values = isPacked || quantized != nil ? nil : AlignedBuffer(floats: count)
        low = trainable && isPacked ? AlignedBuffer(bf16: count) : nil
        exact = trainable && !isPacked && type != .float32 ? AlignedBuffer(floats: count) : nil
        gradientBuffer = trainable ? Gradient(count: count) : nil
    }

    /// Some rows, from a whole panel on.
    private init(partOf whole: Parameter, rows: Range<Int>) {
        let length = whole.rowLength, numbers = (from: rows.lowerBound * length, count: rows.count * length)
        (name, type, shape) = (whole.name, whole.type, [rows.count, length])
        panels = whole.packed.map {
            AlignedBuffer(partOf: $0, from: ck_packed_count(rows.lowerBound, length) * 2, byteCount: ck_packed_count(rows.count, length) * 2)
        }
        values = whole.values.map { AlignedBuffer(partOf: $0, from: numbers.from * 4, byteCount: numbers.count * 4) }
        gradientBuffer = whole.gradientBuffer.map { Gradient(partOf: $0, from: numbers.from, count: numbers.count) }
        (quantized, low, exact) = (nil, nil, nil)
    }

    /// A matrix that is not quantised in parts of `count` rows, a multiple of 16: the same numbers, and gradients that are to be written, every one.
    func parts(rows count: Int) -> [Parameter] {
        defer { _ = gradientBuffer?.whole() }
        return stride(from: 0, to: rowCount, by: count).map { Parameter(partOf: self, rows: $0..<min($0 + count, rowCount)) }
    }

    /// Elements.
    public var count: Int { shape.reduce(1, *) }

    /// The panels of a matrix in `bfloat16`, read from the disk if they have not been yet.
    var packed: AlignedBuffer? {
        disk?.load()
        return panels
    }

    /// How many bytes the forward pass reads.
    var byteCount: Int { (panels ?? quantized?.buffer ?? values)?.byteCount ?? 0 }

    /// They themselves, in memory.
    var forwardBytes: UnsafeRawBufferPointer? { (packed ?? quantized?.buffer ?? values).map { UnsafeRawBufferPointer($0.bytes) } }

    /// The form in which products read a matrix.
    enum Form: Equatable {
        case plain, packed
        case quantized(ck_quantized_type)
    }

    var form: Form { panels != nil ? .packed : quantized.map { .quantized($0.type) } ?? .plain }

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

    /// Slices of whole panels of rows, about a million elements each.
    var slices: [Range<Int>] {
        let count = max(16, (1 << 20) / rowLength / 16 * 16)
        return stride(from: 0, to: rowCount, by: count).map { $0..<min($0 + count, rowCount) }
    }

    /// Takes one of the slices from a checkpoint. Several may be taken side by side; `publishMaster` comes after the last.
    func load(_ rows: Range<Int>, from source: Checkpoint) throws(CheckpointError) {
        if let quantized { return try quantized.load(rows, from: source) }
        let isPacked = packed != nil && master == nil
        let type: ElementType = isPacked ? .bfloat16 : .float32
        try withTemporaryBuffer(byteCount: rows.count * rowLength * type.byteCount) { buffer throws(CheckpointError) in
            try source.read(name, rows: rows, as: type, into: buffer)
            guard let numbers = buffer.baseAddress else { return }
            if isPacked, let packed {
                ck_pack_rows(packed.bf16, numbers.assumingMemoryBound(to: UInt16.self), rows.lowerBound, rows.count, rowLength)
            } else {
                write(numbers.assumingMemoryBound(to: Float.self), rows: rows)
            }
        }
    }

    /// Replaces whole panels of rows by FP32 numbers, row-major, rounded where there is no master; `publishMaster` comes after the last.
    func write(_ numbers: UnsafePointer<Float>, rows: Range<Int>) {
        let count = rows.count * rowLength
        if let master {
            ck_master_write(master, numbers, rows.lowerBound, rows.count)
        } else if let packed {
            let halves = AlignedBuffer(bf16: count)
            ck_f32_to_bf16(halves.bf16, numbers, count)
            ck_pack_rows(packed.bf16, halves.bf16, rows.lowerBound, rows.count, rowLength)
        } else if let values {
            let out = values.floats + rows.lowerBound * rowLength
            if type == .float32 { out.update(from: numbers, count: count) } else { ck_round_to_bf16(out, numbers, count) }
        }
    }

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

    /// Some elements of another one.
    init(partOf whole: Gradient, from first: Int, count: Int) {
        buffer = AlignedBuffer(partOf: whole.buffer, from: first * 4, byteCount: count * 4)
        self.count = count
        isZero = whole.isZero
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
