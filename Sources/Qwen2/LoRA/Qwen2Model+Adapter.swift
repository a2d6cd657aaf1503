public import Checkpoints

extension Qwen2Model {
    /// The matrices that an adapter may change, in the order of their names: those of the decoder layers.
    var linearLayers: [Parameter] { parameters.filter { $0.shape.count == 2 && $0.name.hasPrefix("model.layers.") } }

    /// Gives the model a new LoRA adapter to train, in place of one that it has; its weights themselves stay as they are.
    /// - Parameters:
    ///   - seed: of A's random numbers.
    ///   - base: the model's path, for adapter_config.json.
    /// - Throws: `CheckpointError` when a target names no linear layer.
    public func addAdapter(_ settings: LoRASettings, seed: UInt64, base: String) throws(CheckpointError) {
        try checkTrainable(base)
        use(try ModelAdapter(of: self, settings, seed: seed, base: base))
    }

    /// Gives the model an adapter that was saved, in place of one that it has.
    /// - Throws: `CheckpointError` when it is for another model.
    public func addAdapter(_ adapter: LoRAAdapter, trainable: Bool = false) throws(CheckpointError) {
        if trainable { try checkTrainable(adapter.path) }
        use(try ModelAdapter(of: self, adapter, trainable: trainable))
    }

    /// Runs `body` with the model as another adapter, or none, makes it: a reference model without a second set of weights.
    public func with<Result>(_ other: ModelAdapter?, _ body: () throws -> Result) rethrows -> Result {
        let own = adapter
        use(other)
        defer { use(own) }
        return try body()
    }

    private func use(_ other: ModelAdapter?) {
        for layer in adapter?.layers ?? [] { layer.weight.update = nil }
        for layer in other?.layers ?? [] { layer.weight.update = layer.update }
        adapter = other
    }

    private func checkTrainable(_ path: String) throws(CheckpointError) {
        guard computeType.isTrainable else {
            throw CheckpointError(path: path, message: "cannot be trained in \(computeType.rawValue): use bfloat16 or float32")
        }
    }

    /// What an optimizer moves: the adapter's A and B, or every weight of a model without one that was opened for training.
    public var trainableParameters: [Parameter] {
        let candidates = adapter?.parameters ?? parameters
        return candidates.filter { $0.gradientBuffer != nil }
    }
}
