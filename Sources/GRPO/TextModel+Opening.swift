internal import Checkpoints
public import Qwen2

extension TextModel {
    /// Opens a checkpoint, or the directory of a LoRA adapter with the model that it is for.
    /// - Throws: what `Checkpoint`, `LoRAAdapter` and `TextModel.init` throw.
    public convenience init(opening path: String, computeType: ComputeType = .bfloat16) throws {
        let adapter = LoRAAdapter.isAdapter(path) ? try LoRAAdapter(opening: path) : nil
        try self.init(Checkpoint(opening: adapter?.basePath ?? path), computeType: computeType)
        if let adapter { try model.addAdapter(adapter) }
    }

    /// Opens the model that a configuration trains: with masters and gradients, or with `use_peft` as it is, and a new adapter or the one that
    /// `model_name_or_path` is.
    /// - Parameter trainable: false only looks at it; an adapter, which is small, is there all the same.
    /// - Throws: what `init(opening:)` throws, and `ConfigurationError` for settings that contradict the adapter.
    public convenience init(training configuration: GRPOConfiguration, trainable: Bool = true) throws {
        let path = configuration.model ?? ""
        let computeType = configuration.dtype
        switch (LoRAAdapter.isAdapter(path), configuration.lora) {
        case (false, nil): try self.init(Checkpoint(opening: path), computeType: computeType, trainable: trainable)
        case (false, let settings?):
            try self.init(Checkpoint(opening: path), computeType: computeType)
            try model.addAdapter(settings, seed: UInt64(configuration.seed), base: path)
        case (true, nil):
            throw ConfigurationError(
                message:
                    "model_name_or_path: \(path) is a LoRA adapter: set use_peft to go on training it, or merge it first (grpo-cli convert BASE OUT "
                    + "--to safetensors --merge-adapter \(path))")
        case (true, _?):
            let adapter = try LoRAAdapter(opening: path)
            try configuration.check(adapter)
            try self.init(Checkpoint(opening: adapter.basePath), computeType: computeType)
            try model.addAdapter(adapter, trainable: true)
        }
    }
}
