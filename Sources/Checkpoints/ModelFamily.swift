public import JSON

/// A family of decoders. One decoder runs them all: this table is what they differ in, and the one place where a family is added.
public struct ModelFamily: Sendable, Equatable {
    /// `model_type` in config.json.
    public let modelType: String
    /// `architectures` in config.json.
    let className: String
    /// `general.architecture` of a GGUF file; the first family of an architecture is the one that is read.
    let architecture: String
    /// Whether llama.cpp rotates neighbouring pairs, so that the rows of each head of q and k stand in another order in a file.
    let permutes: Bool
    /// Which linear layers have biases, whatever config.json says, and which have them if it says so.
    private let biases, optionalBiases: Biases
    /// Which of them llama.cpp has for the architecture.
    let biasesInFiles: Biases
    /// Whether queries and keys have a norm over each head.
    public let hasHeadNorms: Bool
    /// The width of a head where config.json does not say; nil where it is the heads' share of the hidden size.
    public let headSize: Int?
    private let window: Window

    /// Every family that runs.
    public static let all = [
        ModelFamily(
            modelType: "qwen2", className: "Qwen2ForCausalLM", architecture: "qwen2", permutes: false, biases: .queriesKeysValues,
            optionalBiases: [], biasesInFiles: .queriesKeysValues, hasHeadNorms: false, headSize: nil, window: .ifUsed),
        ModelFamily(
            modelType: "qwen3", className: "Qwen3ForCausalLM", architecture: "qwen3", permutes: false, biases: [],
            optionalBiases: .attention, biasesInFiles: [], hasHeadNorms: true, headSize: 128, window: .ifUsed),
        // Llama 2 and 3, SmolLM and SmolLM2, TinyLlama and many more.
        ModelFamily(
            modelType: "llama", className: "LlamaForCausalLM", architecture: "llama", permutes: true, biases: [],
            optionalBiases: [.attention, .mlp], biasesInFiles: [.attention, .mlp], hasHeadNorms: false, headSize: nil, window: .none),
        ModelFamily(
            modelType: "mistral", className: "MistralForCausalLM", architecture: "llama", permutes: true, biases: [],
            optionalBiases: [], biasesInFiles: [.attention, .mlp], hasHeadNorms: false, headSize: nil, window: .always(unlessSaid: 4096)),
    ]

    /// The family of a config.json.
    /// - Throws: `CheckpointError` that names the `model_type` and what can be done with such a model.
    public init(of config: JSONValue, path: String) throws(CheckpointError) {
        let type = config["model_type"]?.string
        guard let found = Self.all.first(where: { $0.modelType == type }) else {
            let known = Self.all.map(\.modelType).joined(separator: ", ")
            throw CheckpointError(
                path: path,
                message: "config.json: `model_type` is \(config["model_type"]?.serialized() ?? "missing"), expected one of \(known): models of other "
                    + "families can be inspected, compared, packed and converted to safetensors, but not run")
        }
        self = found
    }

    private init(
        modelType: String, className: String, architecture: String, permutes: Bool, biases: Biases, optionalBiases: Biases, biasesInFiles: Biases,
        hasHeadNorms: Bool, headSize: Int?, window: Window
    ) {
        (self.modelType, self.className, self.architecture, self.permutes) = (modelType, className, architecture, permutes)
        (self.biases, self.optionalBiases, self.biasesInFiles) = (biases, optionalBiases, biasesInFiles)
        (self.hasHeadNorms, self.headSize, self.window) = (hasHeadNorms, headSize, window)
    }
}

// MARK: Biases

extension ModelFamily {
    /// Groups of linear layers with a bias.
    public struct Biases: OptionSet, Sendable {
        /// A bit for each group.
        public let rawValue: UInt8
        /// The groups whose bits are set.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// q_proj, k_proj, v_proj.
        public static let queriesKeysValues = Biases(rawValue: 1)
        /// o_proj.
        public static let attentionOutput = Biases(rawValue: 2)
        /// What `attention_bias` means.
        public static let attention: Biases = [.queriesKeysValues, .attentionOutput]
        /// gate_proj, up_proj, down_proj: `mlp_bias`.
        public static let mlp = Biases(rawValue: 4)
    }

    /// The switches of config.json, with what they stand for.
    static let biasKeys: [(key: String, biases: Biases)] = [("attention_bias", .attention), ("mlp_bias", .mlp)]

    /// The biases of a model with this config.json.
    public func biases(_ config: JSONValue) -> Biases {
        Self.biasKeys.reduce(biases) { config[$1.key]?.bool == true ? $0.union(optionalBiases.intersection($1.biases)) : $0 }
    }

    /// The biases that a model of this family has, seen the tensors it has: `hasBias` is told the GGUF name of one of a layer.
    func biases(_ hasBias: (String) -> Bool) -> Biases {
        var found = biases
        if optionalBiases.contains(.attention), hasBias("attn_output.bias") { found.formUnion(.attention) }
        if optionalBiases.contains(.mlp), hasBias("ffn_gate.bias") { found.formUnion(.mlp) }
        return found
    }
}

// MARK: Sliding window

extension ModelFamily {
    /// When a query sees only the last keys.
    private enum Window: Sendable, Equatable {
        /// Never, whatever config.json says.
        case none
        /// In the layers from `max_window_layers` on, or those that `layer_types` names, if `use_sliding_window` is set.
        case ifUsed
        /// In every layer; `null` in config.json is none.
        case always(unlessSaid: Int)
    }

    /// How many tokens back a query of such a model sees, its own included; nil for all. A sequence of no more tokens than that does not notice.
    public func slidingWindow(_ config: JSONValue, layers: Int) -> Int? {
        switch window {
        case .none: return nil
        case .always(let standard): return config["sliding_window"].map(\.int) ?? standard
        case .ifUsed:
            guard config["use_sliding_window"]?.bool == true else { return nil }
            let types = config["layer_types"]?.array?.contains { $0.string == "sliding_attention" }
            return types ?? (layers > config["max_window_layers"]?.int ?? 28) ? config["sliding_window"].map(\.int) ?? 4096 : nil
        }
    }

    /// Whether published configurations of the family have the keys of a sliding window.
    var hasWindowKeys: Bool { window == .ifUsed }
}

// MARK: Tensors

extension ModelFamily {
    /// A tensor of a decoder layer.
    public struct LayerTensor: Sendable {
        /// Behind `model.layers.N.`.
        public let name: String
        /// Behind `blk.N.` in a GGUF file.
        let gguf: String
        private let dimensions: [Dimension]

        fileprivate enum Dimension { case hidden, intermediate, queries, keys, head }

        fileprivate init(_ name: String, _ gguf: String, _ dimensions: Dimension...) {
            (self.name, self.gguf, self.dimensions) = (name, gguf, dimensions)
        }

        /// Its shape in a model of these widths: `queries` and `keys` are those of all query heads and of all key and value heads.
        public func shape(hidden: Int, intermediate: Int, queries: Int, keys: Int, head: Int) -> [Int] {
            dimensions.map { dimension in
                switch dimension {
                case .hidden: hidden
                case .intermediate: intermediate
                case .queries: queries
                case .keys: keys
                case .head: head
                }
            }
        }
    }

    /// The tensors of a layer of a model with these biases.
    public func layerTensors(_ biases: Biases) -> [LayerTensor] {
        var tensors = [
            LayerTensor("input_layernorm.weight", "attn_norm.weight", .hidden),
            LayerTensor("self_attn.q_proj.weight", "attn_q.weight", .queries, .hidden),
            LayerTensor("self_attn.k_proj.weight", "attn_k.weight", .keys, .hidden),
            LayerTensor("self_attn.v_proj.weight", "attn_v.weight", .keys, .hidden),
            LayerTensor("self_attn.o_proj.weight", "attn_output.weight", .hidden, .queries),
            LayerTensor("post_attention_layernorm.weight", "ffn_norm.weight", .hidden),
            LayerTensor("mlp.gate_proj.weight", "ffn_gate.weight", .intermediate, .hidden),
            LayerTensor("mlp.up_proj.weight", "ffn_up.weight", .intermediate, .hidden),
            LayerTensor("mlp.down_proj.weight", "ffn_down.weight", .hidden, .intermediate),
        ]
        if biases.contains(.queriesKeysValues) {
            tensors += [
                LayerTensor("self_attn.q_proj.bias", "attn_q.bias", .queries), LayerTensor("self_attn.k_proj.bias", "attn_k.bias", .keys),
                LayerTensor("self_attn.v_proj.bias", "attn_v.bias", .keys),
            ]
        }
        if biases.contains(.attentionOutput) { tensors.append(LayerTensor("self_attn.o_proj.bias", "attn_output.bias", .hidden)) }
        if biases.contains(.mlp) {
            tensors += [
                LayerTensor("mlp.gate_proj.bias", "ffn_gate.bias", .intermediate), LayerTensor("mlp.up_proj.bias", "ffn_up.bias", .intermediate),
                LayerTensor("mlp.down_proj.bias", "ffn_down.bias", .hidden),
            ]
        }
        if hasHeadNorms {
            tensors += [
                LayerTensor("self_attn.q_norm.weight", "attn_q_norm.weight", .head),
                LayerTensor("self_attn.k_norm.weight", "attn_k_norm.weight", .head),
            ]
        }
        return tensors
    }
}
