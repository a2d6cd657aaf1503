import CKernels
import Checkpoints

/// A matrix of 8-bit or 4-bit weights in blocks of 32 columns, packed for `ck_matmul_quantized`.
struct QuantizedMatrix {
    let type: ck_quantized_type
    let buffer: AlignedBuffer
    private let tensor: TensorInfo
    /// The type of the checkpoint's blocks, where they are taken as they are; otherwise its numbers are quantised.
    private let blockType: ck_block_type?

    /// Memory for a tensor's weights in at most 8 or 4 bits. A checkpoint's own blocks are kept, whatever their width below that, so that nothing is
    /// rounded twice: all but Q6_K (whose scales serve 16 columns) give exactly their weights.
    init(_ tensor: TensorInfo, bits: Int) {
        self.tensor = tensor
        let stored = tensor.blockType.map(ck_block_type.init(rawValue:))
        if let stored, bits == 8 || Self.isFourBits(ck_quantized_type_of(stored)) {
            blockType = stored
            type = ck_quantized_type_of(stored)
        } else {
            blockType = nil
            type = bits == 8 ? CK_INT8 : CK_INT4
        }
        buffer = AlignedBuffer(byteCount: ck_quantized_bytes(type, tensor.rowCount, tensor.rowLength))
    }

    private var rowCount: Int { tensor.rowCount }

    private var rowLength: Int { tensor.rowLength }

    private static func isFourBits(_ type: ck_quantized_type) -> Bool { type == CK_INT4 || type == CK_INT4_MIN }

    /// Takes rows from the checkpoint, whole panels of them.
    func load(_ rows: Range<Int>, from checkpoint: Checkpoint) throws(CheckpointError) {
        // BF16 stays as it is, everything else is exact in FP32.
        let numbers: ElementType = tensor.type == .bfloat16 ? .bfloat16 : .float32
        let rowBytes = blockType.map { rowLength / ck_block_weights($0) * ck_block_bytes($0) } ?? rowLength * numbers.byteCount
        let refused = try withTemporaryBuffer(byteCount: rows.count * rowBytes) { bytes throws(CheckpointError) in
            if blockType != nil {
                try checkpoint.readBlocks(tensor.name, rows: rows, into: bytes)
            } else {
                try checkpoint.read(tensor.name, rows: rows, as: numbers, into: bytes)
            }
            guard let start = bytes.baseAddress else { return 0 }
            if let blockType {
                let blocks = start.assumingMemoryBound(to: UInt8.self)
                return ck_pack_blocks(buffer.pointer, blockType, blocks, rows.lowerBound, rows.count, rowLength)
            }
            let kernel = numbers == .bfloat16 ? CK_BF16 : CK_F32
            return ck_quantize_rows(buffer.pointer, type, start, kernel, rows.lowerBound, rows.count, rowLength)
        }
        guard refused == 0 else {
            throw CheckpointError(
                path: checkpoint.path, tensor: tensor.name,
                message: "\(refused) blocks of rows \(rows) have weights that are infinite, not a number or too large for FP16 scales: use bfloat16 "
                    + "or float32")
        }
    }

    /// One row as FP32.
    func copyRow(_ row: Int, into out: UnsafeMutablePointer<Float>) {
        ck_unpack_quantized_row(out, CK_F32, buffer.pointer, type, row, rowLength)
    }
}
