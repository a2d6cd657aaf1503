import Foundation
import Testing

/// What is not a model is refused in one line that says which file, what was found and what to do.
@Suite struct ModelRefusalTests {
    let workspace: Workspace

    init() throws { workspace = try Workspace() }

    private func opening(_ model: String) throws -> Outcome {
        try workspace.run("generate", model, "--prompt", "The sea", "--raw", "--max-new-tokens", "2")
    }

    @Test func aPathThatDoesNotExist() throws {
        expectRefusal(try opening("Qwen/Qwen2.5-0.5B"), "Qwen/Qwen2.5-0.5B", "No such file", "downloaded")
        expectRefusal(try opening("model.gguf"), "model.gguf", "No such file")
    }

    @Test func aModelOfAnotherType() throws {
        try workspace.model(editing: "config.json") { $0.replacing("\"qwen2\"", with: "\"gemma2\"") }
        expectRefusal(try opening("model"), "config.json", "model_type", "gemma2", "expected one of qwen2, qwen3, llama, mistral")
    }

    @Test func aMissingTensor() throws {
        try workspace.model(editing: "config.json") { $0.replacing("\"num_hidden_layers\": 2", with: "\"num_hidden_layers\": 3") }
        expectRefusal(try opening("model"), "model: tensor \"model.layers.2.input_layernorm.weight\"", "missing", "[64]")
    }

    @Test func aWrongShape() throws {
        try workspace.model(editing: "config.json") { $0.replacing("\"intermediate_size\": 96", with: "\"intermediate_size\": 98") }
        expectRefusal(try opening("model"), "model.layers.0.mlp.gate_proj.weight", "[96, 64]", "expected [98, 64]")
    }

    @Test func aTruncatedFile() throws {
        try workspace.model()
        try workspace.write("model/model.safetensors", workspace.bytes("model/model.safetensors").prefix(100_000))
        expectRefusal(try opening("model"), "model/model.safetensors", "truncated download?")
        try workspace.write("model/model.safetensors", "")
        expectRefusal(try opening("model"), "model/model.safetensors", "empty")
    }

    @Test func picklesAndPointers() throws {
        let zip = "PK\u{3}\u{4}" + String(repeating: "x", count: 100)
        try workspace.write("model.bin", zip)
        expectRefusal(try opening("model.bin"), "model.bin", "ZIP", "pickle")
        try workspace.model(without: "model.safetensors")
        expectRefusal(try opening("model"), "model: ", "model.safetensors")
        try workspace.write("model/pytorch_model.bin", zip)
        expectRefusal(try opening("model"), "pytorch_model.bin", "pickle", "convert it to model.safetensors")
        try workspace.write("model/model.safetensors", zip)
        expectRefusal(try opening("model"), "model/model.safetensors", "pickle", "convert it to safetensors")
        try workspace.write("model/model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 324696\n")
        expectRefusal(try opening("model"), "model/model.safetensors", "Git LFS pointer", "git lfs pull")
    }

    @Test func noTokenizer() throws {
        try workspace.model(without: "tokenizer.json")
        expectRefusal(try opening("model"), "model", "no tokenizer.json", "copy")
        expectRefusal(try workspace.run("tokenize", "model", input: "text"), "model", "no tokenizer.json")
    }

    @Test func aTokenizerOfAnotherModel() throws {
        try workspace.model(editing: "config.json") { $0.replacing("\"vocab_size\": 289", with: "\"vocab_size\": 288") }
        expectRefusal(try opening("model"), "model.embed_tokens.weight", "[289, 64]", "expected [288, 64]")
    }

    @Test(arguments: ["Unigram", "WordPiece", "WordLevel"])
    func aTokenizerOfAnotherKind(type: String) throws {
        try workspace.model(editing: "tokenizer.json") { $0.replacing("\"type\": \"BPE\"", with: "\"type\": \"\(type)\"") }
        expectRefusal(try opening("model"), "model/tokenizer.json", "model.type", "'\(type)' is not supported")
        expectRefusal(try workspace.run("tokenize", "model", input: "text"), "model/tokenizer.json", "'\(type)' is not supported")
    }

    @Test func brokenJSON() throws {
        try workspace.model(editing: "config.json") { $0.replacing("\"model_type\"", with: "model_type") }
        expectRefusal(try opening("model"), "model/config.json")
        try workspace.model("other", editing: "tokenizer.json") { String($0.prefix(2000)) }
        expectRefusal(try opening("other"), "other/tokenizer.json", "truncated?")
    }

    @Test func everyCommandRefusesAlike() throws {
        try workspace.dataset()
        for command in [
            ["generate", "none", "--prompt", "x"], ["score", "none", "--input", "data.jsonl"], ["tokenize", "none"], ["inspect", "none"],
            ["convert", "none", "out", "--to", "packed"], ["eval", "none", "--dataset", "data.jsonl", "--reward-funcs", "length"],
            Workspace.training("out", "--model_name_or_path", "none"),
        ] {
            let outcome = try workspace.run(command)
            if command[0] == "score" { expectRefusal(outcome, "data.jsonl:1") } else { expectRefusal(outcome, "none", "No such file") }
        }
        #expect(try workspace.names() == ["data.jsonl"])
    }
}
