import CKernels
import COpenBLAS
public import Checkpoints
public import JSON

/// A decoder of Qwen2's kind, of any family in `ModelFamily.all`: a model that generates, scores and, when it was opened for training, learns.
///
/// One thread uses a model at a time; inside, every operation is spread over the threads of `Qwen2Model.useThreads(_:)`.
public final class Qwen2Model {
    /// The shape.
    public let configuration: Qwen2Configuration
    /// The checkpoint's `config.json`, for those who write the model.
    public let configurationJSON: JSONValue
    /// What the forward pass multiplies.
    public let computeType: ComputeType
    /// Every weight, sorted by name.
    public let parameters: [Parameter]
    /// The LoRA adapter that every pass goes through; see `addAdapter`.
    public internal(set) var adapter: ModelAdapter?

    let embedding: Parameter
    let layers: [DecoderLayer]
    let norm: Parameter
    let head: Parameter
    let rotary: RotaryTable
    let linear: Linear
    let workspace = Workspace()

    /// Opens the weights of a checkpoint.
    ///
    /// In `bfloat16`, matrices that a directory has as BF16 numbers are read by the first pass as it goes and packed into memory by the second one, or by
    /// `loadWeights`. Until then the files must keep their bytes (a new one may be renamed over them): a pass that finds them cut short ends the process.
    /// - Parameters:
    ///   - trainable: keeps FP32 master weights and gradients beside the weights: 8 more bytes a parameter in `bfloat16`, 4 in `float32`.
    /// - Throws: `CheckpointError` for a configuration or tensor that is missing, of the wrong shape, or not read yet.
    public init(_ checkpoint: Checkpoint, computeType: ComputeType = .bfloat16, trainable: Bool = false) throws(CheckpointError) {
        guard computeType.isTrainable || !trainable else {
            throw CheckpointError(path: checkpoint.path, message: "cannot be trained in \(computeType.rawValue): use bfloat16 or float32")
        }
        let configuration = try Qwen2Configuration(checkpoint.config, path: checkpoint.path)
        self.configuration = configuration
        self.computeType = computeType
        configurationJSON = checkpoint.config
        linear = Linear(type: computeType)
        rotary = RotaryTable(configuration.rotary, headSize: configuration.headSize)

        var expected: [(name: String, shape: [Int])] = []
        func weight(_ name: String, _ shape: [Int]) -> Int {
            expected.append((name, shape))
            return expected.count - 1
        }
        let hidden = configuration.hiddenSize
        let embeddingIndex = weight("model.embed_tokens.weight", [configuration.vocabularySize, hidden])
        let layerIndices = (0..<configuration.layerCount).map { layer in
            configuration.layerTensors.map { name, shape in (name, weight("model.layers.\(layer).\(name)", shape)) }
        }
        let normIndex = weight("model.norm.weight", [hidden])
        let headIndex = configuration.tiesEmbeddings ? embeddingIndex : weight("lm_head.weight", [configuration.vocabularySize, hidden])

        // Everything is checked before the first gigabyte is asked for.
        for (name, shape) in expected {
            guard let found = checkpoint.tensor(named: name) else {
                throw CheckpointError(path: checkpoint.path, tensor: name, message: "is missing, expected shape \(shape)")
            }
            guard found.shape == shape else {
                throw CheckpointError(path: checkpoint.path, tensor: name, message: "has shape \(found.shape), expected \(shape) by config.json")
            }
            guard !computeType.isQuantized || shape.count == 1 || shape[1] % Int(CK_QUANTIZED_BLOCK) == 0 else {
                throw CheckpointError(
                    path: checkpoint.path, tensor: name,
                    message: "has rows of \(shape[1]), \(computeType.rawValue) needs a multiple of \(CK_QUANTIZED_BLOCK): use bfloat16 or float32")
            }
        }
        let made = expected.enumerated().map { index, weight in
            let isVocabulary = index == embeddingIndex || index == headIndex
            let bits = computeType == .int4 && !isVocabulary ? 4 : 8
            let tensor = computeType.isQuantized && weight.shape.count == 2 ? checkpoint.tensor(named: weight.name) : nil
            return Parameter(
                name: weight.name, shape: weight.shape, type: computeType, trainable: trainable,
                quantized: tensor.map { QuantizedMatrix($0, bits: bits) })
        }
        // Where the products may read the file itself, matrices are loaded when they are needed a second time.
        let matrices = made.filter { $0.form == .packed }
        let stayOnDisk =
            !trainable && checkpoint.format == .huggingFace && matrices.allSatisfy { checkpoint.tensor(named: $0.name)?.type == .bfloat16 }
        try Self.load(stayOnDisk ? made.filter { $0.form != .packed } : made, from: checkpoint)
        if stayOnDisk {
            let disk = WeightsOnDisk(matrices, in: checkpoint)
            for matrix in matrices { matrix.disk = disk }
        }
        embedding = made[embeddingIndex]
        norm = made[normIndex]
        head = made[headIndex]
        layers = layerIndices.compactMap { indices in
            DecoderLayer(Dictionary(indices.map { ($0.0, made[$0.1]) }, uniquingKeysWith: { first, _ in first }))
        }
        parameters = made.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// Whether there is something that a backward pass has gradients for: an adapter's weights, or all of them.
    public var isTrainable: Bool { adapter?.isTrainable ?? (embedding.gradientBuffer != nil) }

    /// Bytes of the weights that the forward pass reads.
    public var weightBytes: Int {
        parameters.reduce(0) { $0 + $1.byteCount }
    }

    /// Reads the weights that are still on disk only. A second pass would do it otherwise, the first one reads the file as it goes.
    public func loadWeights() { embedding.disk?.load() }

    /// Spreads every operation over `count` threads; `nil` takes the CPUs that this process may use. Returns the number.
    @discardableResult
    public static func useThreads(_ count: Int? = nil) -> Int {
        if let count { ck_set_threads(Int32(clamping: count)) }
        openblas_set_num_threads(ck_threads())
        return Int(ck_threads())
    }

    /// The instruction set of the kernels, as `GRPO_ISA` spells it.
    public static var instructionSet: String { String(cString: ck_isa_name(ck_isa())) }

    /// Sets every gradient to zero.
    public func zeroGradients() {
        for parameter in trainableParameters { parameter.gradientBuffer?.clear() }
    }
}

/// The weights of one decoder layer, by their names in the checkpoint. What a family does not have is nil.
struct DecoderLayer {
    let inputLayernorm, qProj, kProj, vProj, oProj: Parameter
    let qBias, kBias, vBias, oBias, qNorm, kNorm: Parameter?
    let postAttentionLayernorm, gateProj, upProj, downProj: Parameter
    let gateBias, upBias, downBias: Parameter?

    /// From the weights by their names behind `model.layers.N.`; nil without those that every family has.
    init?(_ weights: [String: Parameter]) {
        guard let inputLayernorm = weights["input_layernorm.weight"], let postAttentionLayernorm = weights["post_attention_layernorm.weight"],
            let qProj = weights["self_attn.q_proj.weight"], let kProj = weights["self_attn.k_proj.weight"],
            let vProj = weights["self_attn.v_proj.weight"], let oProj = weights["self_attn.o_proj.weight"],
            let gateProj = weights["mlp.gate_proj.weight"], let upProj = weights["mlp.up_proj.weight"],
            let downProj = weights["mlp.down_proj.weight"]
        else { return nil }
        (self.inputLayernorm, self.postAttentionLayernorm) = (inputLayernorm, postAttentionLayernorm)
        (self.qProj, self.kProj, self.vProj, self.oProj) = (qProj, kProj, vProj, oProj)
        (self.gateProj, self.upProj, self.downProj) = (gateProj, upProj, downProj)
        (qBias, kBias, vBias) = (weights["self_attn.q_proj.bias"], weights["self_attn.k_proj.bias"], weights["self_attn.v_proj.bias"])
        (oBias, qNorm, kNorm) = (weights["self_attn.o_proj.bias"], weights["self_attn.q_norm.weight"], weights["self_attn.k_norm.weight"])
        (gateBias, upBias, downBias) = (weights["mlp.gate_proj.bias"], weights["mlp.up_proj.bias"], weights["mlp.down_proj.bias"])
    }
}

extension Qwen2Model: TensorProvider {
    /// Every weight under its Hugging Face name.
    public var tensors: [TensorInfo] {
        let type: ElementType = computeType == .float32 ? .float32 : .bfloat16
        return parameters.map { TensorInfo(name: $0.name, shape: $0.shape, storage: type.safeTensorsName, type: type) }
    }

    /// Rows of one weight: the master weights of a trainable model, otherwise what the forward pass uses.
    public func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let parameter = parameters.first(where: { $0.name == name }), rows.upperBound <= parameter.rowCount, let out = buffer.baseAddress,
            buffer.count == rows.count * parameter.rowLength * type.byteCount
        else { throw CheckpointError(path: "model in memory", tensor: name, message: "has no rows \(rows) that fit \(buffer.count) bytes") }
        let count = rows.count * parameter.rowLength
        if type == .float32 {
            parameter.read(rows: rows, into: out.assumingMemoryBound(to: Float.self))
            return
        }
        let floats = workspace.saved.floats(count: count)
        parameter.read(rows: rows, into: floats)
        if type == .bfloat16 {
            ck_f32_to_bf16(out.assumingMemoryBound(to: UInt16.self), floats, count)
        } else if ck_f32_to_f16(out.assumingMemoryBound(to: UInt16.self), floats, count) > 0 {
            throw CheckpointError(path: "model in memory", tensor: name, message: "has values past 65504, which float16 cannot hold: use bfloat16")
        }
    }
}
