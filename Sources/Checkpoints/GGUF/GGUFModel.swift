internal import GGUF
internal import JSON

/// A model's config.json as GGUF's keys, and its tensors under GGUF's names: the other direction of `GGUFConfig`.
struct GGUFModel {
    let family: ModelFamily
    let layers, headSize, vocabularySize: Int
    let keys: [(key: String, value: GGUFLayout.Value)]
    /// Llama 3's factors of the rotary frequencies.
    let ropeFactors: [Float]?
    private(set) var notes: [String] = []
    private let ties: Bool
    private let biases: ModelFamily.Biases

    init(_ source: some CheckpointView) throws(CheckpointError) {
        let config = source.config
        func failure(_ message: String) -> CheckpointError { CheckpointError(path: source.path, message: "config.json: \(message)") }
        func integer(_ key: String, default standard: Int? = nil) throws(CheckpointError) -> Int {
            guard let value = config[key].flatMap({ $0.isNull ? nil : $0.int }) ?? standard, (1...Int(Int32.max)).contains(value) else {
                throw failure("`\(key)` is \(config[key]?.serialized() ?? "missing"), expected a positive integer")
            }
            return value
        }
        func number(_ key: String, _ value: JSONValue?, default standard: Double) throws(CheckpointError) -> Double {
            guard let number = value.map({ $0.double }) ?? standard, number > 0, number.isFinite else {
                throw failure("`\(key)` is \(value?.serialized() ?? "missing"), expected a positive number")
            }
            return number
        }
        let family = try ModelFamily(of: config, path: source.path)
        if config["quantization_config"].map({ !$0.isNull }) == true {
            throw failure("`quantization_config` is set: weights quantised in a way that is not read here; use the checkpoint they were made from")
        }
        self.family = family
        biases = family.biases(config)
        guard biases.isSubset(of: family.biasesInFiles) else {
            throw failure("`attention_bias` is true: llama.cpp has no biases in \(family.architecture) models and would not open the file")
        }
        layers = try integer("num_hidden_layers")
        vocabularySize = try integer("vocab_size")
        ties = config["tie_word_embeddings"]?.bool ?? false
        let hidden = try integer("hidden_size"), heads = try integer("num_attention_heads")
        let context = try integer("max_position_embeddings", default: 2048)
        headSize = try integer("head_dim", default: family.headSize ?? hidden / heads)
        guard headSize % 2 == 0 else { throw failure("heads of \(headSize), which is odd") }
        let rotary = try RotaryParameters(config, path: source.path)
        let prefix = family.architecture
        func count(_ key: String, _ value: Int) -> (key: String, value: GGUFLayout.Value) { ("\(prefix).\(key)", .uint32(UInt32(value))) }
        var keys: [(key: String, value: GGUFLayout.Value)] = [
            ("general.architecture", .string(prefix)), ("general.type", .string("model")), ("general.name", .string(Self.name(source.path))),
            count("block_count", layers), count("context_length", context), count("embedding_length", hidden),
            count("feed_forward_length", try integer("intermediate_size")), count("attention.head_count", heads),
            count("attention.head_count_kv", try integer("num_key_value_heads", default: heads)),
            ("\(prefix).rope.freq_base", .float32(Float(rotary.theta))),
            ("\(prefix).attention.layer_norm_rms_epsilon", .float32(Float(try number("rms_norm_eps", config["rms_norm_eps"], default: 1e-6)))),
        ]
        if family.hasHeadNorms || headSize * heads != hidden {
            keys += [count("attention.key_length", headSize), count("attention.value_length", headSize)]
        }
        if family.permutes { keys += [count("rope.dimension_count", headSize), count("vocab_size", vocabularySize)] }
        let rope = try GGUFRope.written(rotary, config, prefix, headSize: headSize, path: source.path)
        self.keys = keys + rope.keys
        ropeFactors = rope.factors
        if let window = family.slidingWindow(config, layers: layers), window < context {
            notes.append("llama.cpp attends to the whole context of this model: its sliding window is not in the file")
        }
    }

    /// The last part of the source's path: the same on every machine, unlike the whole.
    private static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "model" }

    /// Whether the head is the embedding. A checkpoint that says so and has a head as well is taken at its word only if both are the same.
    func isTied(_ source: some CheckpointView) throws(CheckpointError) -> Bool {
        guard let head = source.tensors.tensor(named: "lm_head.weight") else {
            guard ties else {
                throw CheckpointError(
                    path: source.path, tensor: "lm_head.weight", message: "is missing, and config.json does not tie it to the embedding")
            }
            return true
        }
        guard ties else { return false }
        let difference = try source.difference(of: head.name, from: Renamed(source, "model.embed_tokens.weight", as: head.name), as: .float32)
        guard difference.changed == 0 else {
            throw CheckpointError(
                path: source.path, tensor: head.name,
                message: "config.json ties it to the embedding, but \(difference.changed) of its \(difference.count) weights differ: set "
                    + "tie_word_embeddings to false, or remove the tensor")
        }
        return true
    }

    /// One tensor under another name.
    private struct Renamed<Source: TensorProvider>: TensorProvider {
        let tensors: [TensorInfo]
        private let source: Source
        private let original: String

        init(_ source: Source, _ original: String, as name: String) {
            self.source = source
            self.original = original
            tensors = source.tensors.filter { $0.name == original }.map {
                TensorInfo(name: name, shape: $0.shape, storage: $0.storage, type: $0.type, storedType: $0.storedType)
            }
        }

        func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            try source.read(original, rows: rows, as: type, into: buffer)
        }
    }

    /// The tensors in the order of the file: GGUF's name, the source's tensor, its layer. Throws when one is missing or left over.
    func tensors(_ source: some CheckpointView, tied: Bool) throws(CheckpointError) -> [(name: String, info: TensorInfo, layer: Int?)] {
        var found: [(name: String, info: TensorInfo, layer: Int?)] = []
        var taken: Set<String> = tied ? ["lm_head.weight"] : []
        let all = source.tensors
        func take(_ name: String, _ original: String, _ layer: Int?) throws(CheckpointError) {
            guard let info = all.tensor(named: original) else {
                throw CheckpointError(path: source.path, tensor: original, message: "is missing; the model has \(layers) layers")
            }
            guard info.isNumeric, info.count > 0 else {
                throw CheckpointError(path: source.path, tensor: original, message: "is stored as \(info.storage), which is no weight")
            }
            found.append((name, info, layer))
            taken.insert(original)
        }
        try take("token_embd.weight", "model.embed_tokens.weight", nil)
        guard let rows = found.first?.info.rowCount, rows == vocabularySize else {
            throw CheckpointError(
                path: source.path, tensor: "model.embed_tokens.weight",
                message: "has \(found.first?.info.rowCount ?? 0) rows, but config.json says vocab_size \(vocabularySize)")
        }
        if !tied { try take("output.weight", "lm_head.weight", nil) }
        let layerTensors = family.layerTensors(biases)
        for layer in 0..<layers {
            for tensor in layerTensors { try take("blk.\(layer).\(tensor.gguf)", "model.layers.\(layer).\(tensor.name)", layer) }
        }
        try take("output_norm.weight", "model.norm.weight", nil)
        for info in all where !taken.contains(info.name) && !info.name.hasSuffix("rotary_emb.inv_freq") {
            throw CheckpointError(path: source.path, tensor: info.name, message: "has no place in a GGUF file of a \(family.architecture) model")
        }
        return found
    }
}
