public import Checkpoints

extension GRPOConfiguration {
    /// The adapter that `use_peft` asks for; nil for full fine-tuning.
    public var lora: LoRASettings? {
        guard usesLoRA else { return nil }
        var settings = LoRASettings()
        (settings.rank, settings.alpha, settings.isRankStabilized) = (loraRank, Double(loraAlpha), usesRankStabilizedLoRA)
        settings.dropout = loraDropout
        if let loraTargets { settings.targets = loraTargets == ["all-linear"] ? LoRASettings.allLinear : loraTargets }
        return settings
    }

    /// Refuses an adapter that cannot be had, before a model is opened for it.
    func checkLoRA() throws(ConfigurationError) {
        guard usesLoRA else { return }
        if syncsReference {
            throw ConfigurationError(
                message: "sync_ref_model is true with use_peft, whose reference is the model without the adapter: leave one of them out, as in TRL")
        }
        for target in loraTargets ?? [] where loraTargets != ["all-linear"] {
            guard LoRASettings.allLinear.contains(where: { LoRASettings.target($0, means: target) }) else {
                throw ConfigurationError(
                    message: "lora_target_modules: found '\(target)', expected all-linear alone or names of linear layers "
                        + "(\(LoRASettings.allLinear.joined(separator: ", "))), without expressions")
            }
        }
    }

    /// Refuses settings that an adapter which goes on being trained contradicts; those at their defaults say nothing.
    func check(_ adapter: LoRAAdapter) throws(ConfigurationError) {
        let (own, standard, found) = (lora ?? LoRASettings(), LoRASettings(), adapter.settings)
        func same<Value: Equatable>(_ key: String, _ path: KeyPath<LoRASettings, Value>) throws(ConfigurationError) {
            guard own[keyPath: path] == standard[keyPath: path] || own[keyPath: path] == found[keyPath: path] else {
                throw ConfigurationError(
                    message: "\(key): found \(own[keyPath: path]), but the adapter \(adapter.path) has \(found[keyPath: path]): leave the key out "
                        + "to go on training it")
            }
        }
        try same("lora_r", \.rank)
        try same("lora_alpha", \.alpha)
        try same("use_rslora", \.isRankStabilized)
        try same("lora_dropout", \.dropout)
        // PEFT writes out what `all-linear` meant, layer by layer.
        let layers = adapter.updates.keys.map { String($0.dropLast(".weight".count)) }
        let areAllMeant = layers.allSatisfy { own.includes($0) }
        let areAllThere = own.targets.allSatisfy { name in layers.contains { LoRASettings.target(name, means: $0) } }
        guard loraTargets == nil || areAllMeant && areAllThere else {
            throw ConfigurationError(
                message: "lora_target_modules: the adapter \(adapter.path) has \(found.targets.joined(separator: ", ")): leave the key out "
                    + "to go on training it")
        }
    }
}
