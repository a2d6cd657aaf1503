import CKernels

/// A forward pass over groups that keeps what its backward pass needs.
public final class ForwardPass {
    /// Log-probability and entropy of every completion token.
    public let statistics: TokenStatistics

    let packed: PackedGroups
    let temperature: Float
    let layers: [LayerActivations]
    /// The residual stream after the last layer, FP32, and its norm, a matrix input.
    let output: GrowingBuffer
    let normed: GrowingBuffer

    init(
        statistics: TokenStatistics, packed: PackedGroups, temperature: Float, layers: [LayerActivations], output: GrowingBuffer,
        normed: GrowingBuffer
    ) {
        self.statistics = statistics
        self.packed = packed
        self.temperature = temperature
        self.layers = layers
        self.output = output
        self.normed = normed
    }
}

extension Qwen2Model {
    /// Forwards the groups, each prompt once, and keeps the activations: about 1.3 MB a token for the shape of Qwen2-0.5B.
    /// - Parameter temperature: divides the logits, as the sampler's does.
    public func forward(_ groups: [TokenGroup], temperature: Float = 1) -> ForwardPass {
        let packed = PackedGroups(groups)
        let rows = packed.rows
        let hidden = configuration.hiddenSize
        let output = GrowingBuffer()
        let normed = GrowingBuffer()
        let x = output.floats(count: rows.count * hidden)
        embed(rows.tokens, into: x)
        let activations = layers.map { layer in
            let kept = LayerActivations()
            let bytes = rows.count * keyWidth * computeType.byteCount
            let store = KeyValueStore(keys: kept.keys.raw(byteCount: bytes), values: kept.values.raw(byteCount: bytes))
            forward(layer, rows, x: x, store: store, activations: kept, keep: true)
            return kept
        }
        let input = normed.raw(byteCount: rows.count * hidden * computeType.byteCount)
        normalize(x, by: norm, rows: rows.count, into: input)
        let statistics = statistics(of: packed, normed: input, temperature: temperature)
        return ForwardPass(
            statistics: statistics, packed: packed, temperature: temperature, layers: activations, output: output, normed: normed)
    }

    /// Adds the gradient of sum over tokens of dLogprobs * logprob + dEntropies * entropy to every parameter's gradient.
    ///
    /// It uses the pass up: a pass is backpropagated once.
    public func backward(_ pass: ForwardPass, dLogprobs: [Float], dEntropies: [Float]? = nil) {
        precondition(isTrainable, "the model was not opened for training")
        precondition(dLogprobs.count == pass.packed.targets.count, "one derivative a completion token")
        let rows = pass.packed.rows
        let hidden = configuration.hiddenSize
        let dNormed = AlignedBuffer(floats: rows.count * hidden)
        let dx = AlignedBuffer(floats: rows.count * hidden)
        backwardHead(
            pass.packed, normed: pass.normed.raw(byteCount: 0), temperature: pass.temperature, statistics: pass.statistics, dLogprobs: dLogprobs,
            dEntropies: dEntropies, dNormed: dNormed.floats)
        backwardNorm(norm, x: pass.output.floats(count: 0), dy: dNormed.floats, rows: rows.count, dx: dx.floats)
        let scratch = LayerGradients(model: self, rows: rows.count)
        for (layer, activations) in zip(layers, pass.layers).reversed() {
            backwardMLP(layer, activations, rows: rows.count, dx: dx.floats, scratch)
            backwardAttention(layer, activations, pass.packed, dx: dx.floats, scratch)
        }
        if let gradient = embedding.gradientBuffer { ck_scatter_add(gradient.floats, rows.tokens, dx.floats, rows.count, hidden) }
    }

    private func backwardNorm(
        _ weight: Parameter, x: UnsafePointer<Float>, dy: UnsafePointer<Float>, rows: Int, dx: UnsafeMutablePointer<Float>
    ) {
        guard let values = weight.values, let gradient = weight.gradientBuffer else { return }
        ck_rmsnorm_backward(dx, gradient.floats, dy, x, values.floats, configuration.normEpsilon, rows, configuration.hiddenSize)
    }

    /// x += down(silu(gate(n)) * up(n)), n = norm(x). The activation and the norm are made again from what was kept.
    private func backwardMLP(_ layer: DecoderLayer, _ a: LayerActivations, rows: Int, dx: UnsafeMutablePointer<Float>, _ scratch: LayerGradients) {
        let (hidden, intermediate) = (configuration.hiddenSize, configuration.intermediateSize)
        let gate = a.gate.floats(count: 0)
        let up = a.up.floats(count: 0)
        let middle = a.middle.floats(count: 0)
        let activated = workspace.activated.raw(byteCount: rows * intermediate * computeType.byteCount)
        ck_silu_mul(activated, computeType.kernel, gate, up, rows * intermediate)
        backward(layer.downProj, dy: dx, x: activated, rows: rows, dx: scratch.dWide.floats)
        ck_silu_mul_backward(gate, up, scratch.dWide.floats, rows * intermediate)
        let normed = workspace.normed.raw(byteCount: rows * hidden * computeType.byteCount)
        normalize(middle, by: layer.postAttentionLayernorm, rows: rows, into: normed)
        backward(layer.gateProj, dy: gate, x: normed, rows: rows, dx: scratch.dNormed.floats)
        backward(layer.upProj, dy: up, x: normed, rows: rows, dx: scratch.dNormed.floats, accumulate: true)
        backwardNorm(layer.postAttentionLayernorm, x: middle, dy: scratch.dNormed.floats, rows: rows, dx: dx)
    }

    /// x += o(attention(rope(q(n)), rope(k(n)), v(n))), n = norm(x).
    private func backwardAttention(
        _ layer: DecoderLayer, _ a: LayerActivations, _ packed: PackedGroups, dx: UnsafeMutablePointer<Float>, _ scratch: LayerGradients
    ) {
        let rows = packed.rows
        let (count, hidden) = (rows.count, configuration.hiddenSize)
        let dAttended = scratch.dWide.floats
        backward(layer.oProj, dy: dx, x: a.attended.raw(byteCount: 0), rows: count, dx: dAttended)
        scratch.dKeys.floats.update(repeating: 0, count: count * keyWidth)
        scratch.dValues.floats.update(repeating: 0, count: count * keyWidth)
        ck_attention_backward(
            scratch.dQueries.floats, scratch.dKeys.floats, scratch.dValues.floats, dAttended, a.q.floats(count: 0), a.keys.raw(byteCount: 0),
            a.values.raw(byteCount: 0), computeType.kernel, rows.keys, packed.sets, packed.sets.count - 1, configuration.headCount,
            configuration.keyValueHeadCount, configuration.headSize)
        rotate(scratch.dQueries.floats, heads: configuration.headCount, rows, direction: -1)
        rotate(scratch.dKeys.floats, heads: configuration.keyValueHeadCount, rows, direction: -1)
        let normed = workspace.normed.raw(byteCount: count * hidden * computeType.byteCount)
        let input = a.input.floats(count: 0)
        normalize(input, by: layer.inputLayernorm, rows: count, into: normed)
        let dNormed = scratch.dNormed.floats
        backward(layer.qProj, bias: layer.qBias, dy: scratch.dQueries.floats, x: normed, rows: count, dx: dNormed)
        backward(layer.kProj, bias: layer.kBias, dy: scratch.dKeys.floats, x: normed, rows: count, dx: dNormed, accumulate: true)
        backward(layer.vProj, bias: layer.vBias, dy: scratch.dValues.floats, x: normed, rows: count, dx: dNormed, accumulate: true)
        backwardNorm(layer.inputLayernorm, x: input, dy: dNormed, rows: count, dx: dx)
    }

    private func backward(
        _ weight: Parameter, bias: Parameter? = nil, dy: UnsafeMutablePointer<Float>, x: UnsafeRawPointer, rows: Int, dx: UnsafeMutablePointer<Float>,
        accumulate: Bool = false
    ) {
        linear.backward(weight, bias: bias, dy: dy, x: x, rows: rows, dx: dx, accumulate: accumulate, scratch: workspace.packedInput)
    }
}

/// Gradients of activations, shared by all layers of a backward pass.
private final class LayerGradients {
    let dNormed, dWide, dQueries, dKeys, dValues: AlignedBuffer

    init(model: Qwen2Model, rows: Int) {
        let configuration = model.configuration
        dNormed = AlignedBuffer(floats: rows * configuration.hiddenSize)
        dWide = AlignedBuffer(floats: rows * max(configuration.intermediateSize, model.queryWidth))
        dQueries = AlignedBuffer(floats: rows * model.queryWidth)
        dKeys = AlignedBuffer(floats: rows * model.keyWidth)
        dValues = AlignedBuffer(floats: rows * model.keyWidth)
    }
}
