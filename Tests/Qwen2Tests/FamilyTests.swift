import Checkpoints
import JSON
import Testing

@testable import Qwen2

/// What config.json says of a family's switches, as transformers reads it; what cannot run is refused by name.
@Suite struct FamilyTests {
    private func configuration(_ type: String, _ edit: (inout JSONObject) -> Void = { _ in }) throws -> Qwen2Configuration {
        var json = JSONObject([
            ("model_type", .string(type)), ("hidden_size", 64), ("intermediate_size", 96), ("num_hidden_layers", 2), ("num_attention_heads", 4),
            ("num_key_value_heads", 2), ("vocab_size", 99), ("max_position_embeddings", 256),
        ])
        edit(&json)
        return try Qwen2Configuration(.object(json), path: "model")
    }

    private func refusal(_ type: String, _ key: String, _ value: JSONValue) -> String {
        let error = #expect(throws: CheckpointError.self) { try configuration(type) { $0[key] = value } }
        return error?.description ?? ""
    }

    @Test func everyFamilyHasItsTensors() throws {
        func names(_ type: String, _ keys: String...) throws -> Set<String> {
            let made = try configuration(type) { json in for key in keys { json[key] = true } }
            return Set(made.layerTensors.map(\.name).filter { $0.hasSuffix("bias") || $0.contains("q_norm") || $0.contains("k_norm") })
        }
        let projections = ["q", "k", "v"].map { "self_attn.\($0)_proj.bias" }
        let norms = ["self_attn.q_norm.weight", "self_attn.k_norm.weight"]
        let mlp = ["gate", "up", "down"].map { "mlp.\($0)_proj.bias" }
        #expect(try names("qwen2") == Set(projections))
        #expect(try names("qwen2", "attention_bias", "mlp_bias") == Set(projections))
        #expect(try names("qwen3") == Set(norms))
        #expect(try names("qwen3", "attention_bias") == Set(norms + projections + ["self_attn.o_proj.bias"]))
        #expect(try names("llama").isEmpty)
        #expect(try names("llama", "mlp_bias") == Set(mlp))
        #expect(try names("llama", "attention_bias", "mlp_bias") == Set(mlp + projections + ["self_attn.o_proj.bias"]))
        #expect(try names("mistral", "attention_bias").isEmpty)
    }

    @Test func theWidthOfAHead() throws {
        #expect(try configuration("llama").headSize == 16)
        #expect(try configuration("llama") { $0["head_dim"] = 80 }.headSize == 80)
        #expect(try configuration("qwen3").headSize == 128)
        #expect(try configuration("qwen3") { $0["head_dim"] = 96 }.headSize == 96)
        #expect(refusal("llama", "head_dim", 15).contains("the head size 15 is odd"))
        #expect(refusal("mistral", "num_attention_heads", 6).contains("not a multiple of `num_attention_heads` 6"))
    }

    /// Within its window a token sees all the others, so a context of that many tokens needs no mask.
    @Test func aSlidingWindowIsTheContext() throws {
        #expect(try configuration("mistral").contextLength == 256)
        #expect(try configuration("mistral") { $0["sliding_window"] = 64 }.contextLength == 64)
        #expect(try configuration("mistral") { ($0["sliding_window"], $0["max_position_embeddings"]) = (nil, 8192) }.contextLength == 4096)
        #expect(try configuration("mistral") { ($0["sliding_window"], $0["max_position_embeddings"]) = (.null, 8192) }.contextLength == 8192)
        #expect(try configuration("llama") { $0["sliding_window"] = 64 }.contextLength == 256)
        for type in ["qwen2", "qwen3"] {
            func context(_ keys: [(String, JSONValue)]) throws -> Int {
                try configuration(type) { json in for (key, value) in [("sliding_window", 64)] + keys { json[key] = value } }.contextLength
            }
            #expect(try context([]) == 256)
            #expect(try context([("use_sliding_window", false), ("max_window_layers", 0)]) == 256)
            #expect(try context([("use_sliding_window", true), ("max_window_layers", 2)]) == 256)
            #expect(try context([("use_sliding_window", true), ("max_window_layers", 1)]) == 64)
            let full: JSONValue = ["full_attention", "full_attention"]
            #expect(try context([("use_sliding_window", true), ("max_window_layers", 0), ("layer_types", full)]) == 256)
            #expect(try context([("use_sliding_window", true), ("layer_types", ["full_attention", "sliding_attention"])]) == 64)
        }
        #expect(refusal("mistral", "sliding_window", "64").contains("`sliding_window` is \"64\", expected an integer"))
    }

    @Test func whatCannotRunIsRefusedByName() {
        #expect(refusal("mixtral", "num_local_experts", 8).contains("`model_type` is \"mixtral\", expected one of qwen2, qwen3, llama, mistral"))
        #expect(refusal("llama", "num_local_experts", 8).contains("mixtures of experts"))
        #expect(refusal("qwen2", "attn_logit_softcapping", 30.0).contains("`attn_logit_softcapping` is set"))
        #expect(refusal("qwen3", "rope_scaling", ["rope_type": "yarn", "factor": 4.0]).contains("rope type \"yarn\" is not supported"))
        #expect(refusal("qwen3", "rope_parameters", ["rope_type": "longrope"]).contains("rope type \"longrope\" is not supported"))
        #expect(refusal("llama", "partial_rotary_factor", 0.5).contains("`partial_rotary_factor` is not 1"))
        #expect(refusal("llama", "hidden_act", "gelu").contains("`hidden_act` is \"gelu\", expected \"silu\""))
    }
}
