import Foundation
import JSON
import SafeTensors
import Testing

/// `convert` and `inspect` over every format that is read or written, and `--help`.
@Suite struct ConvertTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.model()
    }

    private func convert(_ source: String, _ destination: String, _ more: String...) throws {
        let outcome = try workspace.run(["convert", source, destination] + more)
        #expect(outcome.status == 0 && outcome.output == "" && outcome.errorLines.count == 1, "\(outcome.errors)")
    }

    private func generated(_ model: String) throws -> String {
        let outcome = try workspace.run(
            "generate", model, "--prompt", "The sea", "--raw", "--temperature", "1", "--max-new-tokens", "30", "--ignore-eos", "--json")
        #expect(outcome.status == 0, "\(outcome.errors)")
        return outcome.output
    }

    @Test func roundTripsKeepTheBytes() throws {
        try convert("model", "half", "--to", "safetensors", "--dtype", "bfloat16")
        try convert("half", "packed", "--to", "packed")
        try convert("packed", "back", "--to", "safetensors")
        for name in try workspace.names("half") { #expect(try workspace.bytes("half/\(name)") == workspace.bytes("back/\(name)"), "\(name)") }
        // A BF16 model computes what the BF16 rounding of the FP32 one computes.
        #expect(Set([try generated("model"), try generated("half"), try generated("packed"), try generated("back")]).count == 1)
        try convert("half", "packed", "--to", "packed", "--force")
        try convert("model", "same", "--to", "safetensors")
        #expect(try workspace.run("inspect", "same").output.contains("F32: 26 tensors, 80512 weights"))
        #expect(try workspace.names() == ["back", "half", "model", "packed", "same"])
    }

    @Test func anyTypeIsPacked() throws {
        try convert("model", "packed", "--to", "packed")
        #expect(try workspace.run("inspect", "packed").output.contains("packed F32: 26 tensors"))
        try convert("packed", "back", "--to", "safetensors")
        #expect(try workspace.run("diff", "model", "back").status == 0)
    }

    @Test func whatIsAskedForMustFit() throws {
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "pickle"), status: 64, "'pickle' is invalid", "packed")
        expectRefusal(try workspace.run("convert", "model", "out"), status: 64, "--to")
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "delta"), status: 64, "--base")
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "packed", "--quantize", "q8_0"), status: 64, "--quantize is for --to gguf")
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "gguf", "--quantize", "q9"), status: 64, "q9 is not known", "q4_k_m")
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "safetensors", "--max-shard-size", "5XB"), status: 64, "5XB")
        #expect(!workspace.exists("out"))
    }

    /// The plan alone: on standard output, and nothing else anywhere.
    @Test func aDryRunWritesNothing() throws {
        for (arguments, words, refusal) in [
            (
                ["--to", "safetensors", "--max-shard-size", "100KB"],
                ["model-00001-of-0000", "F32: 26 tensors, 322048 bytes", "nothing was written"], nil
            ),
            (
                ["--to", "gguf", "--quantize", "q4_k_m"], ["instead of Q4_K: rows of 64 do not divide into blocks of 256", "split as 'qwen2'"],
                "--allow-fallback"
            ),
            (["--to", "gguf", "--quantize", "q4_k_m", "--allow-fallback"], ["instead of Q4_K"], nil),
            (["--to", "int4"], ["int4, a scale for 32 weights"], nil),
        ] {
            let outcome = try workspace.run(["convert", "model", "out", "--dry-run"] + arguments)
            #expect(outcome.status == (refusal == nil ? 0 : 1) && outcome.errors.isEmpty == (refusal == nil), "\(outcome.errors)")
            #expect(refusal.map { outcome.errors.contains($0) } ?? true, "\(outcome.errors)")
            for word in words { #expect(outcome.output.contains(word), "\(word) is not in \(outcome.output)") }
        }
        let onto = try workspace.run("convert", "model", "model", "--to", "packed", "--dry-run")
        #expect(onto.status == 1 && onto.errors.contains("--force") && onto.output.contains("nothing was written"))
        #expect(try workspace.names() == ["model"])
    }

    /// Quantised by what matters to the model on a text: another file, and nearer to the model on that text.
    @Test func whatMattersOnATextIsKept() throws {
        let text = "The sky is blue. Count to three: one, two, three. Once upon a time there was a small red fox. Bread and butter. He said hello.\n"
        try workspace.write("text.txt", String(repeating: text, count: 4))
        try workspace.write("rows.jsonl", "{\"text\": \"\(text.dropLast())\"}\n")
        func comparison(_ model: String) throws -> JSONValue {
            let outcome = try workspace.run("score", model, "--against", "model", "--input", "rows.jsonl", "--dtype", "float32")
            #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
            return try #require(try outcome.json.first)
        }
        for arguments in [["--to", "gguf", "--quantize", "q4_0"], ["--to", "int4"]] {
            let (plain, weighed) = ("plain\(arguments.count)", "weighed\(arguments.count)")
            for (name, more) in [(plain, []), (weighed, ["--imatrix", "text.txt"])] {
                let outcome = try workspace.run(["convert", "model", name] + arguments + more)
                #expect(outcome.status == 0 && outcome.errorLines.count <= 2, "\(outcome.errors)")
            }
            let (before, after) = (try comparison(plain), try comparison(weighed))
            let divergences = [before, after].map { $0["mean_kl"]?.double ?? .infinity }
            #expect(divergences[1] < divergences[0] && divergences[1] > 0, "\(divergences)")
        }
        let same = try comparison("model")
        #expect(same["mean_kl"]?.double == 0 && same["top1_agreement"]?.double == 1 && same["kl_99"]?.double == 0)
        #expect(same["perplexity"]?.double == same["perplexity_against"]?.double)
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "packed", "--imatrix", "text.txt"), status: 64, "--imatrix is for")
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "int4", "--imatrix", "none.txt"), "none.txt", "No such file")
        try workspace.write("empty.txt", "")
        expectRefusal(try workspace.run("convert", "model", "out", "--to", "int4", "--imatrix", "empty.txt"), "empty.txt", "0 tokens", "at least 2")
        #expect(!workspace.exists("out"))
    }

    @Test func everyFormatIsVerifiedAndGenerates() throws {
        let original = try generated("model")
        for (name, arguments) in [
            ("shards", ["--to", "safetensors", "--max-shard-size", "100KB"]), ("packed", ["--to", "packed"]),
            ("delta", ["--to", "delta", "--base", "model"]),
            ("f32.gguf", ["--to", "gguf", "--quantize", "f32"]),
        ] {
            let outcome = try workspace.run(["convert", "model", name, "--verify"] + arguments)
            #expect(outcome.status == 0 && outcome.errors.contains("verified: 26 tensors the same to the bit"), "\(outcome.errors)")
            #expect(try generated(name) == original, "\(name)")
            #expect(try workspace.run("diff", "model", name).output.contains("0 of 80512 weights changed"))
            #expect(try workspace.run("verify", name).output.contains("\(name): whole: "))
        }
        for (name, arguments) in [("int8", ["--to", "int8"]), ("int4", ["--to", "int4"]), ("q8.gguf", ["--to", "gguf", "--quantize", "q8_0"])] {
            let outcome = try workspace.run(["convert", "model", name, "--verify"] + arguments)
            #expect(outcome.status == 0 && outcome.errors.contains("quantised, relative error at most 0."), "\(outcome.errors)")
            _ = try generated(name)
            let difference = try workspace.run("diff", "model", name, "--json")
            #expect(try difference.status == 1 && difference.json.first?["equal"]?.bool == false)
        }
        let fingerprints = try ["model", "packed", "delta"].map { try workspace.run("verify", $0).output.split(separator: " ").last }
        #expect(Set(fingerprints).count == 1)
        let quantised = try ["int8", "int4", "q8.gguf"].map { try workspace.run("verify", $0).output.split(separator: " ").last }
        #expect(Set(quantised + fingerprints).count == 4)
        // Weights without a configuration: integers, of which nothing would tell what they mean, are not made.
        try workspace.write("bare.safetensors", workspace.bytes("model/model.safetensors"))
        expectRefusal(try workspace.run("convert", "bare.safetensors", "bare-int8", "--to", "int8"), "no config.json")
    }

    @Test func damageIsFoundAndNamed() throws {
        try workspace.write("model/model.safetensors", workspace.bytes("model/model.safetensors").dropLast(1000))
        expectRefusal(try workspace.run("verify", "model"), "model.safetensors: tensor \"", "the file ends", "before the tensor does")
        let statistics = try workspace.run("inspect", try workspace.model("again"), "--stats")
        #expect(statistics.status == 0 && statistics.output.contains("packed it would take about") && statistics.output.contains("exponents"))
    }

    @Test func inspectShowsEveryTensor() throws {
        let text = try workspace.run("inspect", "model")
        #expect(text.status == 0)
        let json = try workspace.run("inspect", "model", "--json").json
        let tensors = try #require(json.first?["tensors"]?.array)
        #expect(json.count == 1 && tensors.count == 26)
        let tree = """
              model
                embed_tokens.weight  289 x 64  F32
                layers
                  0 to 1, 2 alike
                    input_layernorm.weight  64  F32
                    mlp
                      down_proj.weight  64 x 96  F32
                      gate_proj.weight  96 x 64  F32
                      up_proj.weight  96 x 64  F32
                    post_attention_layernorm.weight  64  F32
                    self_attn
                      k_proj
                        bias  32  F32
                        weight  32 x 64  F32
                      o_proj.weight  64 x 64  F32
                      q_proj
                        bias  64  F32
                        weight  64 x 64  F32
                      v_proj
                        bias  32  F32
                        weight  32 x 64  F32
                norm.weight  64  F32
            """
        #expect(text.output.hasSuffix(tree + "\n"))
        #expect(json[0]["config"]?["model_type"]?.string == "qwen2")
        #expect(json[0]["files"]?.array?.compactMap(\.string) == ["tokenizer.json", "tokenizer_config.json", "generation_config.json"])
        try convert("model", "packed", "--to", "packed", "--dtype", "bfloat16")
        #expect(try workspace.run("inspect", "packed").output.contains("packed BF16: 26 tensors"))
    }

    /// Names come from a file: numbers at the end of Int, spelled twice, parts beyond any model's, and nothing between dots.
    @Test func namesThatNoModelHasAreShown() throws {
        let numbers = ["09223372036854775807", "9223372036854775807", "-9223372036854775808"].flatMap { ["n.\($0).a", "n.\($0).b"] }
        let names = numbers + ["..", String(repeating: "x.", count: 40) + "y", "q", "q.r"]
        let tensors = names.enumerated().map { "\"\($1)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[\($0),\($0 + 1)]}" }
        let header = "{\(tensors.joined(separator: ","))}"
        let size = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Array($0) }
        try workspace.write("odd.safetensors", Data(size + Array(header.utf8) + [UInt8](repeating: 0, count: names.count)))
        let text = try workspace.run("inspect", "odd.safetensors")
        #expect(text.status == 0, "\(text.errors)")
        let ends = ["..", "y", "q", "q.r"].allSatisfy { end in text.outputLines.contains { $0.hasSuffix("\(end)  1  U8") } }
        #expect(ends && text.outputLines.count { $0.hasSuffix("  a  1  U8") } == 3)
    }

    /// The tiny model as a GGUF file is the same model.
    @Test func ggufIsReadAndConverted() throws {
        try workspace.write("model.gguf", gguf())
        #expect(try generated("model.gguf") == generated("model"))
        #expect(try workspace.run("inspect", "model.gguf", "--json").json[0]["format"]?.string == "gguf")
        let text = "The sea, and the words<|im_end|>"
        #expect(try workspace.run("tokenize", "model.gguf", input: text).output == workspace.run("tokenize", "model", input: text).output)
        try convert("model.gguf", "out", "--to", "safetensors")
        let (original, converted) = (try weights("model"), try weights("out"))
        #expect(converted.tensors.map(\.name) == original.tensors.map(\.name))
        for (a, b) in zip(original.tensors, converted.tensors) {
            #expect(a.shape == b.shape && a.type == b.type)
            #expect(original.withBytes(of: a) { Array($0) } == converted.withBytes(of: b) { Array($0) }, "\(a.name)")
        }
        #expect(try generated("out") == generated("model"))
        try convert("model.gguf", "packed", "--to", "packed", "--dtype", "bfloat16")
        #expect(try generated("packed") == generated("model"))
        try workspace.write("cut.gguf", workspace.bytes("model.gguf").dropLast(1000))
        expectRefusal(try workspace.run("inspect", "cut.gguf"), "cut.gguf")
    }

    @Test(arguments: [
        "": ["train", "generate", "eval", "score", "tokenize", "convert", "inspect", "diff", "verify", "--version"],
        "train": ["--config", "--replay", "--threads", "--learning_rate", "--num_generations"],
        "generate": [
            "--dtype", "--threads", "--max-new-tokens", "--temperature", "--top-p", "--top-k", "--min-p", "--repetition-penalty", "--seed",
            "--prompt",
            "--input", "--system", "--raw", "--stop", "--num-return", "--ignore-eos", "--json",
        ],
        "eval": [
            "--dataset", "--reward-funcs", "--reward-weights", "--answer-column", "--system-prompt", "--json", "--temperature", "--seed", "--dtype",
        ],
        "score": ["--input", "--json", "--dtype", "--threads"], "tokenize": ["--decode"],
        "convert": [
            "--to", "--dtype", "--force", "--dry-run", "--verify", "--quantize", "--allow-fallback", "--group-size", "--base", "--max-shard-size",
            "--saturate",
            "--merge-adapter",
        ],
        "inspect": ["--json", "--stats"], "diff": ["--json", "--all"], "verify": ["--allow-nonfinite"],
    ])
    func helpNamesEveryOption(_ command: String, _ words: [String]) throws {
        let outcome = try workspace.run((command.isEmpty ? [] : [command]) + ["--help"])
        #expect(outcome.status == 0 && outcome.errors == "")
        for word in words { #expect(outcome.output.contains(word), "\(word)") }
    }

    // MARK: The tiny model as GGUF

    private func weights(_ model: String) throws -> SafeTensorsFile { try SafeTensorsFile(opening: "\(workspace.path)/\(model)/model.safetensors") }

    /// FP32 tensors under llama.cpp's names, and the tokenizer as it writes it.
    private func gguf() throws -> Data {
        func little(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        func string(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }
        var keys: [[UInt8]] = []
        func key(_ name: String, _ type: UInt32, _ value: [UInt8]) { keys.append(string(name) + little(type) + value) }
        func list(_ type: UInt32, _ items: [[UInt8]]) -> [UInt8] { little(type) + little(UInt64(items.count)) + items.joined() }

        let tokenizer = try JSONValue.parse(contentsOf: "\(workspace.path)/model/tokenizer.json")
        var tokens = try #require(tokenizer["model"]?["vocab"]?.object).members.sorted { ($0.value.int ?? 0) < ($1.value.int ?? 0) }.map(\.key)
        let added = try #require(tokenizer["added_tokens"]?.array).compactMap { $0["content"]?.string }
        let types = tokens.map { _ in little(Int32(1)) } + added.map { _ in little(Int32(3)) }
        tokens += added
        let merges = try #require(tokenizer["model"]?["merges"]?.array).compactMap { $0.array?.compactMap(\.string).joined(separator: " ") }
        for (name, text) in [("general.architecture", "qwen2"), ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "qwen2")] {
            key(name, 8, string(text))
        }
        for (name, number) in [
            ("block_count", 2), ("context_length", 128), ("embedding_length", 64), ("feed_forward_length", 96), ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            key("qwen2.\(name)", 4, little(UInt32(number)))
        }
        key("qwen2.attention.layer_norm_rms_epsilon", 6, little(Float(1e-6).bitPattern))
        key("qwen2.rope.freq_base", 6, little(Float(10000).bitPattern))
        key("tokenizer.ggml.eos_token_id", 4, little(UInt32(288)))
        key("tokenizer.ggml.tokens", 9, list(8, tokens.map(string)))
        key("tokenizer.ggml.token_type", 9, list(5, types))
        key("tokenizer.ggml.merges", 9, list(8, merges.map(string)))

        let names = [
            "model.embed_tokens": "token_embd", "model.norm": "output_norm", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
            "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
            "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
        ]
        let file = try weights("model")
        var infos: [UInt8] = []
        var data: [UInt8] = []
        for tensor in file.tensors {
            var name = tensor.name.replacing("model.layers.", with: "blk.")
            for (from, to) in names.sorted(by: { $0.key.count > $1.key.count }) { name = name.replacing(from, with: to) }
            infos += string(name) + little(UInt32(tensor.shape.count)) + tensor.shape.reversed().flatMap { little(UInt64($0)) }
            infos += little(UInt32(0)) + little(UInt64(data.count))
            data += file.withBytes(of: tensor) { Array($0) }
            data += [UInt8](repeating: 0, count: (32 - data.count % 32) % 32)
        }
        var head = Array("GGUF".utf8) + little(UInt32(3)) + little(UInt64(file.tensors.count)) + little(UInt64(keys.count)) + keys.joined() + infos
        head += [UInt8](repeating: 0, count: (32 - head.count % 32) % 32)
        return Data(head + data)
    }
}
