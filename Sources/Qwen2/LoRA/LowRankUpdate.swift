import CKernels

/// What LoRA adds to the output of one linear layer: scale B A x (Hu et al. 2021).
///
/// A and B are kept as all weights are: FP32 masters, which the products read rounded to the compute type. B starts at zero, so that what the rounding
/// leaves of a step is relative to the change itself, not to the weight it changes.
final class LowRankUpdate {
    /// [rank][inputs] and [outputs][rank].
    let a, b: Parameter
    let scale: Float
    /// The layer's number among those of the adapter, for the mask of its dropout.
    private let number: UInt32
    private let state: LoRAState

    init(a: Parameter, b: Parameter, scale: Float, number: UInt32, state: LoRAState) {
        (self.a, self.b, self.scale, self.number, self.state) = (a, b, scale, number, state)
    }

    private var rank: Int { a.rowCount }

    /// Whether A sees its layer's input as it is.
    var seesInput: Bool { state.mask == nil }

    /// y[rows][outputs] += scale B A x.
    func forward(_ x: UnsafeRawPointer, rows: Int, into y: UnsafeMutablePointer<Float>, _ linear: Linear) {
        linear.product([(b, nil, y)], compressed(dropped(x, rows, linear), rows, linear), rows: rows, accumulate: true)
    }

    /// dx += and the gradients of A and B += those of `forward`, given dy; `input` is the layer's own, and what the forward pass computed is made again.
    func backward(_ dy: UnsafeMutablePointer<Float>, _ input: LayerInput, rows: Int, dx: UnsafeMutablePointer<Float>, _ linear: Linear) {
        let inputs = a.rowLength
        let x = dropped(input.x, rows, linear)
        let seen = seesInput ? input : linear.input(x, rows: rows, width: inputs, scratch: state.packedInput)
        let hidden = linear.input(compressed(x, rows, linear), rows: rows, width: rank, scratch: state.packedHidden)
        linear.weightGradient(b, dy, hidden, rows: rows)
        let dHidden = state.dHidden.floats(count: rows * rank)
        linear.inputGradient(b, dy, rows: rows, into: dHidden, accumulate: false)
        multiply(dHidden, rows)
        linear.weightGradient(a, dHidden, seen, rows: rows)
        guard let mask = mask else { return linear.inputGradient(a, dHidden, rows: rows, into: dx, accumulate: true) }
        let dInput = state.dInput.floats(count: rows * inputs)
        linear.inputGradient(a, dHidden, rows: rows, into: dInput, accumulate: false)
        ck_dropout_backward(dx, dInput, state.mask?.rows, rows, inputs, mask)
    }

    /// scale A x, a matrix input.
    private func compressed(_ x: UnsafeRawPointer, _ rows: Int, _ linear: Linear) -> UnsafeRawPointer {
        let hidden = state.hidden.floats(count: rows * rank)
        linear.product([(a, nil, hidden)], x, rows: rows)
        multiply(hidden, rows)
        guard a.type != .float32 else { return UnsafeRawPointer(hidden) }
        let rounded = state.rounded.bf16(count: rows * rank)
        ck_f32_to_bf16(rounded, hidden, rows * rank)
        return UnsafeRawPointer(rounded)
    }

    private func multiply(_ hidden: UnsafeMutablePointer<Float>, _ rows: Int) {
        for i in 0..<rows * rank { hidden[i] *= scale }
    }

    /// What A sees of x: in training not all of it.
    private func dropped(_ x: UnsafeRawPointer, _ rows: Int, _ linear: Linear) -> UnsafeRawPointer {
        guard let mask else { return x }
        let width = a.rowLength
        let out = state.dropped.raw(byteCount: rows * width * linear.type.byteCount)
        ck_dropout(out, x, linear.type.kernel, state.mask?.rows, rows, width, mask)
        return UnsafeRawPointer(out)
    }

    private var mask: ck_dropout_mask? { state.mask?.kernel(layer: number) }
}

/// What the layers of an adapter share: memory, and the mask of the pass that is going on.
final class LoRAState {
    /// nil outside of training: nothing is dropped.
    var mask: LoRAMask?
    let dropped = GrowingBuffer(), hidden = GrowingBuffer(), rounded = GrowingBuffer()
    let packedInput = GrowingBuffer(), packedHidden = GrowingBuffer(), dHidden = GrowingBuffer(), dInput = GrowingBuffer()
}

/// Which numbers of which rows fall out.
struct LoRAMask {
    let pass: DropoutPass
    let probability: Double
    /// The rows' numbers in the pass, of as many rows as are computed; nil when they are all of it, in order.
    var rows: [Int32]?

    func kernel(layer: UInt32) -> ck_dropout_mask {
        let threshold = (probability * 65536).rounded()
        return ck_dropout_mask(
            seed: pass.seed, layer: layer, pass: pass.number, threshold: UInt32(threshold), scale: Float(1 / (1 - threshold / 65536)))
    }
}

/// The random numbers of one training pass: other ones for every `number`, the same whenever the pass is computed again.
public struct DropoutPass: Sendable, Equatable {
    /// Names the run.
    public var seed: UInt64
    /// Names the pass.
    public var number: UInt32

    /// The numbers of one pass.
    public init(seed: UInt64, number: UInt32) { (self.seed, self.number) = (seed, number) }
}
