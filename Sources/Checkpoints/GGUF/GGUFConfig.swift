internal import GGUF
internal import JSON

/// The shape of a model as a GGUF file's metadata tells it, its config.json, and the tensors it must have.
struct GGUFConfig {
    let family: ModelFamily
    private let biases: ModelFamily.Biases
    let hiddenSize, intermediateSize, layers, heads, keyValueHeads, headSize, contextLength: Int
    private let slidingWindow: Int
    private let epsilon, ropeTheta: Float
    private let ropeScaling: JSONValue?
    private let bos, eos: Int?
    private let path: String

    init(_ metadata: GGUFMetadata) throws(CheckpointError) {
        path = metadata.file.path
        let architecture = try metadata.string("general.architecture")
        guard let family = ModelFamily.all.first(where: { $0.architecture == architecture }) else {
            let known = Set(ModelFamily.all.map(\.architecture)).sorted().joined(separator: ", ")
            throw metadata.failure("general.architecture", "is '\(architecture.prefix(40))'; GGUF files of these architectures are read: \(known)")
        }
        self.family = family
        biases = family.biases { metadata.file.tensor(named: "blk.0.\($0)") != nil }
        if let type = try metadata.optionalString("general.type"), type != "model" {
            throw metadata.failure("general.type", "is '\(type.prefix(40))', expected 'model' (an adapter is not a checkpoint)")
        }
        if let parts = try metadata.optionalInteger("split.count"), parts > 1 {
            throw metadata.failure("split.count", "is \(parts): this is one part of a split model; join the parts with `llama-gguf-split --merge`")
        }
        layers = try metadata.count("\(architecture).block_count")
        contextLength = try metadata.count("\(architecture).context_length")
        hiddenSize = try metadata.count("\(architecture).embedding_length")
        intermediateSize = try metadata.count("\(architecture).feed_forward_length")
        heads = try metadata.count("\(architecture).attention.head_count")
        keyValueHeads = try metadata.optionalInteger("\(architecture).attention.head_count_kv") ?? heads
        slidingWindow = try metadata.optionalInteger("\(architecture).attention.sliding_window") ?? contextLength
        epsilon = try metadata.float("\(architecture).attention.layer_norm_rms_epsilon")
        ropeTheta = try metadata.optionalFloat("\(architecture).rope.freq_base") ?? 10000
        bos = try metadata.optionalInteger("tokenizer.ggml.bos_token_id")
        eos = try metadata.optionalInteger("tokenizer.ggml.eos_token_id")
        let sizeKey = "\(architecture).attention.key_length"
        if let size = try metadata.optionalInteger(sizeKey) {
            guard size > 0, size % 2 == 0, size <= 1 << 16 else { throw metadata.failure(sizeKey, "is \(size), expected an even number up to 65536") }
            headSize = size
        } else {
            guard hiddenSize % heads == 0, hiddenSize / heads % 2 == 0 else {
                throw metadata.failure(
                    "\(architecture).attention.head_count",
                    "is \(heads), which does not divide the embedding length \(hiddenSize) into heads of even size")
            }
            headSize = hiddenSize / heads
        }
        guard keyValueHeads > 0, heads % keyValueHeads == 0 else {
            throw metadata.failure("\(architecture).attention.head_count_kv", "is \(keyValueHeads), which does not divide the \(heads) heads")
        }
        guard epsilon > 0, epsilon.isFinite else {
            throw metadata.failure("\(architecture).attention.layer_norm_rms_epsilon", "is \(epsilon), expected a positive number")
        }
        guard ropeTheta > 0, ropeTheta.isFinite else {
            throw metadata.failure("\(architecture).rope.freq_base", "is \(ropeTheta), expected a positive number")
        }
        ropeScaling = try GGUFRope.scaling(metadata, architecture, theta: ropeTheta, headSize: headSize)
    }

    /// config.json with the keys of a published checkpoint of the family. What GGUF does not keep (dropout, the range of the initial weights) has
    /// the value they all have.
    func json(vocabularySize: Int, tied: Bool) -> JSONValue {
        var json = JSONObject()
        json["architectures"] = [.string(family.className)]
        for (key, named) in ModelFamily.biasKeys where family.biases([key: true]) != family.biases([:]) {
            json[key] = .bool(!biases.isDisjoint(with: named))
        }
        json["attention_dropout"] = 0.0
        json["bos_token_id"] = bos.map { .integer(Int64($0)) }
        json["eos_token_id"] = eos.map { .integer(Int64($0)) }
        if family.hasHeadNorms || headSize * heads != hiddenSize { json["head_dim"] = .integer(Int64(headSize)) }
        json["hidden_act"] = "silu"
        json["hidden_size"] = .integer(Int64(hiddenSize))
        json["initializer_range"] = 0.02
        json["intermediate_size"] = .integer(Int64(intermediateSize))
        json["max_position_embeddings"] = .integer(Int64(contextLength))
        if family.hasWindowKeys { json["max_window_layers"] = .integer(Int64(layers)) }
        json["model_type"] = .string(family.modelType)
        json["num_attention_heads"] = .integer(Int64(heads))
        json["num_hidden_layers"] = .integer(Int64(layers))
        json["num_key_value_heads"] = .integer(Int64(keyValueHeads))
        json["rms_norm_eps"] = .number(Self.asWritten(epsilon))
        json["rope_scaling"] = ropeScaling
        json["rope_theta"] = .number(Self.asWritten(ropeTheta))
        if family.hasWindowKeys { json["sliding_window"] = .integer(Int64(slidingWindow)) }
        json["tie_word_embeddings"] = .bool(tied)
        json["torch_dtype"] = "bfloat16"
        json["use_cache"] = true
        if family.hasWindowKeys { json["use_sliding_window"] = false }
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
        let ofLayer = family.layerTensors(biases).map {
            let shape = $0.shape(
                hidden: hiddenSize, intermediate: intermediateSize, queries: heads * headSize, keys: keyValueHeads * headSize, head: headSize)
            return ($0.gguf, $0.name, shape)
        }
        for layer in 0..<layers {
            for (nameInFile, name, shape) in ofLayer { try take("blk.\(layer).\(nameInFile)", "model.layers.\(layer).\(name)", shape) }
        }
        if file.tensor(named: GGUFRope.tensorName) != nil { taken.insert(GGUFRope.tensorName) }
        for tensor in file.tensors {
            guard taken.contains(tensor.name) else {
                throw CheckpointError(
                    path: path, tensor: tensor.name, message: "is not a tensor of a \(family.architecture) model of \(layers) layers")
            }
            guard GGUFFile.readableTypes.contains(tensor.type) else {
                throw CheckpointError(path: path, tensor: tensor.name, message: "is stored as \(tensor.type.name), which cannot be read")
            }
        }
        return found
    }
}
