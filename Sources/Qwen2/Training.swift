import CKernels
import Checkpoints

/// A forward pass over groups that keeps what its backward pass needs.
public final class ForwardPass {
    /// Log-probability and entropy of every completion token.
    public let statistics: TokenStatistics

    let groups: [TokenGroup]
    let temperature: Float
    let tape: ActivationTape
    /// Where the tape has the groups' tokens.
    let rows: [GroupRows]
    /// The logits, if they were kept while sampling.
    let logits: KeptLogits?
    /// What the adapter's layers did not see.
    let dropout: DropoutPass?

    init(
        statistics: TokenStatistics, groups: [TokenGroup], temperature: Float, tape: ActivationTape, rows: [GroupRows], logits: KeptLogits? = nil,
        dropout: DropoutPass? = nil
    ) {
        self.statistics = statistics
        self.groups = groups
        self.temperature = temperature
        self.tape = tape
        self.rows = rows
        self.logits = logits
        self.dropout = dropout
    }
}

extension Qwen2Model {
    /// Forwards the groups, each prompt once, and keeps the activations.
    /// - Parameters:
    ///   - temperature: divides the logits, as the sampler's does.
    ///   - recomputes: keep every layer's input only; `backward` makes the rest again, a layer at a time (gradient checkpointing).
    ///   - dropout: the random numbers by which an adapter's dropout goes; without them nothing is dropped.
    public func forward(
        _ groups: [TokenGroup], temperature: Float = 1, recomputes: Bool = false, dropout: DropoutPass? = nil
    ) -> ForwardPass {
        let dropout = adapter.flatMap { $0.settings.dropout > 0 ? dropout : nil }
        maskAdapter(dropout, rows: nil)
        defer { maskAdapter(nil, rows: nil) }
        let packed = PackedGroups(groups)
        let rows = packed.rows
        let hidden = configuration.hiddenSize
        let tape = ActivationTape(configuration, computeType, capacity: rows.count, recomputes: recomputes, memory: workspace.spare)
        let x = workspace.residual.floats(count: rows.count * hidden)
        forward(rows, x: x, tape: tape)
        let normed = workspace.normed.raw(byteCount: rows.count * hidden * computeType.byteCount)
        normalize(x, by: norm, rows: rows.count, into: normed)
        let statistics = statistics(of: packed, normed: normed, temperature: temperature)
        return ForwardPass(
            statistics: statistics, groups: groups, temperature: temperature, tape: tape, rows: packed.groups, dropout: dropout)
    }

    private func maskAdapter(_ dropout: DropoutPass?, rows: [Int32]?) {
        guard let adapter else { return }
        adapter.state.mask = dropout.map { LoRAMask(pass: $0, probability: adapter.settings.dropout, rows: rows) }
    }

    /// Adds the gradient of sum over tokens of dLogprobs * logprob + dEntropies * entropy to the gradient of every one of `trainableParameters`.
    ///
    /// Completions whose derivatives are all zero, and prompts that no other completion needs, cost nothing.
    public func backward(_ pass: ForwardPass, dLogprobs: [Float], dEntropies: [Float]? = nil) {
        precondition(isTrainable, "the model was not opened for training")
        precondition(dLogprobs.count == pass.statistics.logprobs.count, "one derivative a completion token")
        let active = ActiveTokens(pass, dLogprobs: dLogprobs, dEntropies: dEntropies)
        // What the pass's prompts share, not what those that are left share, so that what is left out changes no sum's order.
        let packed = PackedGroups(active.groups, shared: sharedPrefix(pass.groups.map(\.prompt)))
        let (rows, order) = (packed.rows, packed.order(active.rows))
        guard rows.count > 0 else { return }
        maskAdapter(pass.dropout, rows: order)
        defer { maskAdapter(nil, rows: nil) }
        let hidden = configuration.hiddenSize
        let output = workspace.residual.floats(count: rows.count * hidden)
        pass.tape.takeOutput(order, into: output)
        let normed = workspace.normed.raw(byteCount: rows.count * hidden * computeType.byteCount)
        normalize(output, by: norm, rows: rows.count, into: normed)
        let scratch = LayerGradients(model: self, rows)
        let dx = workspace.dx.floats(count: rows.count * hidden)
        dx.update(repeating: 0, count: rows.count * hidden)
        backwardHead(packed, normed: normed, temperature: pass.temperature, active, pass.logits, dNormed: scratch.dNormed)
        backwardNorm(norm, x: output, dy: scratch.dNormed, rows: rows.count, dx: dx)
        for index in layers.indices.reversed() {
            let (tape, order) = pass.tape.recomputes ? recompute(index, pass.tape, order, rows) : (pass.tape, order)
            backwardMLP(index, tape, order, dx: dx, scratch)
            backwardAttention(index, tape, order, rows, dx: dx, scratch)
        }
        if let gradient = embedding.gradientBuffer { ck_scatter_add(gradient.floats, rows.tokens, dx, rows.count, hidden) }
    }

    /// A layer's activations, made again from its input: the bits of the first time in `bfloat16`.
    private func recompute(_ index: Int, _ tape: ActivationTape, _ order: [Int32], _ rows: DecoderRows) -> (ActivationTape, [Int32]) {
        let layer = ActivationTape(configuration, computeType, layers: index..<index + 1, capacity: rows.count, memory: workspace.spare)
        let x = workspace.residual.floats(count: rows.count * configuration.hiddenSize)
        tape.take(tape.input, layer: index, order, into: x)
        forward(index, rows, x: x, store: passStore(rows), tape: layer)
        return (layer, (0..<rows.count).map(Int32.init))
    }

    private func backwardNorm(
        _ weight: Parameter, x: UnsafePointer<Float>, dy: UnsafePointer<Float>, rows: Int, dx: UnsafeMutablePointer<Float>
    ) {
        guard let values = weight.values else { return }
        ck_rmsnorm_backward(dx, weight.gradientBuffer?.floats, dy, x, values.floats, configuration.normEpsilon, rows, configuration.hiddenSize)
    }

    /// Replaces the gradient of normed heads by that of the heads before, [rows][width]; `x` holds those.
    private func backwardHeads(_ weight: Parameter, x: GrowingBuffer, dy: UnsafeMutablePointer<Float>, width: Int, rows: Int) {
        guard let values = weight.values else { return }
        let dx = workspace.dPlain.floats(count: rows * width)
        dx.update(repeating: 0, count: rows * width)
        ck_rmsnorm_backward(
            dx, weight.gradientBuffer?.floats, dy, x.floats(count: rows * width), values.floats, configuration.normEpsilon,
            rows * width / configuration.headSize,
            configuration.headSize)
        dy.update(from: dx, count: rows * width)
    }

    /// x += down(silu(gate(n)) * up(n)), n = norm(x). The activation and the norm are made again from what was kept.
    private func backwardMLP(_ index: Int, _ tape: ActivationTape, _ order: [Int32], dx: UnsafeMutablePointer<Float>, _ scratch: LayerGradients) {
        let layer = layers[index]
        let (rows, hidden, intermediate) = (order.count, configuration.hiddenSize, configuration.intermediateSize)
        let gate = workspace.gate.floats(count: rows * intermediate)
        let up = workspace.up.floats(count: rows * intermediate)
        let middle = workspace.residual.floats(count: rows * hidden)
        tape.take(tape.gate, layer: index, order, into: gate, type: CK_F32)
        tape.take(tape.up, layer: index, order, into: up, type: CK_F32)
        tape.take(tape.middle, layer: index, order, into: middle)
        let activated = workspace.activated.raw(byteCount: rows * intermediate * computeType.byteCount)
        ck_silu_mul(activated, computeType.kernel, gate, up, rows * intermediate)
        backward([(layer.downProj, layer.downBias, dx)], x: activated, rows: rows, dx: scratch.dWide)
        ck_silu_mul_backward(gate, up, scratch.dWide, rows * intermediate)
        let normed = workspace.normed.raw(byteCount: rows * hidden * computeType.byteCount)
        normalize(middle, by: layer.postAttentionLayernorm, rows: rows, into: normed)
        backward([(layer.gateProj, layer.gateBias, gate), (layer.upProj, layer.upBias, up)], x: normed, rows: rows, dx: scratch.dNormed)
        backwardNorm(layer.postAttentionLayernorm, x: middle, dy: scratch.dNormed, rows: rows, dx: dx)
    }

    /// x += o(attention(rope(q(n)), rope(k(n)), v(n))), n = norm(x).
    private func backwardAttention(
        _ index: Int, _ tape: ActivationTape, _ order: [Int32], _ rows: DecoderRows, dx: UnsafeMutablePointer<Float>, _ scratch: LayerGradients
    ) {
        let layer = layers[index]
        let (count, hidden) = (rows.count, configuration.hiddenSize)
        let q = workspace.q.floats(count: count * queryWidth)
        let store = passStore(rows)
        let attended = workspace.attended.raw(byteCount: count * queryWidth * computeType.byteCount)
        let input = workspace.residual.floats(count: count * hidden)
        tape.take(tape.queries, layer: index, order, into: q)
        tape.take(tape.keys, layer: index, order, into: store.keys)
        tape.take(tape.values, layer: index, order, into: store.values)
        let place = keyWidth * computeType.byteCount
        for copy in rows.places.dropFirst() { store.copy(copy.count * place, from: copy.row * place, to: copy.place * place) }
        tape.take(tape.attended, layer: index, order, into: attended)
        tape.take(tape.input, layer: index, order, into: input)
        let dAttended = scratch.dWide
        backward([(layer.oProj, layer.oBias, dx)], x: attended, rows: count, dx: dAttended)
        scratch.dKeys.update(repeating: 0, count: rows.placeCount * keyWidth)
        scratch.dValues.update(repeating: 0, count: rows.placeCount * keyWidth)
        ck_attention_backward(
            scratch.dQueries, scratch.dKeys, scratch.dValues, dAttended, q, store.keys, store.values, computeType.kernel, rows.keys, count,
            configuration.headCount, configuration.keyValueHeadCount, configuration.headSize)
        for copy in rows.places.dropFirst() {
            ck_add(scratch.dKeys + copy.row * keyWidth, scratch.dKeys + copy.place * keyWidth, copy.count * keyWidth)
            ck_add(scratch.dValues + copy.row * keyWidth, scratch.dValues + copy.place * keyWidth, copy.count * keyWidth)
        }
        rotate(scratch.dQueries, heads: configuration.headCount, rows, direction: -1)
        rotate(scratch.dKeys, heads: configuration.keyValueHeadCount, rows, direction: -1)
        if let qNorm = layer.qNorm, let kNorm = layer.kNorm {
            let (plainQ, plainK) = (workspace.plainQueries, workspace.plainKeys)
            tape.take(tape.plainQueries, layer: index, order, into: plainQ.floats(count: count * queryWidth))
            tape.take(tape.plainKeys, layer: index, order, into: plainK.floats(count: count * keyWidth))
            backwardHeads(qNorm, x: plainQ, dy: scratch.dQueries, width: queryWidth, rows: count)
            backwardHeads(kNorm, x: plainK, dy: scratch.dKeys, width: keyWidth, rows: count)
        }
        let normed = workspace.normed.raw(byteCount: count * hidden * computeType.byteCount)
        normalize(input, by: layer.inputLayernorm, rows: count, into: normed)
        let dNormed = scratch.dNormed
        backward(
            [
                (layer.qProj, layer.qBias, scratch.dQueries), (layer.kProj, layer.kBias, scratch.dKeys),
                (layer.vProj, layer.vBias, scratch.dValues),
            ], x: normed, rows: count, dx: dNormed)
        backwardNorm(layer.inputLayernorm, x: input, dy: dNormed, rows: count, dx: dx)
    }

    private func backward(_ outputs: [Linear.Output], x: UnsafeRawPointer, rows: Int, dx: UnsafeMutablePointer<Float>) {
        linear.backward(outputs, x: x, rows: rows, inputs: outputs[0].weight.rowLength, dx: dx, scratch: workspace.packedInput)
    }
}

/// Gradients of activations, shared by all layers of a backward pass.
private struct LayerGradients {
    let dNormed, dWide, dQueries, dKeys, dValues: UnsafeMutablePointer<Float>

    init(model: Qwen2Model, _ rows: DecoderRows) {
        let (configuration, workspace, places, rows) = (model.configuration, model.workspace, rows.placeCount, rows.count)
        dNormed = workspace.dNormed.floats(count: rows * configuration.hiddenSize)
        dWide = workspace.dWide.floats(count: rows * max(configuration.intermediateSize, model.queryWidth))
        dQueries = workspace.dQueries.floats(count: rows * model.queryWidth)
        dKeys = workspace.dKeys.floats(count: places * model.keyWidth)
        dValues = workspace.dValues.floats(count: places * model.keyWidth)
        dNormed.update(repeating: 0, count: rows * configuration.hiddenSize)
    }
}
