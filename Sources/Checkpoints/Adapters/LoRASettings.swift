public import JSON

/// What a LoRA adapter is (Hu et al. 2021): the linear layers to whose weights it adds scale B A, and how. Names and meanings are those of PEFT's
/// LoraConfig.
public struct LoRASettings: Sendable, Equatable {
    /// The layers that `all-linear` means.
    public static let allLinear = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

    /// Rows of A and columns of B.
    public var rank = 16
    /// The scale is `alpha / rank`, or `alpha / sqrt(rank)` when it is rank-stabilised.
    public var alpha = 32.0
    /// The share of a layer's inputs that A does not see in training.
    public var dropout = 0.05
    /// The layers by their names, or the ends of these behind a dot.
    public var targets = ["q_proj", "v_proj"]
    /// Whether the scale is that of rsLoRA (Kalajdzievski 2023).
    public var isRankStabilized = false

    /// PEFT's for Qwen2 and TRL's, whichever says something.
    public init() {}

    /// What B A is multiplied by.
    public var scale: Double { alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank)) }

    /// Whether it is for the layer of that name, `model.layers.0.self_attn.q_proj`.
    public func includes(_ layer: String) -> Bool { targets.contains { Self.target($0, means: layer) } }

    /// Whether a target means that layer.
    public static func target(_ target: String, means layer: String) -> Bool { layer == target || layer.hasSuffix("." + target) }

    /// adapter_config.json as PEFT writes it, with what PEFT leaves at its defaults left out; `base` names the model that it is for.
    public func json(base: String) -> JSONValue {
        [
            "base_model_name_or_path": .string(base), "bias": "none", "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
            "lora_alpha": alpha == alpha.rounded() && abs(alpha) < 1e15 ? .integer(Int64(alpha)) : .number(alpha), "lora_dropout": .number(dropout),
            "modules_to_save": .null, "peft_type": "LORA", "r": .integer(Int64(rank)), "target_modules": .array(targets.map { .string($0) }),
            "task_type": "CAUSAL_LM", "use_dora": false, "use_rslora": .bool(isRankStabilized),
        ]
    }
}
