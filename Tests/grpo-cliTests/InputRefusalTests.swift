import Foundation
import Testing

/// Wrong data, prompts and flags are refused in one line that says where, what was found and what to do.
@Suite struct InputRefusalTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.model()
        try workspace.dataset()
    }

    private func generate(_ arguments: String...) throws -> Outcome { try workspace.run(["generate", "model", "--max-new-tokens", "2"] + arguments) }
    private func train(_ arguments: String...) throws -> Outcome { try workspace.run(Workspace.training("out") + arguments) }

    @Test func lines() throws {
        try workspace.write("bad.jsonl", "{\"prompt\":\"The sea\"}\n\n{\"prompt\": oops}\n")
        for outcome in [
            try generate("--input", "bad.jsonl"), try workspace.run("score", "model", "--input", "bad.jsonl"),
            try train("--dataset_name", "bad.jsonl"),
            try workspace.run("eval", "model", "--dataset", "bad.jsonl", "--reward-funcs", "length"),
        ].enumerated() {
            // `score` already refuses the first line, which has no completion.
            expectRefusal(
                outcome.element, outcome.offset == 1 ? "bad.jsonl:1" : "bad.jsonl:3", outcome.offset == 1 ? "expected {\"text\"}" : "not valid JSON")
        }
        try workspace.write("bad.jsonl", "{\"text\":\"The sea\"}\n{\"prompt\":\"The\",\"completion\":7}\n")
        expectRefusal(try workspace.run("score", "model", "--input", "bad.jsonl"), "bad.jsonl:2", "expected")
        expectRefusal(try train("--dataset_name", "bad.jsonl"), "bad.jsonl:1", "no column \"prompt\"", "\"text\"", "dataset_prompt_column")
        expectRefusal(try train("--dataset_name", "none.jsonl"), "none.jsonl", "No such file")
        #expect(!workspace.exists("out"))
    }

    @Test func emptyPrompts() throws {
        expectRefusal(try generate("--prompt", ""), status: 64, "--prompt is empty")
        expectRefusal(try generate("--prompt", "", "--raw"), status: 64, "--prompt is empty")
        try workspace.write("empty.jsonl", "{\"prompt\":\"The sea\"}\n{\"prompt\":\"\"}\n")
        expectRefusal(try generate("--input", "empty.jsonl"), "empty.jsonl:2", "is empty")
        expectRefusal(try train("--dataset_name", "empty.jsonl"), "empty.jsonl:2", "is empty")
        try workspace.write("empty.jsonl", "{\"text\":\"\"}\n")
        expectRefusal(try workspace.run("score", "model", "--input", "empty.jsonl"), "empty.jsonl:1", "nothing to score")
        try workspace.write("empty.jsonl", "\n")
        expectRefusal(try generate("--input", "empty.jsonl"), "empty.jsonl", "no rows")
    }

    @Test func promptsLongerThanTheContext() throws {
        let long = String(repeating: "zq", count: 100)
        expectRefusal(try generate("--prompt", long, "--raw"), "200 tokens", "128", "shorten")
        try workspace.write("long.jsonl", "\n{\"prompt\":\"\(long)\"}\n")
        expectRefusal(try generate("--input", "long.jsonl", "--raw"), "long.jsonl:2", "200 tokens", "128")
        expectRefusal(try workspace.run("eval", "model", "--dataset", "long.jsonl", "--reward-funcs", "length"), "long.jsonl:2", "200 tokens", "128")
        try workspace.write("score.jsonl", "{\"text\":\"\(long)\"}\n")
        expectRefusal(try workspace.run("score", "model", "--input", "score.jsonl"), "score.jsonl:1", "200 tokens", "128")
        // Twelve short prompts and a long one; and short ones that leave the completion no room.
        try workspace.write("long.jsonl", workspace.text("data.jsonl") + "\n{\"prompt\":\"\(long)\"}\n")
        expectRefusal(try train("--dataset_name", "long.jsonl"), "long.jsonl:14", "200 tokens", "128")
        expectRefusal(try train("--max_completion_length", "126"), "data.jsonl:1", "max_completion_length 126", "128")
        #expect(!workspace.exists("out"))
    }

    @Test func idsTheModelDoesNotHave() throws {
        try workspace.write("ids.jsonl", "{\"ids\":[1,2]}\n{\"ids\":[1,289]}\n")
        let outcome = try workspace.run("score", "model", "--input", "ids.jsonl")
        #expect(outcome.status == 1 && outcome.errors.contains("ids.jsonl:2: has the id 289, the model has 0 to 288"))
        expectRefusal(try workspace.run("tokenize", "model", "--decode", input: "{}"), "standard input", "JSON array of token ids")
        expectRefusal(try workspace.run("tokenize", "model", "--decode", input: "[1,"), "standard input:1", "truncated?")
        expectRefusal(try workspace.run("tokenize", "model", "none.txt"), "none.txt")
    }

    @Test func samplingFlags() throws {
        for (flag, value, words) in [
            ("--temperature", "-1", "temperature is -1.0"), ("--temperature", "1e-30", "temperature is"), ("--temperature", "nan", "temperature is"),
            ("--temperature", "hot", "'hot' is invalid"), ("--top-p", "0", "top_p is 0.0"), ("--top-p", "1.5", "top_p is 1.5"),
            ("--top-k", "-3", "top_k is -3"),
            ("--min-p", "2", "min_p is 2.0"), ("--repetition-penalty", "0", "repetition_penalty is 0.0"), ("--max-new-tokens", "0", "is 0"),
            ("--num-return", "0", "--num-return is 0"), ("--num-return", "99999999999999", "--num-return is"), ("--threads", "0", "--threads is 0"),
            ("--stop", "", "--stop is empty"), ("--seed", "-1", "'-1' is invalid"), ("--dtype", "float16", "'float16' is invalid"),
        ] {
            expectRefusal(try generate("--prompt", "x", flag, value), status: 64, words)
        }
        expectRefusal(try generate(), status: 64, "--prompt", "--input")
        expectRefusal(try generate("--prompt", "x", "--input", "data.jsonl"), status: 64, "--prompt", "--input")
        expectRefusal(try generate("--prompt", "x", "--raw", "--system", "y"), status: 64, "--system", "--raw")
        expectRefusal(try generate("--promt", "x"), status: 64, "Unknown option '--promt'", "'--prompt'")
        expectRefusal(try workspace.run("generat"), status: 64, "generat")
    }

    @Test func keysOfTheCommandLine() throws {
        expectRefusal(try train("--learning_rat", "1"), status: 64, "unknown key 'learning_rat'", "'learning_rate'")
        expectRefusal(try train("--learning-rate", "fast"), status: 64, "learning_rate", "'fast'", "expected a number")
        expectRefusal(try train("--learning-rate", "-1"), status: 64, "learning_rate", "'-1'", "at least 0")
        expectRefusal(try train("--dtype", "int8"), "dtype is int8, which cannot be trained", "expected bfloat16 or float32")
        expectRefusal(try train("--threads", "0"), status: 64, "--threads is 0")
        expectRefusal(try workspace.run("train", "run.yaml"), status: 64, "'run.yaml'", "--key value")
        expectRefusal(try workspace.run("train"), "model_name_or_path is missing")
        expectRefusal(try train("--use_dora", "true"), status: 64, "use_dora", "not supported")
    }

    @Test func keysOfAFile() throws {
        let start = "model_name_or_path: model\noutput_dir: out\n"
        for (line, words) in [
            ("learning_rat: 1\n", ["run.yaml:3", "unknown key 'learning_rat'", "'learning_rate'"]),
            ("learning_rate: fast\n", ["run.yaml:3", "'fast'", "a number"]),
            ("reward_funcs: [length, {a: b}]\n", ["run.yaml:3", "reward_funcs"]), ("seed: 1\nseed: 2\n", ["run.yaml", "seed", "twice"]),
            ("a: b: c\n", ["run.yaml", "not valid YAML", "line 3"]), ("- 1\n", ["run.yaml", "not valid YAML"]),
        ] {
            try workspace.write("run.yaml", start + line)
            let outcome = try workspace.run("train", "--config", "run.yaml")
            expectRefusal(outcome)
            for word in words { #expect(outcome.errors.contains(word), "\(word) is not in: \(outcome.errors)") }
        }
        expectRefusal(try workspace.run("train", "--config", "none.yaml"), "none.yaml", "No such file")
    }

    @Test func rewardsAndBatches() throws {
        expectRefusal(try train("--reward_funcs", "lenght"), "'lenght'", "'length'")
        expectRefusal(try train("--reward_funcs", "answer", "--answer_reward_column", "solution"), "answer", "\"solution\"", "found \"answer\"")
        expectRefusal(
            try workspace.run("eval", "model", "--dataset", "data.jsonl", "--reward-funcs", "answer", "--answer-column", "solution"), "\"solution\"")
        expectRefusal(try train("--reward_weights", "1", "2"), "reward_weights has 2 numbers, expected 1")
        expectRefusal(try train("--num_generations", "3"), "num_generations 3 does not divide", "6 or 9")
        expectRefusal(try train("--per_device_train_batch_size", "400"), "12 prompts", "100", "smaller batch")
        #expect(!workspace.exists("out"))
    }

    @Test func recordings() throws {
        expectRefusal(try train("--replay", "none"), "none", "No such file")
        try FileManager.default.createDirectory(atPath: workspace.path + "/none", withIntermediateDirectories: false)
        expectRefusal(try train("--replay", "none"), "none", "no recorded rollouts", "step-000001.jsonl")
        try workspace.write("none/step-000001.jsonl", "{\"group\":0,\"prompt_ids\":[1],\"ids\":[2],\"rewards\":{\"length\":1}}\n{\"group\":0}\n")
        expectRefusal(try train("--replay", "none"), "none/step-000001.jsonl:2", "\"prompt_ids\"")
        #expect(!workspace.exists("out"))
    }
}
