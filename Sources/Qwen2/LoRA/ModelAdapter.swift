import CKernels
public import Checkpoints
public import JSON

/// A LoRA adapter of a model in memory: A and B of every layer it changes, under PEFT's names.
public final class ModelAdapter {
    /// What its layers share.
    public let settings: LoRASettings
    /// adapter_config.json.
    public let configuration: JSONValue
    /// A and B of every layer, sorted by name: `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`.
    public let parameters: [Parameter]

    let layers: [(weight: Parameter, update: LowRankUpdate)]
    let state = LoRAState()

    /// One layer's part of an adapter; A and B are filled in by the caller.
    private struct Layer {
        let weight: Parameter
        let rank: Int
        let scale: Float
    }

    private init(_ layers: [Layer], _ settings: LoRASettings, _ configuration: JSONValue, type: ComputeType, trainable: Bool) {
        self.settings = settings
        self.configuration = configuration
        let state = state
        // The products with A and B are those of BF16 whatever the weights they are added to are kept in.
        let type = type == .float32 ? type : .bfloat16
        self.layers = layers.enumerated().map { number, layer in
            let name = "base_model.model." + layer.weight.name.dropLast(".weight".count)
            let shape = layer.weight.shape
            let a = Parameter(name: "\(name).lora_A.weight", shape: [layer.rank, shape[1]], type: type, trainable: trainable)
            let b = Parameter(name: "\(name).lora_B.weight", shape: [shape[0], layer.rank], type: type, trainable: trainable)
            return (layer.weight, LowRankUpdate(a: a, b: b, scale: layer.scale, number: UInt32(number), state: state))
        }
        parameters = self.layers.flatMap { [$0.update.a, $0.update.b] }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    /// A new adapter that changes nothing yet, as PEFT makes it: B is zero, A uniform within 1 / sqrt(inputs) (Kaiming's with a = sqrt(5)).
    /// - Throws: `CheckpointError` when a target names no layer of the model.
    convenience init(
        of model: Qwen2Model, _ settings: LoRASettings, seed: UInt64, base: String
    ) throws(CheckpointError) {
        let linear = model.linearLayers
        for target in settings.targets where !linear.contains(where: { LoRASettings.target(target, means: $0.layerName) }) {
            throw CheckpointError(
                path: base, message: "has no linear layer \"\(target)\" to adapt, expected \(LoRASettings.allLinear.joined(separator: ", "))")
        }
        let layers = linear.filter { settings.includes($0.layerName) }.map { Layer(weight: $0, rank: settings.rank, scale: Float(settings.scale)) }
        self.init(layers, settings, settings.json(base: base), type: model.computeType, trainable: true)
        // Apart from the sampler's numbers, which go by the same seed.
        let random = CounterRandom(seed: seed ^ 0x4C6F_5241_696E_6974)
        for (number, layer) in self.layers.enumerated() {
            let a = layer.update.a
            let bound = 1 / Double(a.rowLength).squareRoot()
            a.fill((0..<a.count).map { Float((2 * random.uniform(stream: UInt64($0), generation: UInt32(number), position: 0) - 1) * bound) })
        }
    }

    /// An adapter that was saved.
    /// - Throws: `CheckpointError` when it is not for this model, or changes more than linear layers.
    convenience init(of model: Qwen2Model, _ adapter: LoRAAdapter, trainable: Bool) throws(CheckpointError) {
        guard adapter.replacements.isEmpty else {
            throw CheckpointError(
                path: adapter.path, tensor: adapter.replacements.keys.min(),
                message: "is a whole tensor of modules_to_save, which only a merged model can have: grpo-cli convert BASE OUT --to safetensors "
                    + "--merge-adapter \(adapter.path)")
        }
        let linear = model.linearLayers
        for (name, update) in adapter.updates {
            guard let weight = linear.first(where: { $0.name == name }) else {
                throw CheckpointError(
                    path: adapter.path, tensor: name, message: "the model has no linear layer with this weight: the adapter is for another one")
            }
            let shape = [update.b.count / update.rank, update.a.count / update.rank]
            guard weight.shape == shape else {
                throw CheckpointError(
                    path: adapter.path, tensor: name, message: "the adapter is for a weight of \(shape), the model's is \(weight.shape)")
            }
        }
        let layers = linear.compactMap { weight in adapter.updates[weight.name].map { Layer(weight: weight, rank: $0.rank, scale: $0.scale) } }
        self.init(layers, adapter.settings, adapter.configuration, type: model.computeType, trainable: trainable)
        for layer in self.layers {
            guard let update = adapter.updates[layer.weight.name] else { continue }
            layer.update.a.fill(update.a)
            layer.update.b.fill(update.b)
        }
    }

    /// Whether every B is zero, as in a new adapter.
    public var changesNothing: Bool { layers.allSatisfy { $0.update.b.numbers.allSatisfy { $0 == 0 } } }

    /// The same numbers, which training does not move.
    public func frozen() -> ModelAdapter {
        let layers = layers.map { Layer(weight: $0.weight, rank: $0.update.a.rowCount, scale: $0.update.scale) }
        let copy = ModelAdapter(layers, settings, configuration, type: parameters[0].type, trainable: false)
        for (own, theirs) in zip(copy.parameters, parameters) { own.fill(theirs.numbers) }
        return copy
    }

    var isTrainable: Bool { parameters[0].gradientBuffer != nil }
}

extension ModelAdapter: TensorProvider {
    /// A and B of every layer, in FP32.
    public var tensors: [TensorInfo] {
        parameters.map { TensorInfo(name: $0.name, shape: $0.shape, storage: ElementType.float32.safeTensorsName, type: .float32) }
    }

    /// Rows of A or B in FP32.
    public func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let parameter = parameters.first(where: { $0.name == name }), rows.upperBound <= parameter.rowCount, type == .float32,
            buffer.count == rows.count * parameter.rowLength * 4, let out = buffer.baseAddress
        else { throw CheckpointError(path: "adapter in memory", tensor: name, message: "has no rows \(rows) in FP32 that fit \(buffer.count) bytes") }
        parameter.read(rows: rows, into: out.assumingMemoryBound(to: Float.self))
    }
}

extension Parameter {
    /// The name of the layer that a weight belongs to: `model.layers.0.self_attn.q_proj`.
    fileprivate var layerName: String { String(name.dropLast(".weight".count)) }

    /// Every element as FP32.
    fileprivate var numbers: [Float] {
        [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
            if let out = buffer.baseAddress { read(rows: 0..<rowCount, into: out) }
            initialized = count
        }
    }

    /// Replaces every element.
    fileprivate func fill(_ numbers: [Float]) {
        numbers.withUnsafeBufferPointer { numbers in
            if let first = numbers.baseAddress { write(first, rows: 0..<rowCount) }
        }
        publishMaster()
    }
}
