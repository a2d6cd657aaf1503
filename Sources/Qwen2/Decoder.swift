import CKernels

/// Memory that the passes reuse.
final class Workspace {
    /// The residual stream, its norm as a matrix input, and what attention or MLP adds to it.
    let residual = GrowingBuffer(), normed = GrowingBuffer(), delta = GrowingBuffer()
    /// Queries and keys after rotation, values, all FP32.
    let q = GrowingBuffer(), k = GrowingBuffer(), v = GrowingBuffer()
    /// Queries and keys before the norms of heads.
    let plainQueries = GrowingBuffer(), plainKeys = GrowingBuffer()
    /// Keys and values of a pass that has no cache, in the compute type; the heads' outputs, a matrix input.
    let keys = GrowingBuffer(), values = GrowingBuffer(), attended = GrowingBuffer()
    /// gate_proj and up_proj, FP32, and their product, a matrix input.
    let gate = GrowingBuffer(), up = GrowingBuffer(), activated = GrowingBuffer()
    let logits = GrowingBuffer(), hidden = GrowingBuffer(), saved = GrowingBuffer()
    /// Set by a test: outputs of the head that exist at a time in the backward pass.
    var headOutputs: Int?
    /// A linear layer's input, packed for the product that gives its weight's gradient.
    let packedInput = GrowingBuffer()
    /// Gradients of the residual stream, of what a layer adds to it, and of the head's input, FP32.
    let dx = GrowingBuffer(), dNormed = GrowingBuffer(), dWide = GrowingBuffer(), dHidden = GrowingBuffer()
    let dQueries = GrowingBuffer(), dKeys = GrowingBuffer(), dValues = GrowingBuffer()
    /// Gradients of queries or keys before the norms of heads.
    let dPlain = GrowingBuffer()
    /// For tapes and caches, which come and go with every generation.
    let spare = SpareMemory()
}

/// The rows of one pass: tokens with their positions, the keys that each may see, and where its own key and value go.
struct DecoderRows {
    var tokens: [Int32] = []
    var positions: [Int32] = []
    /// Indices into the key and value store.
    var keys: [ck_keys] = []
    /// Consecutive rows whose keys go to consecutive places of the store; a row may have several.
    var places: [(row: Int, place: Int, count: Int)] = []

    var count: Int { tokens.count }

    /// Places that a store of these rows alone needs.
    var placeCount: Int { places.reduce(0) { max($0, $1.place + $1.count) } }

    /// Some of the rows, whose own keys and values are stored already.
    func only(_ kept: [Int]) -> DecoderRows {
        DecoderRows(tokens: kept.map { tokens[$0] }, positions: kept.map { positions[$0] }, keys: kept.map { keys[$0] })
    }
}

/// Moves some of the rows that lie at `x`, in their order, to its beginning.
func moveToFront(_ kept: [Int], _ x: UnsafeMutableRawPointer, rowBytes: Int) {
    for (i, row) in kept.enumerated() where i != row { (x + i * rowBytes).copyMemory(from: x + row * rowBytes, byteCount: rowBytes) }
}

/// Where a layer's keys and values lie: [places][keyValueHeads * headSize] in the compute type.
struct KeyValueStore {
    let keys, values: UnsafeMutableRawPointer

    /// Copies keys and values between places that lie `from` and `to` bytes from the start.
    func copy(_ byteCount: Int, from: Int, to: Int) {
        (keys + to).copyMemory(from: keys + from, byteCount: byteCount)
        (values + to).copyMemory(from: values + from, byteCount: byteCount)
    }
}

extension Qwen2Model {
    var keyWidth: Int { configuration.keyValueHeadCount * configuration.headSize }

    var queryWidth: Int { configuration.headCount * configuration.headSize }

    /// The residual stream of the rows' tokens, [rows][hidden] FP32.
    func embed(_ tokens: [Int32], into x: UnsafeMutablePointer<Float>) {
        let hidden = configuration.hiddenSize
        for (row, token) in tokens.enumerated() {
            if embedding.form == .packed {
                withUnsafeTemporaryAllocation(of: UInt16.self, capacity: hidden) { bits in
                    guard let bits = bits.baseAddress else { return }
                    if let disk = embedding.disk {
                        disk.read(embedding, Int(token)..<Int(token) + 1, into: bits)
                    } else if let packed = embedding.packed {
                        ck_unpack_row(bits, packed.bf16, Int(token), hidden)
                    }
                    ck_bf16_to_f32(x + row * hidden, bits, hidden)
                }
            } else if let quantized = embedding.quantized {
                quantized.copyRow(Int(token), into: x + row * hidden)
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

    /// RMSNorm of each head, [heads][headSize] FP32.
    func normalizeHeads(_ x: UnsafePointer<Float>, by weight: Parameter, count: Int, into out: UnsafeMutablePointer<Float>) {
        guard let values = weight.values else { return }
        ck_rmsnorm(out, CK_F32, x, values.floats, configuration.normEpsilon, count, configuration.headSize)
    }

    /// One decoder layer: x += attention(norm(x)), then x += mlp(norm(x)).
    /// - Parameters:
    ///   - tape: keeps what the backward pass needs.
    ///   - wanted: rows whose output somebody reads, all by default; x then has these alone. Keys and values are stored of all.
    func forward(
        _ index: Int, _ rows: DecoderRows, x: UnsafeMutablePointer<Float>, store: KeyValueStore, tape: ActivationTape? = nil, wanted: [Int]? = nil
    ) {
        let layer = layers[index]
        let (hidden, intermediate) = (configuration.hiddenSize, configuration.intermediateSize)
        if let tape { tape.record(tape.input, layer: index, x, rows: rows.count) }
        let tape = tape.flatMap { $0.recomputes ? nil : $0 }
        let normed = workspace.normed.raw(byteCount: rows.count * hidden * computeType.byteCount)
        normalize(x, by: layer.inputLayernorm, rows: rows.count, into: normed)

        let delta = workspace.delta.floats(count: rows.count * hidden)
        let q = workspace.q.floats(count: rows.count * queryWidth)
        let plainQ = layer.qNorm == nil ? q : workspace.plainQueries.floats(count: rows.count * queryWidth)
        let k = workspace.k.floats(count: rows.count * keyWidth)
        let plainK = layer.kNorm == nil ? k : workspace.plainKeys.floats(count: rows.count * keyWidth)
        let v = workspace.v.floats(count: rows.count * keyWidth)
        let queries: Linear.Output = (layer.qProj, layer.qBias, plainQ)
        let keysAndValues: [Linear.Output] = [(layer.kProj, layer.kBias, plainK), (layer.vProj, layer.vBias, v)]
        linear.forward(wanted == nil ? [queries] + keysAndValues : keysAndValues, normed, rows: rows.count)
        if let norm = layer.kNorm { normalizeHeads(plainK, by: norm, count: rows.count * configuration.keyValueHeadCount, into: k) }
        rotate(k, heads: configuration.keyValueHeadCount, rows, direction: 1)
        for run in rows.places {
            put(k + run.row * keyWidth, run.count * keyWidth, into: store.keys, at: run.place * keyWidth)
            put(v + run.row * keyWidth, run.count * keyWidth, into: store.values, at: run.place * keyWidth)
        }

        if let wanted {
            moveToFront(wanted, x, rowBytes: hidden * 4)
            moveToFront(wanted, normed, rowBytes: hidden * computeType.byteCount)
            linear.forward([queries], normed, rows: wanted.count)
        }
        let rows = wanted.map(rows.only) ?? rows
        let count = rows.count
        guard count > 0 else { return }
        if let norm = layer.qNorm { normalizeHeads(plainQ, by: norm, count: count * configuration.headCount, into: q) }
        rotate(q, heads: configuration.headCount, rows, direction: 1)
        let attended = workspace.attended.raw(byteCount: count * queryWidth * computeType.byteCount)
        ck_attention(
            attended, q, store.keys, store.values, computeType.kernel, rows.keys, count, configuration.headCount, configuration.keyValueHeadCount,
            configuration.headSize)
        if let tape {
            if layer.qNorm != nil {
                tape.record(tape.plainQueries, layer: index, plainQ, rows: count)
                tape.record(tape.plainKeys, layer: index, plainK, rows: count)
            }
            tape.record(tape.queries, layer: index, q, rows: count)
            tape.record(tape.keys, layer: index, k, type: CK_F32, rows: count)
            tape.record(tape.values, layer: index, v, type: CK_F32, rows: count)
            tape.record(tape.attended, layer: index, attended, rows: count)
        }
        linear.forward([(layer.oProj, layer.oBias, delta)], attended, rows: count)
        ck_add(x, delta, count * hidden)

        if let tape { tape.record(tape.middle, layer: index, x, rows: count) }
        normalize(x, by: layer.postAttentionLayernorm, rows: count, into: normed)
        let gate = workspace.gate.floats(count: count * intermediate)
        let up = workspace.up.floats(count: count * intermediate)
        linear.forward([(layer.gateProj, layer.gateBias, gate), (layer.upProj, layer.upBias, up)], normed, rows: count)
        if let tape {
            tape.record(tape.gate, layer: index, gate, type: CK_F32, rows: count)
            tape.record(tape.up, layer: index, up, type: CK_F32, rows: count)
        }
        let activated = workspace.activated.raw(byteCount: count * intermediate * computeType.byteCount)
        ck_silu_mul(activated, computeType.kernel, gate, up, count * intermediate)
        linear.forward([(layer.downProj, layer.downBias, delta)], activated, rows: count)
        ck_add(x, delta, count * hidden)
    }

    /// All layers over rows whose keys and values nobody needs afterwards.
    func forward(_ rows: DecoderRows, x: UnsafeMutablePointer<Float>, tape: ActivationTape? = nil) {
        embed(rows.tokens, into: x)
        let store = passStore(rows)
        for index in layers.indices { forward(index, rows, x: x, store: store, tape: tape) }
        tape?.finish(x, rows: rows.count)
    }

    /// Room for the keys and values of the rows, until the next pass.
    func passStore(_ rows: DecoderRows) -> KeyValueStore {
        let bytes = rows.placeCount * keyWidth * computeType.byteCount
        return KeyValueStore(keys: workspace.keys.raw(byteCount: bytes), values: workspace.values.raw(byteCount: bytes))
    }

    func rotate(_ x: UnsafeMutablePointer<Float>, heads: Int, _ rows: DecoderRows, direction: Int32) {
        let tables = rotary.tables(positions: Int(rows.positions.max() ?? 0) + 1)
        ck_rope(x, rows.positions, tables.cosine, tables.sine, rows.count, heads, configuration.headSize, direction)
    }

    /// FP32 numbers into a store of the compute type.
    private func put(_ x: UnsafePointer<Float>, _ count: Int, into store: UnsafeMutableRawPointer, at offset: Int) {
        switch computeType {
        case .float32: (store.assumingMemoryBound(to: Float.self) + offset).update(from: x, count: count)
        case .bfloat16, .int8, .int4: ck_f32_to_bf16(store.assumingMemoryBound(to: UInt16.self) + offset, x, count)
        }
    }
}
