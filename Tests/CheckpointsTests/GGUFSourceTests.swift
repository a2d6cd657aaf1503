import Foundation
import JSON
import Testing

@testable import Checkpoints

/// A GGUF file opened as a checkpoint. The real one is compared with gguf-py and transformers by scripts/oracles/gguf_parity.py.
@Suite struct GGUFSourceTests {
    /// A qwen2 model of one layer, 64 wide, 4 heads of which 2 for keys and values, 96 rows of embedding and 6 tokens in 8 entries.
    private static func example(_ change: (inout GGUFBuilder) -> Void = { _ in }) -> [UInt8] {
        var file = GGUFBuilder()
        file.key("general.architecture", "qwen2")
        file.key("general.type", "model")
        for (key, value) in [
            ("block_count", 1), ("context_length", 128), ("embedding_length", 64), ("feed_forward_length", 32), ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            file.key("qwen2.\(key)", UInt32(value))
        }
        file.key("qwen2.rope.freq_base", Float(1e6))
        file.key("qwen2.attention.layer_norm_rms_epsilon", Float(1e-6))
        file.key("tokenizer.ggml.model", "gpt2")
        file.key("tokenizer.ggml.pre", "qwen2")
        file.key("tokenizer.ggml.tokens", ["a", "b", "ab", "<|endoftext|>", "<|im_end|>", "<|fim_pad|>", "<tool_call>", "[PAD7]"])
        file.key("tokenizer.ggml.token_type", [Int32(1), 1, 1, 3, 3, 3, 4, 5])
        file.key("tokenizer.ggml.merges", ["a b"])
        file.key("tokenizer.ggml.bos_token_id", UInt32(3))
        file.key("tokenizer.ggml.eos_token_id", UInt32(4))
        file.key("tokenizer.ggml.padding_token_id", UInt32(3))
        file.key("tokenizer.chat_template", "{{ messages }}")
        func plain(_ name: String, _ dimensions: [UInt64]) {
            let count = Int(dimensions.reduce(1, *))
            file.tensor(name, dimensions, (0..<count).map { Float($0 % 97) / 8 - 6 + Float(name.utf8.count) })
        }
        plain("token_embd.weight", [64, 96])
        for (name, dimensions) in [
            ("attn_norm.weight", [64]), ("attn_q.weight", [64, 64]), ("attn_q.bias", [64]), ("attn_k.weight", [64, 32]), ("attn_k.bias", [32]),
            ("attn_v.weight", [64, 32]), ("attn_v.bias", [32]), ("attn_output.weight", [64, 64]), ("ffn_norm.weight", [64]),
            ("ffn_gate.weight", [64, 32]), ("ffn_up.weight", [64, 32]), ("ffn_down.weight", [32, 64]),
        ] as [(String, [UInt64])] {
            plain("blk.0.\(name)", dimensions)
        }
        plain("output_norm.weight", [64])
        change(&file)
        return file.bytes
    }

    private func open(_ change: (inout GGUFBuilder) -> Void = { _ in }) throws -> Checkpoint {
        try withFile(Self.example(change)) { try Checkpoint(opening: $0) }
    }

    private func text(_ checkpoint: Checkpoint, _ name: String) throws -> JSONValue {
        try JSONValue.parse(try #require(try checkpoint.companion(name)), source: name)
    }

    private func values(_ checkpoint: Checkpoint, _ name: String, _ rows: Range<Int>) throws -> [Float] {
        var out = [Float](repeating: .nan, count: rows.count * (try #require(checkpoint.tensor(named: name)).rowLength))
        try out.withUnsafeMutableBytes { try checkpoint.read(name, rows: rows, as: .float32, into: $0) }
        return out
    }

    @Test func configurationIsThatOfAPublishedCheckpoint() throws {
        let checkpoint = try open()
        #expect(checkpoint.format == .gguf)
        #expect(
            checkpoint.config.serialized() == """
                {"architectures":["Qwen2ForCausalLM"],"attention_dropout":0.0,"bos_token_id":3,"eos_token_id":4,"hidden_act":"silu","hidden_size":64,\
                "initializer_range":0.02,"intermediate_size":32,"max_position_embeddings":128,"max_window_layers":1,"model_type":"qwen2",\
                "num_attention_heads":4,"num_hidden_layers":1,"num_key_value_heads":2,"rms_norm_eps":1e-06,"rope_theta":1000000.0,\
                "sliding_window":128,"tie_word_embeddings":true,"torch_dtype":"bfloat16","use_cache":true,"use_sliding_window":false,"vocab_size":96}
                """)
    }

    @Test func tensorsHaveHuggingFaceNamesAndShapes() throws {
        let checkpoint = try open()
        let layer = "model.layers.0."
        #expect(
            checkpoint.tensors.map { "\($0.name) \($0.shape)" } == [
                "model.embed_tokens.weight [96, 64]", layer + "input_layernorm.weight [64]", layer + "mlp.down_proj.weight [64, 32]",
                layer + "mlp.gate_proj.weight [32, 64]", layer + "mlp.up_proj.weight [32, 64]", layer + "post_attention_layernorm.weight [64]",
                layer + "self_attn.k_proj.bias [32]", layer + "self_attn.k_proj.weight [32, 64]", layer + "self_attn.o_proj.weight [64, 64]",
                layer + "self_attn.q_proj.bias [64]", layer + "self_attn.q_proj.weight [64, 64]", layer + "self_attn.v_proj.bias [32]",
                layer + "self_attn.v_proj.weight [32, 64]", "model.norm.weight [64]",
            ])
        #expect(checkpoint.tensors.allSatisfy { $0.storage == "F32" && $0.type == .float32 })
    }

    @Test func rowsOfMatricesAndOfVectors() throws {
        let checkpoint = try open()
        func expected(_ range: Range<Int>, _ name: String) -> [Float] { range.map { Float($0 % 97) / 8 - 6 + Float(name.utf8.count) } }
        #expect(try values(checkpoint, "model.embed_tokens.weight", 3..<90) == expected(3 * 64..<90 * 64, "token_embd.weight"))
        #expect(try values(checkpoint, "model.norm.weight", 5..<9) == expected(5..<9, "output_norm.weight"))
        var half = [UInt16](repeating: 0, count: 64)
        try half.withUnsafeMutableBytes { try checkpoint.read("model.norm.weight", rows: 0..<64, as: .bfloat16, into: $0) }
        #expect(half == expected(0..<64, "output_norm.weight").map { UInt16($0.bitPattern >> 16) })  // these have few enough bits to be exact
    }

    @Test func numbersBeyondFloat16AreRefusedNotMadeInfinite() throws {
        let checkpoint = try open { $0.tensors[$0.tensors.count - 1].data.replaceSubrange(0..<4, with: GGUFBuilder.little(Float(70000).bitPattern)) }
        var half = [UInt16](repeating: 0, count: 64)
        let error = #expect(throws: CheckpointError.self) {
            try half.withUnsafeMutableBytes { try checkpoint.read("model.norm.weight", rows: 0..<64, as: .float16, into: $0) }
        }
        #expect(error?.message.contains("1 numbers are beyond float16's range") == true)
    }

    // MARK: The embedding stored twice

    /// Q8_0 blocks of scale 1/4 that are close to, or far from, the embedding.
    private static func head(_ file: inout GGUFBuilder, like embedding: Bool) {
        var data: [UInt8] = []
        for block in 0..<96 * 2 {
            data += [0, 0x34]
            for index in 0..<32 {
                let value = Float((block * 32 + index) % 97) / 8 - 6 + 17
                data.append(UInt8(bitPattern: Int8(clamping: embedding ? Int(value * 4) : (block * 32 + index) % 251 - 125)))
            }
        }
        file.tensor("output.weight", [64, 96], 8, data)
    }

    @Test func aCopyOfTheEmbeddingIsTheSameTensor() throws {
        // The finer copy is the FP32 one here.
        let checkpoint = try open { Self.head(&$0, like: true) }
        #expect(checkpoint.config["tie_word_embeddings"]?.bool == true)
        #expect(checkpoint.tensor(named: "lm_head.weight") == nil)
        #expect(checkpoint.tensor(named: "model.embed_tokens.weight")?.storage == "F32")
    }

    @Test func theFinerCopyIsTakenWhereverItStands() throws {
        let checkpoint = try open { file in
            Self.head(&file, like: true)
            let (embedding, head) = (file.tensors[0], file.tensors[file.tensors.count - 1])
            file.tensors[0] = GGUFBuilder.Tensor(name: embedding.name, dimensions: head.dimensions, type: head.type, data: head.data)
            file.tensors[file.tensors.count - 1] = GGUFBuilder.Tensor(
                name: head.name, dimensions: embedding.dimensions, type: embedding.type, data: embedding.data)
        }
        #expect(checkpoint.config["tie_word_embeddings"]?.bool == true)
        #expect(checkpoint.tensor(named: "model.embed_tokens.weight")?.storage == "F32")
    }

    @Test func aHeadOfItsOwnStaysUntied() throws {
        let checkpoint = try open { Self.head(&$0, like: false) }
        #expect(checkpoint.config["tie_word_embeddings"]?.bool == false)
        #expect(checkpoint.tensor(named: "lm_head.weight")?.storage == "Q8_0")
        #expect(checkpoint.tensor(named: "lm_head.weight")?.type == nil)
        #expect(checkpoint.tensor(named: "model.embed_tokens.weight")?.storage == "F32")
    }

    // MARK: Companions

    @Test func tokenizerHasTheVocabularyTheMergesAndTheAddedTokens() throws {
        let checkpoint = try open()
        #expect(checkpoint.companionNames == ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"])
        let json = try text(checkpoint, "tokenizer.json")
        #expect(json["model"]?["vocab"]?.serialized() == #"{"a":0,"b":1,"ab":2}"#)
        #expect(json["model"]?["merges"]?.serialized() == #"["a b"]"#)
        #expect(json["normalizer"]?["type"]?.string == "NFC")
        let added = try #require(json["added_tokens"]?.array)
        #expect(added.map { $0["id"]?.int } == [3, 4, 5, 6])
        #expect(added.map { $0["content"]?.string } == ["<|endoftext|>", "<|im_end|>", "<|fim_pad|>", "<tool_call>"])
        #expect(added.map { $0["special"]?.bool } == [true, true, false, false])
        let configuration = try text(checkpoint, "tokenizer_config.json")
        #expect(configuration["eos_token"]?.string == "<|im_end|>" && configuration["pad_token"]?.string == "<|endoftext|>")
        #expect(configuration["additional_special_tokens"]?.serialized() == #"["<|im_end|>"]"#)
        #expect(try checkpoint.companion("chat_template.jinja") == Array("{{ messages }}".utf8))
        #expect(try checkpoint.companion("vocab.json") == nil)
    }

    @Test func anInstructModelSamplesAndABaseModelDoesNot() throws {
        #expect(
            try text(open(), "generation_config.json").serialized() == """
                {"bos_token_id":3,"do_sample":true,"eos_token_id":[4,3],"pad_token_id":3,"repetition_penalty":1.1,"temperature":0.7,"top_k":20,"top_p":0.8}
                """)
        let base = try open { Self.replace(&$0, "tokenizer.ggml.eos_token_id") { $0.key("tokenizer.ggml.eos_token_id", UInt32(3)) } }
        #expect(
            try text(base, "generation_config.json").serialized()
                == #"{"bos_token_id":3,"do_sample":false,"eos_token_id":[3],"pad_token_id":3}"#)
    }

    @Test func aFileWithoutTokenizerOrTemplateHasNoneToGive() throws {
        let silent = try open { $0.keys.removeAll { $0.starts(with: GGUFBuilder.string("tokenizer.chat_template")) } }
        #expect(silent.companionNames == ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
        let bare = try open { $0.keys.removeAll { $0.starts(with: GGUFBuilder.string("tokenizer.ggml.model")) } }
        #expect(bare.companionNames.isEmpty)
    }

    // MARK: What is refused

    private static func replace(_ file: inout GGUFBuilder, _ key: String, _ add: (inout GGUFBuilder) -> Void = { _ in }) {
        file.keys.removeAll { $0.starts(with: GGUFBuilder.string(key)) }
        add(&file)
    }

    private func refusal(_ change: (inout GGUFBuilder) -> Void) throws -> String {
        let error = #expect(throws: CheckpointError.self) {
            let checkpoint = try self.open(change)
            for name in checkpoint.companionNames { _ = try checkpoint.companion(name) }
        }
        return error.map { "\($0.tensor ?? ""): \($0.message)" } ?? ""
    }

    @Test(arguments: [
        ("general.architecture", "mamba", "GGUF files of these architectures are read"), ("general.type", "adapter", "expected 'model'"),
        ("tokenizer.ggml.model", "bert", "expected 'gpt2' or 'llama'"), ("tokenizer.ggml.pre", "tekken", "these ways to split text are read"),
        ("qwen2.rope.scaling.type", "longrope", "linear, yarn and none are read"), ("qwen2.block_count", "1", "has type STRING, expected an integer"),
    ]) func stringValues(key: String, value: String, expected: String) throws {
        let found = try refusal { Self.replace(&$0, key) { $0.key(key, value) } }
        #expect(found.contains("key '\(key)'") && found.contains(expected))
    }

    @Test(
        arguments: [
            ("qwen2.block_count", 0, "is 0, expected 1 to"), ("qwen2.block_count", 2, "is missing; it holds model.layers.1.input_layernorm.weight"),
            ("qwen2.block_count", 1_000_000_000, "is missing"), ("qwen2.embedding_length", 63, "does not divide"),
            ("qwen2.embedding_length", 128, "has shape [96, 64], expected [vocabulary, 128]"), ("qwen2.attention.head_count", 5, "does not divide"),
            ("qwen2.attention.head_count_kv", 3, "does not divide the 4 heads"), ("qwen2.attention.head_count_kv", 0, "does not divide"),
            ("qwen2.feed_forward_length", 33, "has shape [32, 64], expected [33, 64]"), ("split.count", 2, "llama-gguf-split --merge"),
        ] as [(String, UInt32, String)]) func numbers(key: String, value: UInt32, expected: String) throws
    {
        #expect(try refusal { Self.replace(&$0, key) { $0.key(key, value) } }.contains(expected))
    }

    @Test func missingKeysAndWrongTypes() throws {
        for key in [
            "general.architecture", "qwen2.block_count", "qwen2.attention.layer_norm_rms_epsilon", "tokenizer.ggml.tokens", "tokenizer.ggml.merges",
        ] {
            #expect(try refusal { Self.replace(&$0, key) }.contains("key '\(key)': is missing"))
        }
        let epsilon = "qwen2.attention.layer_norm_rms_epsilon"
        for bad in [Float(0), -1, .nan, .infinity] {
            #expect(try refusal { Self.replace(&$0, epsilon) { $0.key(epsilon, bad) } }.contains("expected a positive number"))
        }
        #expect(
            try refusal { Self.replace(&$0, "qwen2.block_count") { $0.key("qwen2.block_count", Float(1)) } }.contains(
                "has type FLOAT32, expected an integer"))
        let unknown = try refusal {
            $0.key("tokenizer.ggml.add_bos_token", true)
            Self.replace(&$0, "tokenizer.ggml.bos_token_id") { $0.key("tokenizer.ggml.bos_token_id", UInt32(0)) }
        }
        #expect(unknown.contains("is true, but bos_token_id is not one of the added tokens"))
    }

    @Test func tensorsThatAModelLacksOrDoesNotHave() throws {
        #expect(try refusal { $0.tensors.remove(at: 3) }.contains("blk.0.attn_q.bias: is missing"))
        #expect(try refusal { $0.tensors.removeFirst() }.contains("token_embd.weight: is missing"))
        #expect(
            try refusal { $0.tensor("blk.1.attn_norm.weight", [1], [1]) }.contains(
                "blk.1.attn_norm.weight: is not a tensor of a qwen2 model of 1 layers"))
        #expect(try refusal { $0.tensors[2].dimensions = [32, 128] }.contains("has shape [128, 32], expected [64, 64]"))
        #expect(try refusal { $0.tensors[1].type = 26 }.contains("is stored as I32, which cannot be read"))
        #expect(
            try refusal { $0.tensor("output.weight", [64, 95], [Float](repeating: 0, count: 64 * 95)) }.contains(
                "has shape [95, 64], expected [96, 64]"))
    }

    @Test func tokenizersThatContradictThemselves() throws {
        let tokens = "tokenizer.ggml.tokens", types = "tokenizer.ggml.token_type", merges = "tokenizer.ggml.merges"
        #expect(try refusal { Self.replace(&$0, types) { $0.key(types, [Int32(1), 1]) } }.contains("has 2 entries for 8 tokens"))
        #expect(try refusal { Self.replace(&$0, types) { $0.key(types, [Int32(1), 1, 1, 3, 3, 9, 4, 5]) } }.contains("token 5 has type 9"))
        #expect(
            try refusal { Self.replace(&$0, types) { $0.key(types, [Int32(1), 1, 1, 5, 3, 3, 4, 5]) } }.contains(
                "the added token 4 follows unused ones"))
        #expect(
            try refusal { Self.replace(&$0, tokens) { $0.key(tokens, ["a", "b", "a", "c", "d", "e", "f", "g"]) } }.contains(
                "the tokens 0 and 2 are the same"))
        #expect(
            try refusal { Self.replace(&$0, tokens) { $0.key(tokens, (0..<97).map { "t\($0)" }) } }.contains(
                "has 97 tokens, but the embedding has only 96"))
        let eos = "tokenizer.ggml.eos_token_id"
        #expect(try refusal { Self.replace(&$0, eos) { $0.key(eos, UInt32(8)) } }.contains("key '\(eos)': is 8, but there are 8 tokens"))
        for bad in ["ab", "a b c", " b", ""] {
            #expect(try refusal { Self.replace(&$0, merges) { $0.key(merges, [bad]) } }.contains("entry 0 is not two pieces"))
        }
    }

    @Test func otherFilesAreToldWhatTheyAre() throws {
        let error = try withFile(Array("PK\u{3}\u{4}".utf8)) { path in #expect(throws: CheckpointError.self) { try Checkpoint(opening: path) } }
        #expect(error?.message.contains("ZIP archive") == true)
        #expect(throws: CheckpointError.self) { try Checkpoint(opening: "/nonexistent/model.gguf") }
    }
}
