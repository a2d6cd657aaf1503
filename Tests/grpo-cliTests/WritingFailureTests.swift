import Foundation
import Testing

/// Disks that are full (here: a limit on the size of files), places that cannot be written to, and readers that go away.
@Suite struct WritingFailureTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.model()
        try workspace.dataset()
    }

    /// Runs with files of at most so many KiB.
    private func limited(_ kilobytes: Int, _ arguments: [String]) throws -> Outcome {
        try workspace.bash("ulimit -f \(kilobytes); exec $G \(arguments.joined(separator: " "))")
    }

    @Test func aFullDiskWhileConverting() throws {
        for format in ["safetensors", "packed"] {
            expectRefusal(
                try limited(40, ["convert", "model", "out", "--to", format, "--dtype", "bfloat16"]), "model.safetensors", "cannot write",
                "File too large")
        }
        #expect(try workspace.names() == ["data.jsonl", "model"])
    }

    @Test func aFullDiskKeepsWhatWasToBeReplaced() throws {
        #expect(try workspace.run("convert", "model", "out", "--to", "packed", "--dtype", "bfloat16").status == 0)
        let before = try workspace.bytes("out/model.safetensors")
        expectRefusal(try limited(40, ["convert", "model", "out", "--to", "safetensors", "--force"]), "cannot write")
        #expect(try workspace.bytes("out/model.safetensors") == before)
        #expect(try workspace.names() == ["data.jsonl", "model", "out"])
    }

    @Test func aFullDiskAtTheEndOfTraining() throws {
        let outcome = try limited(100, Workspace.training("run"))
        #expect(outcome.status == 1 && !outcome.signalled && outcome.output == "")
        #expect(outcome.errorLines.last?.contains("run/model.safetensors: cannot write: File too large") == true, "\(outcome.errors)")
        let names = try workspace.names("run")
        #expect(!names.contains("model.safetensors") && !names.contains("config.json") && !names.contains { $0.hasSuffix(".partial") }, "\(names)")
        #expect(try workspace.jsonLines("run/metrics.jsonl").count == 3)
    }

    @Test func aFullDiskInTheLogs() throws {
        var outcome = try limited(3, Workspace.training("early", "--per_device_train_batch_size", "16"))
        #expect(outcome.status == 1 && !outcome.signalled)
        #expect(
            outcome.errorLines.last?.contains("early/completions/step-000001.jsonl.partial: cannot write: File too large") == true,
            "\(outcome.errors)")
        #expect(try workspace.names("early/completions") == [])
        // Enough for every file of completions, but not for the metrics of all steps.
        outcome = try limited(16, Workspace.training("late", "--max_steps", "60"))
        #expect(outcome.status == 1 && !outcome.signalled)
        #expect(outcome.errorLines.last?.contains("late/metrics.jsonl: cannot write: File too large") == true, "\(outcome.errors)")
        #expect(try workspace.text("late/metrics.jsonl").hasSuffix("}\n"))
        #expect(try workspace.jsonLines("late/metrics.jsonl").count > 10)
    }

    @Test func placesThatCannotBeWritten() throws {
        var outcome = try workspace.run(Workspace.training("data.jsonl/run"))
        #expect(outcome.status == 1 && outcome.errorLines.last?.contains("data.jsonl: cannot make this directory: a file has this name") == true)
        outcome = try workspace.run(Workspace.training("/proc/run"))
        #expect(outcome.status == 1 && outcome.errorLines.last?.contains("/proc/run: cannot make this directory") == true)
        expectRefusal(try workspace.run("convert", "model", "no/such/place", "--to", "safetensors"), "no/such/place", "No such file")
        expectRefusal(try workspace.run("convert", "model", "data.jsonl", "--to", "safetensors"), "data.jsonl", "exists already", "--force")
        expectRefusal(try workspace.run("convert", "model", "model", "--to", "safetensors"), "model", "exists already", "--force")
        #expect(try workspace.text("data.jsonl").hasPrefix("{"))
        expectRefusal(try workspace.run("convert", "model", "data.jsonl", "--to", "safetensors", "--force"), "data.jsonl", "not a directory")
    }

    @Test func aReaderThatGoesAway() throws {
        for command in [
            "inspect model", "generate model --prompt x --raw --num-return 200 --temperature 1", "generate model --prompt x --raw", "--help",
        ] {
            let outcome = try workspace.bash("set -o pipefail; $G \(command) | head -0")
            #expect(outcome.errors == "", "\(outcome.errors)")
            #expect([0, 141].contains(outcome.status))
        }
    }

    @Test func outputThatCannotBeWritten() throws {
        for command in ["inspect model", "generate model --prompt x --raw", "generate model --prompt x --raw --json", "tokenize model data.jsonl"] {
            expectRefusal(try workspace.bash("$G \(command) >/dev/full"), "standard output: cannot write: No space left")
        }
        let outcome = try workspace.bash("$G inspect none 2>/dev/full")
        #expect(outcome.status == 1 && !outcome.signalled)
    }
}
