import CKernels

/// What one pass of a layer over some rows computes, and, for training, keeps for the backward pass.
final class LayerActivations {
    /// The residual stream before attention and before the MLP, [rows][hidden] FP32. Training only.
    let input = GrowingBuffer(), middle = GrowingBuffer()
    /// Queries and keys after rotation, values, all FP32.
    let q = GrowingBuffer(), k = GrowingBuffer(), v = GrowingBuffer()
    /// Keys and values of the rows as the attention reads them, in the compute type. Training only; generation has its cache.
    let keys = GrowingBuffer(), values = GrowingBuffer()
    /// The heads' outputs, a matrix input.
    let attended = GrowingBuffer()
    /// gate_proj and up_proj, [rows][intermediate] FP32.
    let gate = GrowingBuffer(), up = GrowingBuffer()
}

/// Memory that the passes reuse.
final class Workspace {
    let layer = LayerActivations()
    let residual = GrowingBuffer(), normed = GrowingBuffer(), delta = GrowingBuffer(), activated = GrowingBuffer()
    let logits = GrowingBuffer(), hidden = GrowingBuffer(), saved = GrowingBuffer()
    /// A linear layer's input, packed for the product that gives its weight's gradient.
    let packedInput = GrowingBuffer()
}

/// The rows of one pass: tokens with their positions, the keys that each may see, and where its own key and value go.
struct DecoderRows {
    var tokens: [Int32] = []
    var positions: [Int32] = []
    /// Indices into the key and value store.
    var keys: [ck_keys] = []
    /// Consecutive rows whose keys go to consecutive places of the store.
    var places: [(row: Int, place: Int, count: Int)] = []

    var count: Int { tokens.count }
}

/// Where a layer's keys and values lie: [places][keyValueHeads * headSize] in the compute type.
struct KeyValueStore {
    let keys, values: UnsafeMutableRawPointer
}

extension Qwen2Model {
    var keyWidth: Int { configuration.keyValueHeadCount * configuration.headSize }

    var queryWidth: Int { configuration.headCount * configuration.headSize }

    /// The residual stream of the rows' tokens, [rows][hidden] FP32.
    func embed(_ tokens: [Int32], into x: UnsafeMutablePointer<Float>) {
        let hidden = configuration.hiddenSize
        for (row, token) in tokens.enumerated() {
            if let packed = embedding.packed {
                withUnsafeTemporaryAllocation(of: UInt16.self, capacity: hidden) { bits in
                    guard let bits = bits.baseAddress else { return }
                    ck_unpack_row(bits, packed.bf16, Int(token), hidden)
                    ck_bf16_to_f32(x + row * hidden, bits, hidden)
                }
            } else if let values = embedding.values {
                (x + row * hidden).update(from: values.floats + Int(token) * hidden, count: hidden)
            }
        }
    }

    /// RMSNorm of the residual stream, as a matrix input.
    func normalize(_ x: UnsafePointer<Float>, by weight: Parameter, rows: Int, into out: UnsafeMutableRawPointer) {
        guard let values = weight.values else { return }
        ck_rmsnorm(out, computeType.kernel, x, values.floats, configuration.normEpsilon, rows, configuration.hiddenSize)
    }

    /// One decoder layer: x += attention(norm(x)), then x += mlp(norm(x)).
    func forward(
        _ layer: DecoderLayer, _ rows: DecoderRows, x: UnsafeMutablePointer<Float>, store: KeyValueStore, activations a: LayerActivations, keep: Bool
    ) {
        let (count, hidden, intermediate) = (rows.count, configuration.hiddenSize, configuration.intermediateSize)
        let normed = workspace.normed.raw(byteCount: count * hidden * computeType.byteCount)
        let delta = workspace.delta.floats(count: count * hidden)

        if keep { a.input.floats(count: count * hidden).update(from: x, count: count * hidden) }
        normalize(x, by: layer.inputLayernorm, rows: count, into: normed)
        let q = a.q.floats(count: count * queryWidth)
        let k = a.k.floats(count: count * keyWidth)
        let v = a.v.floats(count: count * keyWidth)
        linear.forward(layer.qProj, bias: layer.qBias, normed, rows: count, into: q)
        linear.forward(layer.kProj, bias: layer.kBias, normed, rows: count, into: k)
        linear.forward(layer.vProj, bias: layer.vBias, normed, rows: count, into: v)
        rotate(q, heads: configuration.headCount, rows, direction: 1)
        rotate(k, heads: configuration.keyValueHeadCount, rows, direction: 1)
        for run in rows.places {
            put(k + run.row * keyWidth, run.count * keyWidth, into: store.keys, at: run.place * keyWidth)
            put(v + run.row * keyWidth, run.count * keyWidth, into: store.values, at: run.place * keyWidth)
        }
        let attended = a.attended.raw(byteCount: count * queryWidth * computeType.byteCount)
        ck_attention(
            attended, q, store.keys, store.values, computeType.kernel, rows.keys, count, configuration.headCount, configuration.keyValueHeadCount,
            configuration.headSize)
        linear.forward(layer.oProj, attended, rows: count, into: delta)
        ck_add(x, delta, count * hidden)

        if keep { a.middle.floats(count: count * hidden).update(from: x, count: count * hidden) }
        normalize(x, by: layer.postAttentionLayernorm, rows: count, into: normed)
        let gate = a.gate.floats(count: count * intermediate)
        let up = a.up.floats(count: count * intermediate)
        linear.forward(layer.gateProj, normed, rows: count, into: gate)
        linear.forward(layer.upProj, normed, rows: count, into: up)
        let activated = workspace.activated.raw(byteCount: count * intermediate * computeType.byteCount)
        ck_silu_mul(activated, computeType.kernel, gate, up, count * intermediate)
        linear.forward(layer.downProj, activated, rows: count, into: delta)
        ck_add(x, delta, count * hidden)
    }

    func rotate(_ x: UnsafeMutablePointer<Float>, heads: Int, _ rows: DecoderRows, direction: Int32) {
        let tables = rotary.tables(positions: Int(rows.positions.max() ?? 0) + 1)
        ck_rope(x, rows.positions, tables.cosine, tables.sine, rows.count, heads, configuration.headSize, direction)
    }

    /// FP32 numbers into a store of the compute type.
    private func put(_ x: UnsafePointer<Float>, _ count: Int, into store: UnsafeMutableRawPointer, at offset: Int) {
        switch computeType {
        case .float32: (store.assumingMemoryBound(to: Float.self) + offset).update(from: x, count: count)
        case .bfloat16: ck_f32_to_bf16(store.assumingMemoryBound(to: UInt16.self) + offset, x, count)
        }
    }
}
