public import Checkpoints
public import JSON

/// The shape of a decoder of one of the families, from a checkpoint's `config.json`.
public struct Qwen2Configuration: Sendable, Equatable {
    /// What kind of decoder it is.
    public let family: ModelFamily
    /// Which linear layers have biases.
    public let biases: ModelFamily.Biases
    /// Width of the residual stream.
    public var hiddenSize: Int
    /// Width of the SwiGLU layer.
    public var intermediateSize: Int
    /// Decoder layers.
    public var layerCount: Int
    /// Query heads.
    public var headCount: Int
    /// Key and value heads; a divisor of `headCount`.
    public var keyValueHeadCount: Int
    /// Width of one head.
    public var headSize: Int
    /// Rows of the embedding: at least the tokenizer's ids.
    public var vocabularySize: Int
    /// The most tokens a sequence may have: what the positions allow, and no more than a sliding window, within which attention is the whole.
    public var contextLength: Int
    /// RMSNorm's epsilon.
    public var normEpsilon: Float
    /// Base and scaling of the rotary embedding's frequencies.
    public let rotary: RotaryParameters
    /// Whether the head is the embedding.
    public var tiesEmbeddings: Bool

    /// Reads and checks `config.json`.
    /// - Throws: `CheckpointError` naming the key, what was found and what was expected.
    public init(_ json: JSONValue, path: String) throws(CheckpointError) {
        func fail(_ message: String) -> CheckpointError { CheckpointError(path: path, message: "config.json: \(message)") }
        func integer(_ key: String, default standard: Int? = nil, in range: ClosedRange<Int>) throws(CheckpointError) -> Int {
            guard let value = json[key], !value.isNull else {
                guard let standard else { throw fail("`\(key)` is missing, expected an integer from \(range.lowerBound) to \(range.upperBound)") }
                return standard
            }
            guard let number = value.int, range.contains(number) else {
                throw fail("`\(key)` is \(value.serialized()), expected an integer from \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
        func positive(_ key: String, _ value: JSONValue?, default standard: Double) throws(CheckpointError) -> Float {
            guard let value, !value.isNull else { return Float(standard) }
            guard let number = value.double, number > 0, number < 1e30 else {
                throw fail("`\(key)` is \(value.serialized()), expected a positive number")
            }
            return Float(number)
        }

        family = try ModelFamily(of: json, path: path)
        biases = family.biases(json)
        if let method = json["quantization_config"], !method.isNull {
            throw fail("`quantization_config` is set: quantised weights are not read yet, use the checkpoint they were made from")
        }
        hiddenSize = try integer("hidden_size", in: 2...65536)
        intermediateSize = try integer("intermediate_size", in: 2...1_048_576)
        layerCount = try integer("num_hidden_layers", in: 1...1024)
        headCount = try integer("num_attention_heads", in: 1...1024)
        keyValueHeadCount = try integer("num_key_value_heads", default: headCount, in: 1...1024)
        vocabularySize = try integer("vocab_size", in: 2...16_777_216)
        let positions = try integer("max_position_embeddings", default: 2048, in: 1...16_777_216)
        if let window = json["sliding_window"], !window.isNull { _ = try integer("sliding_window", in: 1...Int.max) }
        contextLength = min(positions, family.slidingWindow(json, layers: layerCount) ?? positions)
        guard hiddenSize % 2 == 0, intermediateSize % 2 == 0 else {
            throw fail("`hidden_size` \(hiddenSize) and `intermediate_size` \(intermediateSize) must be even")
        }
        guard headCount % keyValueHeadCount == 0 else {
            throw fail("`num_attention_heads` \(headCount) is not a multiple of `num_key_value_heads` \(keyValueHeadCount)")
        }
        if json["head_dim"].map({ $0.isNull }) ?? true, family.headSize == nil, hiddenSize % headCount != 0 {
            throw fail("`hidden_size` \(hiddenSize) is not a multiple of `num_attention_heads` \(headCount)")
        }
        headSize = try integer("head_dim", default: family.headSize ?? hiddenSize / headCount, in: 2...4096)
        guard headSize % 2 == 0 else { throw fail("the head size \(headSize) is odd, rotary embedding needs an even one") }
        normEpsilon = try positive("rms_norm_eps", json["rms_norm_eps"], default: 1e-6)
        rotary = try RotaryParameters(json, path: path)
        switch rotary.scaling {
        // Dynamic scaling begins beyond `max_position_embeddings`, where no sequence goes.
        case .none, .linear, .llama3, .other("dynamic"): break
        case .other(let kind):
            throw fail(
                "rope type \"\(kind)\" is not supported, expected default, linear, llama3 or dynamic: without `rope_scaling` the model runs on texts of "
                    + "the length it was first trained on (`original_max_position_embeddings`)")
        }
        guard json["hidden_act"]?.string ?? "silu" == "silu" else {
            throw fail("`hidden_act` is \(json["hidden_act"]?.serialized() ?? ""), expected \"silu\"")
        }
        for key in ["num_experts", "num_local_experts", "attn_logit_softcapping", "final_logit_softcapping"] {
            guard json[key].map(\.isNull) ?? true else { throw fail("`\(key)` is set: mixtures of experts and softcapped logits are not supported") }
        }
        tiesEmbeddings = json["tie_word_embeddings"]?.bool ?? false
    }

    /// The tensors of every decoder layer, by their names behind `model.layers.N.`.
    var layerTensors: [(name: String, shape: [Int])] {
        family.layerTensors(biases).map {
            let shape = $0.shape(
                hidden: hiddenSize, intermediate: intermediateSize, queries: headCount * headSize, keys: keyValueHeadCount * headSize, head: headSize)
            return ($0.name, shape)
        }
    }

    /// Parameters of the model, in elements.
    public var parameterCount: Int {
        let layer = layerTensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
        return layerCount * layer + hiddenSize + vocabularySize * hiddenSize * (tiesEmbeddings ? 1 : 2)
    }
}
