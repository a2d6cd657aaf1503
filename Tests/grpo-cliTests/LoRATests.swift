import Foundation
import JSON
import Testing

/// An adapter from training to use, through the program.
@Suite struct LoRATests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.model()
        try workspace.dataset()
    }

    private func text(_ model: String, _ more: String...) throws -> JSONValue {
        let outcome = try workspace.run(["generate", model, "--raw", "--prompt", "The sea is", "--max-new-tokens", "12", "--json"] + more)
        try #require(outcome.status == 0, "\(outcome.errors)")
        return try #require(try outcome.json.first)
    }

    @Test func trainedUsedMergedAndTrainedOn() throws {
        let lora = ["--use_peft", "true", "--lora_r", "4", "--lora_target_modules", "all-linear", "--learning_rate", "1e-2", "--beta", "0.01"]
        let trained = try workspace.run(Workspace.training("run") + lora)
        try #require(trained.status == 0, "\(trained.errors)")
        #expect(trained.errors.contains("LoRA trains 0.01 M more: rank 4 on q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj."))
        #expect(!workspace.exists("run/model.safetensors") && !workspace.exists("run/config.json"))

        let own = try text("run"), plain = try text("model")
        #expect(own["logprobs"] != plain["logprobs"])
        let merged = try workspace.run("convert", "model", "merged", "--to", "safetensors", "--merge-adapter", "run", "--verify")
        #expect(merged.status == 0, "\(merged.errors)")
        let exact = try text("run", "--dtype", "float32"), same = try text("merged", "--dtype", "float32")
        #expect(exact["ids"] == same["ids"])
        try workspace.write("rows.jsonl", "{\"text\":\"The sea is blue\"}\n")
        let scores = try workspace.run("score", "run", "--input", "rows.jsonl", "--dtype", "float32").json[0]["perplexity"]?.double ?? 0
        let others = try workspace.run("score", "merged", "--input", "rows.jsonl", "--dtype", "float32").json[0]["perplexity"]?.double ?? 1
        #expect(abs(scores - others) < 1e-4 * others)
        let judged = try workspace.run("eval", "run", "--dataset", "data.jsonl", "--reward-funcs", "length", "--max-new-tokens", "4")
        #expect(judged.status == 0, "\(judged.errors)")

        let more = try workspace.run(Workspace.training("more", "--model_name_or_path", "run", "--use_peft", "true"))
        #expect(more.status == 0, "\(more.errors)")
        #expect(try workspace.bytes("more/adapter_model.safetensors") != workspace.bytes("run/adapter_model.safetensors"))
        let looked = try workspace.run("inspect", "run").output
        #expect(
            looked.contains(": rank 4, alpha 32, on ") && looked.contains("lora_A.weight  4 x 64  F32")
                && looked.contains("  base_model.model.model.layers\n"))
        #expect(try workspace.run("verify", "run").output.hasPrefix("run: whole"))
        #expect(try workspace.run("diff", "run", "run").status == 0 && workspace.run("diff", "run", "more").status == 1)
        expectRefusal(try workspace.run(Workspace.training("other", "--model_name_or_path", "run")), "run is a LoRA adapter", "use_peft")
    }

    @Test func aDryRunTellsItsMemory() throws {
        let outcome = try workspace.run(Workspace.training("run", "--use_peft", "true", "--dry-run"))
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("Memory at most about"))
    }
}
