/// A family of decoders as GGUF knows it, beside what Hugging Face calls it: the one table of differences that reading and writing share.
struct GGUFFamily {
    /// `general.architecture`.
    let architecture: String
    /// `model_type` in config.json, the first one for files that are read.
    let modelTypes: [String]
    /// `architectures` in config.json.
    let className: String
    /// Whether queries, keys and values have biases.
    let hasBiases: Bool
    /// Whether queries and keys have norms of their own.
    let hasHeadNorms: Bool
    /// Whether llama.cpp rotates neighbouring pairs, so that the rows of each head of q and k are stored in another order.
    let permutes: Bool

    static let all = [
        GGUFFamily(
            architecture: "qwen2", modelTypes: ["qwen2"], className: "Qwen2ForCausalLM", hasBiases: true, hasHeadNorms: false, permutes: false),
        GGUFFamily(
            architecture: "qwen3", modelTypes: ["qwen3"], className: "Qwen3ForCausalLM", hasBiases: false, hasHeadNorms: true, permutes: false),
        GGUFFamily(
            architecture: "llama", modelTypes: ["llama", "mistral"], className: "LlamaForCausalLM", hasBiases: false, hasHeadNorms: false,
            permutes: true),
    ]

    /// The tensors of a layer: name in a GGUF file, Hugging Face's name, dimensions by name.
    var layerTensors: [(gguf: String, huggingFace: String, shape: [Dimension])] {
        var tensors: [(String, String, [Dimension])] = [
            ("attn_norm.weight", "input_layernorm.weight", [.hidden]),
            ("attn_q.weight", "self_attn.q_proj.weight", [.queries, .hidden]),
            ("attn_k.weight", "self_attn.k_proj.weight", [.keys, .hidden]),
            ("attn_v.weight", "self_attn.v_proj.weight", [.keys, .hidden]),
            ("attn_output.weight", "self_attn.o_proj.weight", [.hidden, .queries]),
            ("ffn_norm.weight", "post_attention_layernorm.weight", [.hidden]),
            ("ffn_gate.weight", "mlp.gate_proj.weight", [.intermediate, .hidden]),
            ("ffn_up.weight", "mlp.up_proj.weight", [.intermediate, .hidden]),
            ("ffn_down.weight", "mlp.down_proj.weight", [.hidden, .intermediate]),
        ]
        if hasBiases {
            tensors += [
                ("attn_q.bias", "self_attn.q_proj.bias", [.queries]), ("attn_k.bias", "self_attn.k_proj.bias", [.keys]),
                ("attn_v.bias", "self_attn.v_proj.bias", [.keys]),
            ]
        }
        if hasHeadNorms {
            tensors += [("attn_q_norm.weight", "self_attn.q_norm.weight", [.head]), ("attn_k_norm.weight", "self_attn.k_norm.weight", [.head])]
        }
        return tensors
    }

    /// What a dimension of a layer's tensor is.
    enum Dimension { case hidden, intermediate, queries, keys, head }
}

extension GGUFFamily {
    /// Whether the rows of a tensor, by its Hugging Face name, are stored in another order: those of queries and keys, in a file whose architecture rotates
    /// neighbouring pairs. Hugging Face rotates element i of a head with element i + half.
    func reorders(_ name: String) -> Bool {
        permutes && (name.hasSuffix("self_attn.q_proj.weight") || name.hasSuffix("self_attn.k_proj.weight"))
    }

    /// Where a row of Hugging Face's stands in such a file, as a range of one row.
    static func place(of row: Int, _ headSize: Int) -> Range<Int> {
        let head = row / headSize, inside = row % headSize, half = headSize / 2
        let place = head * headSize + 2 * (inside % half) + inside / half
        return place..<place + 1
    }

    /// The row of Hugging Face's that stands at a place in such a file: the inverse of `place`.
    static func row(at place: Int, _ headSize: Int) -> Int {
        let head = place / headSize, inside = place % headSize
        return head * headSize + inside % 2 * (headSize / 2) + inside / 2
    }
}
