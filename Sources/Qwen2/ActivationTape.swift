import CKernels
import Checkpoints

/// What the backward pass needs of every row that was forwarded: one record a row and layer, in the order of forwarding.
///
/// The residual stream and the rotated queries are kept in FP32; everything else in the compute type, also gate_proj and up_proj, whose gradients
/// are rounded to it anyway. Memory is only promised until a row is recorded, so the capacity may be generous.
final class ActivationTape {
    /// A part of a record: `width` numbers of `type`, `offset` bytes from its start.
    struct Part {
        let offset, width: Int
        let type: ck_type
    }

    /// The residual stream before attention and before the MLP, [hidden].
    let input, middle: Part
    /// Queries and keys after rotation, values, and the heads' outputs.
    let queries, keys, values, attended: Part
    /// Queries and keys before the norms of heads, where the family has those; otherwise nothing.
    let plainQueries, plainKeys: Part
    /// gate_proj and up_proj, [intermediate].
    let gate, up: Part
    let capacity: Int
    /// Whether a layer keeps its input alone, from which the backward pass makes the rest again: gradient checkpointing.
    let recomputes: Bool
    /// Rows recorded.
    private(set) var count = 0

    fileprivate let recordBytes: Int
    private let first: Int
    private let layers: [AlignedBuffer]
    /// The residual stream after the last layer, [rows][hidden] FP32.
    private let outputs: AlignedBuffer
    private let hidden: Int
    private let memory: SpareMemory

    /// A tape of `capacity` rows of some layers, by default of all.
    init(
        _ configuration: Qwen2Configuration, _ type: ComputeType, layers range: Range<Int>? = nil, capacity: Int, recomputes: Bool = false,
        memory: SpareMemory
    ) {
        var bytes = 0
        func part(_ width: Int, _ type: ck_type) -> Part {
            defer { bytes += width * (type == CK_F32 ? 4 : 2) }
            return Part(offset: bytes, width: width, type: type)
        }
        let keyWidth = configuration.keyValueHeadCount * configuration.headSize
        let queryWidth = configuration.headCount * configuration.headSize
        hidden = configuration.hiddenSize
        input = part(hidden, CK_F32)
        let inputBytes = bytes
        middle = part(hidden, CK_F32)
        queries = part(queryWidth, CK_F32)
        keys = part(keyWidth, type.kernel)
        values = part(keyWidth, type.kernel)
        attended = part(queryWidth, type.kernel)
        plainQueries = part(configuration.family.hasHeadNorms ? queryWidth : 0, CK_F32)
        plainKeys = part(configuration.family.hasHeadNorms ? keyWidth : 0, CK_F32)
        gate = part(configuration.intermediateSize, type.kernel)
        up = part(configuration.intermediateSize, type.kernel)
        let record = ((recomputes ? inputBytes : bytes) + 63) / 64 * 64
        recordBytes = record
        self.capacity = capacity
        self.recomputes = recomputes
        let range = range ?? 0..<configuration.layerCount
        first = range.lowerBound
        layers = range.map { _ in memory.take(byteCount: capacity * record) }
        outputs = memory.take(byteCount: range.upperBound == configuration.layerCount ? capacity * hidden * 4 : 0)
        self.memory = memory
    }

    deinit { memory.give(layers + [outputs]) }

    /// Keeps one part of the next `rows` rows; `values` is [rows][width] of `type`, the part's own unless it says otherwise.
    func record(_ part: Part, layer: Int, _ values: UnsafeRawPointer, type: ck_type? = nil, rows: Int) {
        let type = type ?? part.type
        let out = layers[layer - first].pointer + count * recordBytes + part.offset
        ck_copy_rows(out, part.type, recordBytes, values, type, part.width * (type == CK_F32 ? 4 : 2), nil, rows, part.width)
    }

    /// Ends the recording of `rows` rows with the residual stream after the last layer.
    func finish(_ x: UnsafePointer<Float>, rows: Int) {
        (outputs.floats + count * hidden).update(from: x, count: rows * hidden)
        count += rows
    }

    /// One part of the rows in `order`, as [order.count][width] of the part's type, or in FP32.
    func take(_ part: Part, layer: Int, _ order: [Int32], into out: UnsafeMutableRawPointer, type: ck_type? = nil) {
        let type = type ?? part.type
        ck_copy_rows(
            out, type, part.width * (type == CK_F32 ? 4 : 2), layers[layer - first].pointer + part.offset, part.type, recordBytes, order, order.count,
            part.width)
    }

    /// The residual stream after the last layer.
    func takeOutput(_ order: [Int32], into out: UnsafeMutablePointer<Float>) {
        ck_copy_rows(out, CK_F32, hidden * 4, outputs.floats, CK_F32, hidden * 4, order, order.count, hidden)
    }
}

extension Qwen2Configuration {
    /// Bytes of activations that a token takes from its forward to its backward pass, with or without making layers again from their inputs.
    public func activationBytes(_ type: ComputeType, recomputes: Bool = false) -> Int {
        func record(_ recomputes: Bool) -> Int {
            ActivationTape(self, type, capacity: 0, recomputes: recomputes, memory: SpareMemory()).recordBytes
        }
        return record(recomputes) * layerCount + hiddenSize * 4 + (recomputes ? record(false) : 0)
    }
}
