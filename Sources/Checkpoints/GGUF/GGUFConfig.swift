internal import GGUF
internal import JSON

/// The shape of a qwen2 model as a GGUF file's metadata tells it, its config.json, and the tensors it must have.
struct GGUFConfig {
    let hiddenSize, intermediateSize, layers, heads, keyValueHeads, contextLength: Int
    private let slidingWindow: Int
    private let epsilon, ropeTheta: Float
    private let bos, eos: Int?
    private let path: String

    init(_ metadata: GGUFMetadata) throws(CheckpointError) {
        path = metadata.file.path
        let architecture = try metadata.string("general.architecture")
        guard architecture == "qwen2" else {
            throw metadata.failure(
                "general.architecture", "is '\(architecture.prefix(40))'; only GGUF files of the architecture 'qwen2' (Qwen2, Qwen2.5) are read")
        }
        if let type = try metadata.optionalString("general.type"), type != "model" {
            throw metadata.failure("general.type", "is '\(type.prefix(40))', expected 'model' (an adapter is not a checkpoint)")
        }
        if let parts = try metadata.optionalInteger("split.count"), parts > 1 {
            throw metadata.failure("split.count", "is \(parts): this is one part of a split model; join the parts with `llama-gguf-split --merge`")
        }
        if let scaling = try metadata.optionalString("qwen2.rope.scaling.type"), scaling != "none" {
            throw metadata.failure("qwen2.rope.scaling.type", "is '\(scaling.prefix(40))'; rotary embeddings with scaling are not read")
        }
        layers = try metadata.count("qwen2.block_count")
        contextLength = try metadata.count("qwen2.context_length")
        hiddenSize = try metadata.count("qwen2.embedding_length")
        intermediateSize = try metadata.count("qwen2.feed_forward_length")
        heads = try metadata.count("qwen2.attention.head_count")
        keyValueHeads = try metadata.optionalInteger("qwen2.attention.head_count_kv") ?? heads
        slidingWindow = try metadata.optionalInteger("qwen2.attention.sliding_window") ?? contextLength
        epsilon = try metadata.float("qwen2.attention.layer_norm_rms_epsilon")
        ropeTheta = try metadata.optionalFloat("qwen2.rope.freq_base") ?? 10000
        bos = try metadata.optionalInteger("tokenizer.ggml.bos_token_id")
        eos = try metadata.optionalInteger("tokenizer.ggml.eos_token_id")
        guard hiddenSize % heads == 0, hiddenSize / heads % 2 == 0 else {
            throw metadata.failure(
                "qwen2.attention.head_count", "is \(heads), which does not divide the embedding length \(hiddenSize) into heads of even size")
        }
        guard keyValueHeads > 0, heads % keyValueHeads == 0 else {
            throw metadata.failure("qwen2.attention.head_count_kv", "is \(keyValueHeads), which does not divide the \(heads) heads")
        }
        guard epsilon > 0, epsilon.isFinite else {
            throw metadata.failure("qwen2.attention.layer_norm_rms_epsilon", "is \(epsilon), expected a positive number")
        }
        guard ropeTheta > 0, ropeTheta.isFinite else { throw metadata.failure("qwen2.rope.freq_base", "is \(ropeTheta), expected a positive number") }
    }

    /// config.json with the keys of a published Qwen2.5 checkpoint. What GGUF does not keep (dropout, the range of the initial weights) has
    /// the value they all have.
    func json(vocabularySize: Int, tied: Bool) -> JSONValue {
        var json = JSONObject()
        json["architectures"] = ["Qwen2ForCausalLM"]
        json["attention_dropout"] = 0.0
        json["bos_token_id"] = bos.map { .integer(Int64($0)) }
        json["eos_token_id"] = eos.map { .integer(Int64($0)) }
        json["hidden_act"] = "silu"
        json["hidden_size"] = .integer(Int64(hiddenSize))
        json["initializer_range"] = 0.02
        json["intermediate_size"] = .integer(Int64(intermediateSize))
        json["max_position_embeddings"] = .integer(Int64(contextLength))
        json["max_window_layers"] = .integer(Int64(layers))
        json["model_type"] = "qwen2"
        json["num_attention_heads"] = .integer(Int64(heads))
        json["num_hidden_layers"] = .integer(Int64(layers))
        json["num_key_value_heads"] = .integer(Int64(keyValueHeads))
        json["rms_norm_eps"] = .number(Self.asWritten(epsilon))
        json["rope_theta"] = .number(Self.asWritten(ropeTheta))
        json["sliding_window"] = .integer(Int64(slidingWindow))
        json["tie_word_embeddings"] = .bool(tied)
        json["torch_dtype"] = "bfloat16"
        json["use_cache"] = true
        json["use_sliding_window"] = false
        json["vocab_size"] = .integer(Int64(vocabularySize))
        return .object(json)
    }

    /// The decimal number that was rounded to single precision: 1e-06, not 9.999999974752427e-07.
    private static func asWritten(_ value: Float) -> Double { Double(value.description) ?? Double(value) }

    /// The tensors of this model in `file` under their Hugging Face names. Throws when one is missing, has another shape, cannot be read, or
    /// when the file holds one that such a model does not have.
    func tensors(in file: GGUFFile, _ embedding: GGUFEmbedding) throws(CheckpointError) -> [String: GGUFTensor] {
        var found = ["model.embed_tokens.weight": embedding.input]
        if let head = embedding.head { found["lm_head.weight"] = head }
        var taken: Set = ["token_embd.weight", "output.weight"]
        func take(_ nameInFile: String, _ name: String, _ shape: [Int]) throws(CheckpointError) {
            guard let tensor = file.tensor(named: nameInFile) else {
                throw CheckpointError(path: path, tensor: nameInFile, message: "is missing; it holds \(name), and the model has \(layers) layers")
            }
            guard tensor.shape == shape else {
                throw CheckpointError(path: path, tensor: nameInFile, message: "has shape \(tensor.shape), expected \(shape)")
            }
            found[name] = tensor
            taken.insert(nameInFile)
        }
        try take("output_norm.weight", "model.norm.weight", [hiddenSize])
        // Ends at the first tensor that is not there, so that a billion declared layers cost nothing.
        let ofLayer = layerTensors
        for layer in 0..<layers {
            for (nameInFile, name, shape) in ofLayer { try take("blk.\(layer).\(nameInFile)", "model.layers.\(layer).\(name)", shape) }
        }
        for tensor in file.tensors {
            guard taken.contains(tensor.name) else {
                throw CheckpointError(path: path, tensor: tensor.name, message: "is not a tensor of a qwen2 model of \(layers) layers")
            }
            guard GGUFFile.readableTypes.contains(tensor.type) else {
                throw CheckpointError(path: path, tensor: tensor.name, message: "is stored as \(tensor.type.name), which cannot be read")
            }
        }
        return found
    }

    /// The tensors of one layer: name in the file, Hugging Face's name, shape.
    private var layerTensors: [(String, String, [Int])] {
        let keyValueSize = hiddenSize / heads * keyValueHeads
        return [
            ("attn_norm.weight", "input_layernorm.weight", [hiddenSize]),
            ("attn_q.weight", "self_attn.q_proj.weight", [hiddenSize, hiddenSize]),
            ("attn_q.bias", "self_attn.q_proj.bias", [hiddenSize]),
            ("attn_k.weight", "self_attn.k_proj.weight", [keyValueSize, hiddenSize]),
            ("attn_k.bias", "self_attn.k_proj.bias", [keyValueSize]),
            ("attn_v.weight", "self_attn.v_proj.weight", [keyValueSize, hiddenSize]),
            ("attn_v.bias", "self_attn.v_proj.bias", [keyValueSize]),
            ("attn_output.weight", "self_attn.o_proj.weight", [hiddenSize, hiddenSize]),
            ("ffn_norm.weight", "post_attention_layernorm.weight", [hiddenSize]),
            ("ffn_gate.weight", "mlp.gate_proj.weight", [intermediateSize, hiddenSize]),
            ("ffn_up.weight", "mlp.up_proj.weight", [intermediateSize, hiddenSize]),
            ("ffn_down.weight", "mlp.down_proj.weight", [hiddenSize, intermediateSize]),
        ]
    }
}
