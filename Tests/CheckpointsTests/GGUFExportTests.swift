import Foundation
import GGUF
import JSON
import Testing

@testable import Checkpoints

/// A checkpoint as a GGUF file, read back. The gguf package and llama.cpp read the real one's in scripts/oracles/formats_parity.py.
@Suite struct GGUFExportTests {
    let directory: TemporaryDirectory
    var path: String { directory.path + "/out.gguf" }

    init() throws { directory = try TemporaryDirectory() }

    private func model(
        _ type: String = "qwen2", biased: Bool = false, tied: Bool = true, edit: (inout JSONObject) -> Void = { _ in }
    ) throws -> Checkpoint {
        try TextModel(type: type, biased: biased, tied: tied).write(to: directory.path + "/model", edit: edit)
    }

    private func export(_ source: some CheckpointView, _ recipe: String, fallback: Bool = false) throws -> Checkpoint {
        let export = try GGUFExport(source, to: path, recipe: try #require(GGUFRecipe(recipe)), allowingFallback: fallback)
        let plan = export.plan
        try export.write(overwrite: true, progress: { _, _ in })
        #expect(try directory.bytes("out.gguf").count == plan.byteCount)
        return try Checkpoint(opening: path)
    }

    @Test(arguments: [("qwen2", false), ("qwen3", false), ("llama", false), ("llama", true)], [true, false])
    func singlePrecisionIsReadBackBitForBit(_ family: (type: String, biased: Bool), _ tied: Bool) throws {
        let source = try model(family.type, biased: family.biased, tied: tied)
        let read = try export(source, "f32")
        #expect(read.tensors.map { "\($0.name) \($0.shape)" } == source.tensors.map { "\($0.name) \($0.shape)" })
        for tensor in source.tensors { #expect(try source.difference(of: tensor.name, from: read, as: .float32).changed == 0, "\(tensor.name)") }
        #expect(try read.fingerprint() == source.fingerprint())
        for key in ["attention_bias", "mlp_bias"] { #expect((read.config[key]?.bool ?? false) == family.biased) }
        for key in [
            "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size",
            "max_position_embeddings", "rms_norm_eps", "rope_theta", "tie_word_embeddings", "eos_token_id",
        ] {
            #expect(read.config[key]?.double == source.config[key]?.double && read.config[key]?.string == source.config[key]?.string, "\(key)")
        }
        // The same input gives the same bytes, and no directory of this machine is in the file.
        let first = try directory.bytes("out.gguf")
        _ = try export(source, "f32")
        #expect(try directory.bytes("out.gguf") == first)
        #expect(!String(decoding: first.prefix(4096), as: UTF8.self).contains(directory.path))
    }

    /// GGUF files call Mistral a llama, and so it is read.
    @Test func mistralIsWrittenAsLlama() throws {
        let source = try model("mistral", tied: false) { $0["sliding_window"] = 64 }
        let export = try GGUFExport(source, to: path, recipe: try #require(GGUFRecipe("f32")))
        #expect(export.plan.notes.contains { $0.contains("sliding window") })
        let read = try self.export(source, "f32")
        #expect(read.config["model_type"]?.string == "llama")
        #expect(try read.fingerprint() == source.fingerprint())
    }

    /// Llama's file has the rows of a head in pairs: rows i and i + 8 of a head of 16 stand side by side.
    @Test func rowsOfLlamaChangePlaces() throws {
        let source = try model("llama")
        _ = try export(source, "f32")
        let file = try GGUFFile(opening: path)
        let tensor = try #require(file.tensor(named: "blk.0.attn_k.weight"))
        var rows = [Float](repeating: 0, count: 32 * 64)
        try rows.withUnsafeMutableBufferPointer { try file.read(tensor, rows: 0..<32, into: $0) }
        let original = try floats(source.bytes(of: "model.layers.0.self_attn.k_proj.weight", as: .float32))
        for head in 0..<2 {
            for (place, row) in [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15].enumerated() {
                let found = rows[(head * 16 + place) * 64..<(head * 16 + place + 1) * 64]
                #expect(Array(found) == Array(original[(head * 16 + row) * 64..<(head * 16 + row + 1) * 64]))
            }
        }
    }

    @Test(arguments: [
        ("f16", 0.0005, "F16"), ("bf16", 0.004, "BF16"), ("q8_0", 0.008, "Q8_0"), ("q5_1", 0.05, "Q5_1"), ("q5_0", 0.06, "Q5_0"),
        ("q4_1", 0.1, "Q4_1"),
        ("q4_0", 0.11, "Q4_0"), ("iq4_nl", 0.09, "IQ4_NL"),
    ]) func typesKeepTheirErrors(_ recipe: String, _ most: Double, _ storage: String) throws {
        let source = try model(tied: false)
        let read = try export(source, recipe)
        for tensor in source.tensors {
            let difference = try source.difference(of: tensor.name, from: read, as: .float32)
            #expect(tensor.shape.count > 1 ? difference.relativeError < most : difference.changed == 0, "\(tensor.name): \(difference.relativeError)")
        }
        #expect(read.tensor(named: "model.layers.0.mlp.up_proj.weight")?.storage == storage)
        let verified = try ExportVerification(source: source, written: read)
        #expect(verified.problem == nil)
    }

    @Test func mixesGiveWhatLlamaGives() throws {
        let source = try model(tied: false)
        let export = try GGUFExport(source, to: path, recipe: try #require(GGUFRecipe("Q4_K_M")))
        let plan = export.plan
        let types = Dictionary(uniqueKeysWithValues: plan.files[0].tensors.map { ($0.name, $0.storage) })
        // Of two layers the second is among the last eighth.
        #expect(types["blk.0.ffn_down.weight"] == "Q4_K" && types["blk.1.ffn_down.weight"] == "Q6_K")
        #expect(types["blk.0.attn_v.weight"] == "Q5_0" && types["blk.1.attn_v.weight"] == "Q8_0" && types["blk.0.attn_norm.weight"] == "F32")
        #expect(types["output.weight"] == "Q8_0" && types["token_embd.weight"] == "Q5_0")
        #expect(plan.substitutions.contains { $0.tensor == "blk.0.attn_q.weight" && $0.wanted == "Q4_K" && $0.used == "Q5_0" })
        #expect(!plan.substitutions.contains { $0.tensor.contains("ffn_down") || $0.tensor == "output.weight" })
        let error = #expect(throws: CheckpointError.self) { try export.write(overwrite: false, progress: { _, _ in }) }
        #expect(
            error?.message.contains("cannot have the type asked for (Q4_K as Q5_0, Q6_K as Q8_0)") == true
                && error?.message.contains("--allow-fallback") == true)
        #expect(directory.contents == ["model"])
        let read = try self.export(source, "q4_k_m", fallback: true)
        for name in ["model.layers.0.mlp.down_proj.weight", "model.layers.1.mlp.down_proj.weight", "lm_head.weight"] {
            #expect(try source.difference(of: name, from: read, as: .float32).relativeError < 0.09)
        }
    }

    @Test func theTokenizerComesBack() throws {
        let read = try export(model(), "q8_0")
        let file = try GGUFFile(opening: path)
        #expect(file["tokenizer.ggml.pre"]?.string == "qwen2" && file["tokenizer.ggml.add_bos_token"]?.bool == false)
        #expect(file["tokenizer.ggml.token_type"]?.array?.integers == [1, 1, 1, 3, 3, 4, 3] + [Int](repeating: 5, count: 89))
        #expect(file["general.file_type"]?.int == 7 && file["general.quantization_version"]?.int == 2)
        let tokenizer = try JSONValue.parse(try #require(try read.companion("tokenizer.json")), source: "tokenizer.json")
        #expect(tokenizer["model"]?["vocab"]?.serialized() == #"{"a":0,"b":1,"ab":2}"# && tokenizer["model"]?["merges"]?.serialized() == #"["a b"]"#)
        #expect(tokenizer["added_tokens"]?.array?.map { $0["content"]?.string } == ["<|endoftext|>", "<|im_end|>", "<tool_call>", "<|fim_pad|>"])
        #expect(tokenizer["added_tokens"]?.array?.map { $0["special"]?.bool } == [true, true, false, false])
        #expect(try read.companion("chat_template.jinja") == Array("{{ messages }}".utf8))
        #expect(GGUFPreTokenizer(tokenizer)?.name == "qwen2")
    }

    @Test(arguments: GGUFPreTokenizer.all.map(\.name)) func waysOfSplittingGoBothWays(_ name: String) throws {
        let known = try #require(GGUFPreTokenizer(named: name))
        for bos in [nil, (id: 3, content: "<s>")] {
            let tokenizer = JSONValue.object(JSONObject(known.members(bos: bos)))
            #expect(GGUFPreTokenizer(tokenizer)?.name == name)
        }
    }

    @Test func scaledRotationsGoBothWays() throws {
        let scaled = try model("llama") {
            $0["rope_scaling"] = [
                "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
            ]
        }
        #expect(try export(scaled, "f32").config["rope_scaling"] == scaled.config["rope_scaling"])
        let linear = try model {
            $0["rope_parameters"] = ["rope_type": "linear", "factor": 2.0, "rope_theta": 500.0]; $0["rope_theta"] = nil
        }
        let read = try export(linear, "f32")
        #expect(read.config["rope_scaling"]?["rope_type"]?.string == "linear" && read.config["rope_scaling"]?["factor"]?.double == 2)
        #expect(read.config["rope_theta"]?.double == 500)
        let error = #expect(throws: CheckpointError.self) { try export(model { $0["rope_scaling"] = ["type": "longrope"] }, "f32") }
        #expect(error?.message.contains("'longrope' cannot be written") == true)
    }

    /// A tokenizer with byte fallback: merges become scores, and scores merges.
    @Test(arguments: [true, false]) func sentencePieceGoesBothWays(_ addsPrefixSpace: Bool) throws {
        _ = try model("llama")
        let names = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab", "▁ab"]
        func tokenizer(_ merges: JSONValue) throws -> Checkpoint {
            let bos: JSONValue = [["SpecialToken": ["id": "<s>", "type_id": 0]], ["Sequence": ["id": "A", "type_id": 0]]]
            let members: [(key: String, value: JSONValue)] = [
                (
                    "added_tokens",
                    .array(names.prefix(3).enumerated().map { ["id": .integer(Int64($0)), "content": .string($1), "special": true] })
                ), ("post_processor", ["type": "TemplateProcessing", "single": bos]),
                (
                    "model",
                    [
                        "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "merges": merges,
                        "vocab": .object(JSONObject(names.enumerated().map { ($1, .integer(Int64($0))) })),
                    ]
                ),
            ]
            let json = JSONValue.object(JSONObject(GGUFSentencePiece.members(addsPrefixSpace: addsPrefixSpace) + members))
            try directory.write(Array(json.serialized().utf8), to: "model/tokenizer.json")
            let settings: JSONValue = ["bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"]
            try directory.write(Array(settings.serialized().utf8), to: "model/tokenizer_config.json")
            return try Checkpoint(opening: directory.path + "/model")
        }
        let merges: JSONValue = [["▁", "a"], ["a", "b"], ["▁a", "b"], ["▁", "ab"]]
        let read = try export(tokenizer(merges), "f32")
        let file = try GGUFFile(opening: path)
        #expect(file["tokenizer.ggml.model"]?.string == "llama" && file["tokenizer.ggml.add_bos_token"]?.bool == true)
        #expect(file["tokenizer.ggml.token_type"]?.array?.integers?.prefix(10) == [2, 3, 3, 6, 1, 1, 1, 1, 1, 1])
        #expect(file["tokenizer.ggml.scores"]?.array?.floats?[7...9].map { -$0 } == [0, 1, 2])
        let json = try JSONValue.parse(try #require(try read.companion("tokenizer.json")), source: "tokenizer.json")
        #expect(json["model"]?["merges"] == merges)
        #expect(json["model"]?["vocab"]?.object?.members.map(\.key) == names && json["model"]?["unk_token"]?.string == "<unk>")
        #expect(json["model"]?["byte_fallback"]?.bool == true && json["added_tokens"]?.array?.count == 3)
        #expect(GGUFSentencePiece.addsPrefixSpace(json) == addsPrefixSpace)
        #expect(json["post_processor"]?["single"]?.array?.first?["SpecialToken"]?["id"]?.string == "<s>")
        let settings = try JSONValue.parse(try #require(try read.companion("tokenizer_config.json")), source: "tokenizer_config.json")
        #expect(settings["unk_token"]?.string == "<unk>" && settings["bos_token"]?.string == "<s>")
        // An order of merges that no scores give.
        let error = #expect(throws: CheckpointError.self) { try export(tokenizer([["▁", "a"], ["a", "b"], ["▁a", "b"]]), "f32") }
        #expect(error?.message.contains("no scores of tokens give the order of its merges") == true)
    }

    @Test func whatHasNoPlaceIsRefused() throws {
        func refusal(_ source: some CheckpointView) -> String {
            do {
                _ = try GGUFExport(source, to: path, recipe: GGUFRecipe("f32")!)
                return "accepted"
            } catch { return "\(error)" }
        }
        #expect(refusal(try model { $0["model_type"] = "mamba" }).contains("`model_type` is \"mamba\""))
        #expect(refusal(try model("qwen3", biased: true)).contains("`attention_bias` is true: llama.cpp has no biases in qwen3 models"))
        #expect(refusal(try model { $0["num_hidden_layers"] = 3 }).contains("is missing; the model has 3 layers"))
        #expect(refusal(try model { $0["num_hidden_layers"] = 1 }).contains("has no place in a GGUF file"))
        #expect(refusal(try model { $0["vocab_size"] = 95 }).contains("has 96 rows, but config.json says vocab_size 95"))
        #expect(refusal(try model(tied: false) { $0["tie_word_embeddings"] = true }).contains("config.json ties it to the embedding, but"))
        #expect(refusal(try model { $0["tie_word_embeddings"] = false }).contains("is missing, and config.json does not tie it"))
        _ = try model()
        try directory.write(Array("{}".utf8), to: "model/tokenizer.json")
        #expect(refusal(try Checkpoint(opening: directory.path + "/model")).contains("the model is not BPE"))
        try FileManager.default.removeItem(atPath: directory.path + "/model/tokenizer.json")
        #expect(refusal(try Checkpoint(opening: directory.path + "/model")).contains("there is no tokenizer.json"))
    }

    @Test func anExistingFileIsReplacedOnlyWhenTold() throws {
        let source = try model()
        _ = try export(source, "q8_0")
        let before = try directory.bytes("out.gguf")
        let export = try GGUFExport(source, to: path, recipe: try #require(GGUFRecipe("q4_0")))
        let error = #expect(throws: CheckpointError.self) { try export.write(overwrite: false, progress: { _, _ in }) }
        #expect(error?.message.contains("--force") == true)
        #expect(try directory.bytes("out.gguf") == before && directory.contents == ["model", "out.gguf"])
        let onDirectory = try GGUFExport(source, to: directory.path + "/model", recipe: try #require(GGUFRecipe("q4_0")))
        #expect(throws: CheckpointError.self) { try onDirectory.write(overwrite: true, progress: { _, _ in }) }
    }
}
