import Foundation
import JSON
import Testing

/// A run of `train`, and what can be done with its directory.
@Suite struct TrainTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.model()
        try workspace.dataset()
    }

    private func train(_ output: String, _ more: String...) throws {
        let outcome = try workspace.run(Workspace.training(output) + more)
        try #require(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output == output + "\n")
    }

    private func expectSameRun(_ a: String, _ b: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try workspace.bytes("\(a)/model.safetensors") == workspace.bytes("\(b)/model.safetensors"), sourceLocation: sourceLocation)
        let steps = try workspace.names("\(a)/completions")
        #expect(try steps == workspace.names("\(b)/completions"), sourceLocation: sourceLocation)
        for step in steps {
            #expect(try workspace.bytes("\(a)/completions/\(step)") == workspace.bytes("\(b)/completions/\(step)"), sourceLocation: sourceLocation)
        }
    }

    @Test func leavesADirectoryThatIsWhole() throws {
        try train("run")
        #expect(
            try workspace.names("run") == [
                "completions", "config.json", "config.yaml", "generation_config.json", "metrics.jsonl", "model.safetensors", "tokenizer.json",
                "tokenizer_config.json",
            ])
        #expect(try workspace.names("run/completions") == ["step-000001.jsonl", "step-000002.jsonl", "step-000003.jsonl"])
        for step in 1...3 {
            let rollouts = try workspace.jsonLines("run/completions/step-00000\(step).jsonl")
            #expect(rollouts.count == 8)
            for (index, rollout) in rollouts.enumerated() {
                #expect(
                    rollout.object?.members.map(\.key) == [
                        "step", "group", "prompt", "prompt_ids", "ids", "logprobs", "text", "finish_reason", "rewards", "reward", "advantage",
                    ])
                #expect(rollout["step"]?.int == step && rollout["group"]?.int == index / 4)
                #expect(rollout["rewards"]?["length"] == rollout["reward"])
                #expect(rollout["ids"]?.array?.count == rollout["logprobs"]?.array?.count)
            }
        }
        let metrics = try workspace.jsonLines("run/metrics.jsonl")
        #expect(metrics.compactMap { $0["step"]?.int } == [1, 2, 3])
        for name in [
            "epoch", "loss", "grad_norm", "learning_rate", "reward", "reward_std", "rewards/length/mean", "rewards/length/std",
            "frac_reward_zero_std",
            "completions/mean_length", "completions/min_length", "completions/max_length", "completions/clipped_ratio",
            "completions/mean_terminated_length", "completions/min_terminated_length", "completions/max_terminated_length", "clip_ratio/low_mean",
            "clip_ratio/low_min", "clip_ratio/high_mean", "clip_ratio/high_max", "clip_ratio/region_mean", "entropy", "num_tokens", "step_time",
            "time/generate", "time/reward", "time/forward", "time/backward", "time/optimizer",
        ] {
            #expect(metrics.allSatisfy { $0[name]?.double?.isFinite == true }, "\(name)")
        }
        #expect(try workspace.bytes("run/tokenizer.json") == workspace.bytes("model/tokenizer.json"))

        // The directory is taken; its configuration runs again elsewhere, and gives the same.
        expectRefusal(try workspace.run(Workspace.training("run")), "run: already holds a run", "another output_dir")
        let again = try workspace.run("train", "--config", "run/config.yaml", "--output_dir", "again")
        #expect(again.status == 0, "\(again.errors)")
        try expectSameRun("run", "again")
        #expect(
            try workspace.text("run/config.yaml").replacing("output_dir: \"run\"", with: "output_dir: \"again\"")
                == workspace.text("again/config.yaml"))
        let help = try workspace.run("train", "--help").output
        for line in try workspace.text("run/config.yaml").split(separator: "\n") {
            let key = line.prefix { $0 != ":" }
            #expect(help.contains("--\(key) "), "--\(key)")
        }
    }

    @Test func sameSeedSameBytesOnAnyThreads() throws {
        try train("one", "--threads", "1")
        try train("two", "--threads", "2")
        try expectSameRun("one", "two")
        try train("other", "--seed", "43")
        #expect(try workspace.bytes("one/model.safetensors") != workspace.bytes("other/model.safetensors"))
        #expect(try workspace.bytes("one/completions/step-000001.jsonl") != workspace.bytes("other/completions/step-000001.jsonl"))
    }

    /// Training on a run's own recording is that run; also when batches are trained on twice, over two epochs, with a reference model.
    @Test(arguments: [
        [], ["--max_steps", "16", "--num_iterations", "2", "--steps_per_generation", "2", "--beta", "0.04", "--loss_type", "grpo"],
    ])
    func replayIsTheRunItself(_ flags: [String]) throws {
        let run = try workspace.run(Workspace.training("run") + flags)
        #expect(run.status == 0, "\(run.errors)")
        let outcome = try workspace.run("train", "--config", "run/config.yaml", "--output_dir", "replay", "--replay", "run/completions")
        #expect(outcome.status == 0, "\(outcome.errors)")
        try expectSameRun("run", "replay")
        func losses(_ run: String) throws -> [JSONValue?] {
            try workspace.jsonLines("\(run)/metrics.jsonl").flatMap { [$0["loss"], $0["grad_norm"]] }
        }
        #expect(try losses("run") == losses("replay"))
    }

    @Test func theResultIsAModelLikeAnyOther() throws {
        try train("run")
        func text(_ model: String) throws -> String {
            let outcome = try workspace.run(
                "generate", model, "--prompt", "The sea", "--raw", "--temperature", "1", "--max-new-tokens", "40", "--json")
            #expect(outcome.status == 0, "\(outcome.errors)")
            return outcome.output
        }
        #expect(try text("run") != text("model"))
        #expect(try workspace.run("convert", "run", "packed", "--to", "packed").status == 0)
        #expect(try workspace.bytes("packed/model.safetensors").count < workspace.bytes("run/model.safetensors").count)
        #expect(try text("packed") == text("run"))
        #expect(try workspace.run("convert", "packed", "back", "--to", "safetensors").status == 0)
        #expect(try workspace.bytes("back/model.safetensors") == workspace.bytes("run/model.safetensors"))
        #expect(try workspace.bytes("back/config.json") == workspace.bytes("run/config.json"))
        #expect(try workspace.bytes("back/tokenizer.json") == workspace.bytes("run/tokenizer.json"))
    }

    /// Stop strings and an expression: completions end and match as they should, keep all their ids, and train.
    @Test func answersEndAndMatch() throws {
        let regex = "[a-z]{1,8}( [a-z]{1,8})*,"
        try train("matching", "--vllm_structured_outputs_regex", regex, "--max_completion_length", "24")
        try train("stopped", "--generation_kwargs", #"{"stop_strings": ["e", " t"]}"#, "--max_completion_length", "24")
        for step in 1...3 {
            let matching = try workspace.jsonLines("matching/completions/step-00000\(step).jsonl")
            for rollout in matching where rollout["finish_reason"]?.string == "stop" {
                let text = try #require(rollout["text"]?.string)
                #expect(text.wholeMatch(of: try Regex(regex)) != nil, "\(text)")
                #expect(rollout["ids"]?.array?.last?.int == 288)
            }
            for rollout in try workspace.jsonLines("stopped/completions/step-00000\(step).jsonl") {
                let (text, ids) = (try #require(rollout["text"]?.string), try #require(rollout["ids"]))
                let words = ["e", " t"].filter { text.contains($0) }
                #expect(words.isEmpty == (rollout["finish_reason"]?.string == "length" || ids.array?.last?.int == 288), "\(text)")
                // All ids are kept, and no id came after the one with which the text had a stop string.
                let shorter = JSONValue.array(Array(try #require(ids.array).dropLast())).serialized()
                let before = try workspace.run("tokenize", "model", "--decode", "--skip-special-tokens", input: shorter).output
                #expect(!before.contains("e") && !before.contains(" t"), "\(text)")
            }
        }
        #expect(try workspace.jsonLines("stopped/metrics.jsonl").allSatisfy { ($0["completions/clipped_ratio"]?.double ?? 1) < 1 })
        for (arguments, words) in [
            (["--vllm_structured_outputs_regex", "(a"], "vllm_structured_outputs_regex"),
            (["--generation_kwargs", #"{"stop_strings": [1]}"#], "stop_strings"),
        ] {
            expectRefusal(try workspace.run(Workspace.training("refused") + arguments), words)
        }
    }

    @Test func float32Runs() throws {
        try train("run", "--dtype", "float32", "--beta", "0.1")
        #expect(try workspace.jsonLines("run/metrics.jsonl").allSatisfy { $0["kl"]?.double?.isFinite == true })
        #expect(try workspace.run("inspect", "run").output.contains("F32: 26 tensors"))
    }

    /// The end of a run that was told to stop by a signal; the run may not take longer than 20 seconds.
    private func stop(_ arguments: [String], by signal: Int32, when file: String) throws -> (status: Int32, signalled: Bool, errors: String) {
        let process = try workspace.start(arguments: arguments, streams: ".stopped")
        let deadline = Date(timeIntervalSinceNow: 20)
        while !workspace.exists(file), process.isRunning, Date() < deadline { usleep(500) }
        kill(process.processIdentifier, signal)
        while process.isRunning, Date() < deadline { usleep(10_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        return (process.terminationStatus, process.terminationReason == .uncaughtSignal, try workspace.text(".stopped.err"))
    }

    private static let longRun = [
        "--max_steps", "40", "--num_iterations", "2", "--save_strategy", "steps", "--save_steps", "2", "--save_total_limit", "2",
    ]

    /// Ctrl-C, or a polite kill: the step is finished and saved, and the same command goes on from there to the same bytes.
    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalSavesAndResumes(_ signal: Int32) throws {
        let arguments = Workspace.training("run") + Self.longRun
        let whole = try workspace.run(Workspace.training("whole") + Self.longRun)
        #expect(whole.status == 0, "\(whole.errors)")
        let stopped = try stop(arguments, by: signal, when: "run/completions/step-000005.jsonl")
        #expect(stopped.status == 1 && !stopped.signalled, "\(stopped.errors)")
        let name = signal == SIGINT ? "SIGINT" : "SIGTERM"
        #expect(
            stopped.errors.contains("stopped by \(name); everything is in run/checkpoint-")
                && stopped.errors.contains("--resume_from_checkpoint true"))
        let resumed = try workspace.run(arguments + ["--resume_from_checkpoint", "true"])
        #expect(resumed.status == 0 && resumed.errors.contains("Going on from run/checkpoint-"), "\(resumed.errors)")
        try expectSameRun("whole", "run")
        #expect(try workspace.jsonLines("run/metrics.jsonl").compactMap { $0["step"]?.int } == Array(1...40))
    }

    /// Kill -9 at any moment: what has its final name is whole, and the run goes on to the same bytes.
    @Test(arguments: [3, 13])
    func aKillLosesNothing(_ step: Int) throws {
        let arguments = Workspace.training("run") + Self.longRun + ["--resume_from_checkpoint", "true"]
        #expect(try workspace.run(Workspace.training("whole") + Self.longRun).status == 0)
        let file = "run/completions/step-0000\(step < 10 ? "0" : "")\(step).jsonl"
        let killed = try stop(arguments, by: SIGKILL, when: file)
        #expect(killed.signalled && killed.status == SIGKILL)
        for name in try workspace.names("run/completions").filter({ !$0.hasSuffix(".partial") }) {
            #expect(try workspace.jsonLines("run/completions/\(name)").count == 8)
        }
        #expect(!workspace.exists("run/model.safetensors") && !workspace.exists("run/config.json"))
        for name in try workspace.names("run") where name.hasPrefix("checkpoint-") && !name.hasSuffix(".partial") {
            #expect(try workspace.run("inspect", "run/\(name)").status == 0)
        }
        let resumed = try workspace.run(arguments)
        #expect(resumed.status == 0, "\(resumed.errors)")
        try expectSameRun("whole", "run")
    }
}
