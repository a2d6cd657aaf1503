public import Checkpoints
public import JSON

/// The shape of a Qwen2 decoder, from a checkpoint's `config.json`.
public struct Qwen2Configuration: Sendable, Equatable {
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
    /// The most tokens a sequence may have.
    public var contextLength: Int
    /// RMSNorm's epsilon.
    public var normEpsilon: Float
    /// Base of the rotary embedding's frequencies.
    public var ropeTheta: Float
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

        let type = json["model_type"]?.string
        guard type == "qwen2" else {
            throw fail(
                "`model_type` is \(json["model_type"]?.serialized() ?? "missing"), expected \"qwen2\": this program opens Qwen2 and Qwen2.5 models")
        }
        if let method = json["quantization_config"], !method.isNull {
            throw fail("`quantization_config` is set: quantised weights are not read yet, use the checkpoint they were made from")
        }
        hiddenSize = try integer("hidden_size", in: 2...65536)
        intermediateSize = try integer("intermediate_size", in: 2...1_048_576)
        layerCount = try integer("num_hidden_layers", in: 1...1024)
        headCount = try integer("num_attention_heads", in: 1...1024)
        keyValueHeadCount = try integer("num_key_value_heads", default: headCount, in: 1...1024)
        vocabularySize = try integer("vocab_size", in: 2...16_777_216)
        contextLength = try integer("max_position_embeddings", default: 32768, in: 1...16_777_216)
        guard hiddenSize % 2 == 0, intermediateSize % 2 == 0 else {
            throw fail("`hidden_size` \(hiddenSize) and `intermediate_size` \(intermediateSize) must be even")
        }
        guard headCount % keyValueHeadCount == 0 else {
            throw fail("`num_attention_heads` \(headCount) is not a multiple of `num_key_value_heads` \(keyValueHeadCount)")
        }
        if json["head_dim"].map({ $0.isNull }) ?? true {
            guard hiddenSize % headCount == 0 else {
                throw fail("`hidden_size` \(hiddenSize) is not a multiple of `num_attention_heads` \(headCount)")
            }
            headSize = hiddenSize / headCount
        } else {
            headSize = try integer("head_dim", in: 2...4096)
        }
        guard headSize % 2 == 0 else { throw fail("the head size \(headSize) is odd, rotary embedding needs an even one") }
        normEpsilon = try positive("rms_norm_eps", json["rms_norm_eps"], default: 1e-6)
        // Transformers 5 moved the base into `rope_parameters`; the scaling types there and in `rope_scaling` change the angles.
        let rope = json["rope_parameters"]
        ropeTheta = try positive("rope_theta", rope?["rope_theta"] ?? json["rope_theta"], default: 10000)
        for scaling in [rope, json["rope_scaling"]] {
            let kind = scaling?["rope_type"]?.string ?? scaling?["type"]?.string ?? "default"
            guard kind == "default" else { throw fail("rope type \"\(kind)\" is not supported, expected \"default\"") }
        }
        guard json["hidden_act"]?.string ?? "silu" == "silu" else {
            throw fail("`hidden_act` is \(json["hidden_act"]?.serialized() ?? ""), expected \"silu\"")
        }
        guard json["use_sliding_window"]?.bool ?? false == false else {
            throw fail("`use_sliding_window` is true: sliding-window attention is not supported")
        }
        tiesEmbeddings = json["tie_word_embeddings"]?.bool ?? false
    }

    /// Parameters of the model, in elements.
    public var parameterCount: Int {
        let attention = hiddenSize * headSize * (2 * headCount + 2 * keyValueHeadCount) + headSize * (headCount + 2 * keyValueHeadCount)
        let layer = attention + 3 * hiddenSize * intermediateSize + 2 * hiddenSize
        return layerCount * layer + hiddenSize + vocabularySize * hiddenSize * (tiesEmbeddings ? 1 : 2)
    }
}
