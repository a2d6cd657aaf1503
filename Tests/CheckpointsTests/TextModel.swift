import Checkpoints
import JSON

/// A text model of random weights, as small as a test wants it: heads of 16, two of them to each one for keys and values.
struct TextModel {
    var type = "qwen2"
    var layers = 2
    var width = 64
    /// The width within the MLP; of a multiple of 256 down_proj takes K-quants.
    var inner = 256
    var vocabulary = 96
    var biased = false
    var tied = true

    /// A Hugging Face directory with these weights in FP32; `edit` changes its configuration.
    func write(
        to directory: String, companions: [(name: String, bytes: [UInt8])] = TextModel.byteLevel, edit: (inout JSONObject) -> Void = { _ in }
    ) throws -> Checkpoint {
        var config = self.config
        edit(&config)
        try CheckpointWriter(config: .object(config), companions: companions, type: .float32, layout: .safetensors)
            .create(directory, from: weights, overwrite: true)
        return try Checkpoint(opening: directory)
    }

    private var config: JSONObject {
        func integer(_ value: Int) -> JSONValue { .integer(Int64(value)) }
        var config = JSONObject([
            ("model_type", .string(type)), ("hidden_size", integer(width)), ("intermediate_size", integer(inner)),
            ("num_hidden_layers", integer(layers)), ("num_attention_heads", integer(width / 16)), ("num_key_value_heads", integer(width / 32)),
            ("head_dim", 16), ("vocab_size", integer(vocabulary)), ("max_position_embeddings", 128), ("rms_norm_eps", .number(1e-6)),
            ("rope_theta", .number(10000)), ("tie_word_embeddings", .bool(tied)), ("eos_token_id", 4),
        ])
        if biased { (config["attention_bias"], config["mlp_bias"]) = (true, true) }
        return config
    }

    private var weights: MemoryProvider {
        var tensors: [(name: String, shape: [Int], values: [Float])] = []
        func add(_ name: String, _ shape: [Int]) {
            tensors.append((name, shape, normal(shape.reduce(1, *), deviation: 0.05, seed: UInt64(tensors.count + 1))))
        }
        add("model.embed_tokens.weight", [vocabulary, width])
        if !tied { add("lm_head.weight", [vocabulary, width]) }
        for layer in 0..<layers {
            let prefix = "model.layers.\(layer)."
            for (name, rows) in [("q", width), ("k", width / 2), ("v", width / 2)] {
                add(prefix + "self_attn.\(name)_proj.weight", [rows, width])
                if type == "qwen2" || biased { add(prefix + "self_attn.\(name)_proj.bias", [rows]) }
                if type == "qwen3", name != "v" { add(prefix + "self_attn.\(name)_norm.weight", [16]) }
            }
            add(prefix + "self_attn.o_proj.weight", [width, width])
            if biased {
                for (name, rows) in [("self_attn.o", width), ("mlp.gate", inner), ("mlp.up", inner), ("mlp.down", width)] {
                    add(prefix + name + "_proj.bias", [rows])
                }
            }
            for name in ["input_layernorm", "post_attention_layernorm"] { add(prefix + name + ".weight", [width]) }
            for name in ["gate", "up"] { add(prefix + "mlp.\(name)_proj.weight", [inner, width]) }
            add(prefix + "mlp.down_proj.weight", [width, inner])
        }
        add("model.norm.weight", [width])
        return MemoryProvider(tensors)
    }

    private static let splitting = #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// The files of a byte-level tokenizer, split as Qwen2's, of three tokens and four that are added; a chat template.
    static let byteLevel: [(name: String, bytes: [UInt8])] = {
        func added(_ id: Int64, _ content: String, _ special: Bool) -> JSONValue {
            ["id": .integer(id), "content": .string(content), "special": .bool(special), "normalized": false]
        }
        let json: JSONValue = [
            "added_tokens": [
                added(3, "<|endoftext|>", true), added(4, "<|im_end|>", true), added(5, "<tool_call>", false), added(6, "<|fim_pad|>", false),
            ],
            "normalizer": ["type": "NFC"],
            "pre_tokenizer": [
                "type": "Sequence",
                "pretokenizers": [
                    ["type": "Split", "pattern": ["Regex": .string(splitting)], "behavior": "Isolated", "invert": false],
                    ["type": "ByteLevel", "add_prefix_space": false, "use_regex": false],
                ],
            ],
            "model": ["type": "BPE", "vocab": ["a": 0, "b": 1, "ab": 2], "merges": [["a", "b"]]],
        ]
        let settings: JSONValue = ["eos_token": "<|im_end|>", "pad_token": ["content": "<|endoftext|>"], "add_bos_token": false]
        return [
            ("tokenizer.json", Array(json.serialized().utf8)), ("tokenizer_config.json", Array(settings.serialized().utf8)),
            ("chat_template.jinja", Array("{{ messages }}".utf8)),
        ]
    }()
}
