import Foundation
import JSON
import Testing

/// `generate`, `score`, `tokenize` and `eval` as their user meets them.
@Suite struct GenerateTests {
    let workspace: Workspace

    init() throws {
        workspace = try Workspace()
        try workspace.model()
        try workspace.dataset()
    }

    private func outcome(_ arguments: String...) throws -> Outcome {
        let outcome = try workspace.run(["generate", "model", "--raw", "--max-new-tokens", "16"] + arguments)
        #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
        return outcome
    }

    private func sea(_ arguments: String...) throws -> [JSONValue] {
        let outcome = try workspace.run(["generate", "model", "--raw", "--max-new-tokens", "16", "--json", "--prompt", "The sea"] + arguments)
        #expect(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
        return try outcome.json
    }

    @Test func textAndJSONSayTheSame() throws {
        let line = try #require(try sea().first)
        #expect(line.object?.members.map(\.key) == ["prompt_ids", "ids", "logprobs", "text", "finish_reason"])
        let text = try #require(line["text"]?.string)
        #expect(try outcome("--prompt", "The sea").output == text + "\n")
        let ids = try #require(line["ids"])
        #expect(line["logprobs"]?.array?.count == ids.array?.count)
        #expect(line["logprobs"]?.array?.allSatisfy { ($0.double ?? 1) <= 0 } == true)
        #expect(try workspace.run("tokenize", "model", input: "The sea").json == [try #require(line["prompt_ids"])])
        let ordinary = JSONValue.array(try #require(ids.array).filter { ($0.int ?? 0) < 286 })
        #expect(try workspace.run("tokenize", "model", "--decode", input: ordinary.serialized()).output == text)
    }

    @Test func greedyAndSeededTextsRepeat() throws {
        #expect(try sea() == sea())
        #expect(try sea("--temperature", "0", "--seed", "1") == sea("--seed", "2"))
        let sampled = try sea("--temperature", "1", "--seed", "1")
        #expect(try sampled == sea("--temperature", "1", "--seed", "1"))
        #expect(try sampled == sea("--temperature", "1", "--seed", "1", "--threads", "1"))
        #expect(try sampled != sea("--temperature", "1", "--seed", "2"))
    }

    @Test func severalCompletionsAreTheFirstOfMore() throws {
        let few = try sea("--temperature", "1", "--num-return", "3")
        #expect(few.count == 3)
        #expect(Set(few.map { $0.serialized() }).count == 3)
        // More than are decoded together.
        let many = try sea("--temperature", "1", "--num-return", "70")
        #expect(many.count == 70)
        #expect(Array(many.prefix(3)) == few)
        #expect(Set(many.suffix(40).map { $0.serialized() }).count > 30)
    }

    @Test func rowsOfAFileAreThePromptsAlone() throws {
        let rows = try outcome("--input", "data.jsonl", "--json").json
        #expect(rows.count == 12)
        for (row, prompt) in zip(rows, ["The sea is", "The sun is", "The moon is"]) {
            #expect(try outcome("--prompt", prompt, "--json").json == [row])
        }
        #expect(try outcome("--input", "data.jsonl").outputLines.filter { $0 == "---" }.count == 12)
    }

    /// Every id of this greedy text is one character, so any two of them are split over tokens.
    @Test func stopStringsEndTheTextBeforeThem() throws {
        let whole = try #require(try sea("--ignore-eos", "--max-new-tokens", "8").first)
        let text = Array(try #require(whole["text"]?.string).utf8)
        let ids = try #require(whole["ids"]?.array)
        try #require(text.count == ids.count && text.allSatisfy { $0 < 128 })
        let change = try #require(text.indices.dropFirst(2).first { text[$0] != text[$0 - 1] })
        let stop = String(decoding: text[change - 1...change], as: UTF8.self)
        let before = String(decoding: text[..<(change - 1)], as: UTF8.self)
        let stopped = try #require(try sea("--ignore-eos", "--max-new-tokens", "8", "--stop", "never", "--stop", stop).first)
        #expect(stopped["text"]?.string == before)
        #expect(stopped["finish_reason"]?.string == "stop")
        #expect(stopped["ids"]?.array == Array(ids.prefix(change + 1)))
        #expect(try outcome("--prompt", "The sea", "--ignore-eos", "--max-new-tokens", "8", "--stop", stop).output == before + "\n")
        // One that never comes holds nothing back in the end.
        #expect(try sea("--ignore-eos", "--max-new-tokens", "8", "--stop", "\(stop)never") == [whole])
    }

    @Test func endTokensEndUnlessIgnored() throws {
        let ended = try sea("--temperature", "1", "--num-return", "32", "--max-new-tokens", "40")
        let stopped = ended.filter { $0["finish_reason"]?.string == "stop" }
        try #require(!stopped.isEmpty)
        #expect(stopped.allSatisfy { $0["ids"]?.array?.last?.int == 288 && $0["text"]?.string?.contains("<|im_end|>") == false })
        let ignored = try sea("--temperature", "1", "--num-return", "32", "--max-new-tokens", "40", "--ignore-eos")
        #expect(ignored.allSatisfy { $0["ids"]?.array?.count == 40 && $0["finish_reason"]?.string == "length" })
        // The context of 128 ends a completion as well.
        #expect(try sea("--ignore-eos", "--max-new-tokens", "1000")[0]["ids"]?.array?.count == 125)
    }

    @Test func everyComputeTypeRuns() throws {
        let (exact, half) = (try sea("--dtype", "float32")[0], try sea("--dtype", "bfloat16")[0])
        #expect(exact["logprobs"] != half["logprobs"])
        #expect(abs((exact["logprobs"]?.array?[0].double ?? 0) - (half["logprobs"]?.array?[0].double ?? 1)) < 0.05)
        let (int8, int4) = (try sea("--dtype", "int8")[0], try sea("--dtype", "int4")[0])
        #expect(int8["logprobs"] != half["logprobs"] && int8["logprobs"] != int4["logprobs"])
        #expect(abs((exact["logprobs"]?.array?[0].double ?? 0) - (int8["logprobs"]?.array?[0].double ?? 1)) < 0.1)
    }

    /// The model has no template of its own: a prompt becomes a user's turn in plain ChatML, whose marks its tokenizer knows.
    @Test func promptsGoThroughTheChatTemplate() throws {
        let line = try workspace.run("generate", "model", "--prompt", "The sea", "--system", "Be short", "--max-new-tokens", "2", "--json").json[0]
        let prompt = "<|im_start|>system\nBe short<|im_end|>\n<|im_start|>user\nThe sea<|im_end|>\n<|im_start|>assistant\n"
        #expect(try workspace.run("tokenize", "model", input: prompt).json == [try #require(line["prompt_ids"])])
    }

    /// What the sampler printed is what a forward pass over the finished text gives, digit for digit.
    @Test func scoresAreTheSamplersLogProbabilities() throws {
        let lines = try outcome("--input", "data.jsonl", "--temperature", "1", "--json", "--max-new-tokens", "60").json
        let rows = lines.map { JSONValue.array(($0["prompt_ids"]?.array ?? []) + ($0["ids"]?.array ?? [])) }
        try workspace.write("rows.jsonl", rows.map { "{\"ids\":\($0.serialized())}\n" }.joined())
        let scored = try workspace.run("score", "model", "--input", "rows.jsonl")
        #expect(scored.status == 0 && scored.errors == "")
        #expect(try scored.json.count == 12)
        for (score, (row, line)) in zip(try scored.json, zip(rows, lines)) {
            #expect(score["ids"] == row)
            let generated = try #require(line["logprobs"]?.array)
            let logprobs = try #require(score["logprobs"]?.array)
            #expect(logprobs.count == (row.array?.count ?? 0) - 1)
            #expect(Array(logprobs.suffix(generated.count)) == generated)
            let mean = logprobs.reduce(0) { $0 + ($1.double ?? .nan) } / Double(logprobs.count)
            #expect(abs((score["perplexity"]?.double ?? 0) / exp(-mean) - 1) < 1e-6)
        }
    }

    @Test func tokenizeGoesThereAndBack() throws {
        let text = "The sea — wörld 42!\n\n  <|im_end|>日本 👩‍👩‍👧\t."
        try workspace.write("text.txt", text)
        let ids = try workspace.run("tokenize", "model", "text.txt")
        #expect(try ids.json[0].array?.contains(288) == true)
        #expect(try workspace.run("tokenize", "model", input: text).output == ids.output)
        #expect(try workspace.run("tokenize", "model", "--decode", input: ids.output).output == text)
        #expect(try workspace.run("tokenize", "model").output == "[]\n")
    }

    @Test func evalSaysTheMeanOfItsCompletions() throws {
        let arguments = ["eval", "model", "--dataset", "data.jsonl", "--reward-funcs", "length", "answer", "--reward-weights", "0.5", "2"]
        let sampling = ["--temperature", "1", "--max-new-tokens", "12"]
        let lines = try workspace.run(arguments + sampling + ["--json"]).json
        try #require(lines.count == 13)
        func mean(_ value: (JSONValue) -> Double?) -> Double { lines.prefix(12).reduce(0) { $0 + (value($1) ?? .nan) } / 12 }
        let means = lines[12]
        #expect(abs((means["reward"]?.double ?? 0) - mean { $0["reward"]?.double }) < 1e-9)
        #expect(abs((means["rewards/length/mean"]?.double ?? 0) - mean { $0["rewards"]?["length"]?.double }) < 1e-9)
        #expect(Set(lines.prefix(12).compactMap { $0["reward"]?.double }).count > 3)
        let text = try workspace.run(arguments + sampling)
        #expect(text.outputLines.contains("reward: \(try #require(means["reward"]?.double))"))
        #expect(text.outputLines.first == "12 completions")
    }

    @Test func evalEstimatesPassAtK() throws {
        let arguments = ["eval", "model", "--dataset", "data.jsonl", "--reward-funcs", "length", "--temperature", "1", "--max-new-tokens", "12"]
        let pass = arguments + ["--pass-at", "1", "3", "--num-return", "4", "--pass-threshold", "-9"]
        let lines = try workspace.run(pass + ["--json"]).json
        try #require(lines.count == 49)
        // By hand: of 4 completions c reach the threshold; at least one of 3 does unless 3 do not.
        var (one, three) = (0.0, 0.0)
        for row in 0..<12 {
            let right = lines[4 * row..<4 * row + 4].count { ($0["rewards"]?["length"]?.double ?? -99) >= -9 }
            #expect(Set(lines[4 * row..<4 * row + 4].compactMap { $0["group"]?.int }) == [row])
            one += Double(right) / 48
            three += [0, 0.75, 1, 1, 1][right] / 12
        }
        #expect(one > 0 && one < 1)
        let estimates = [lines[48]["pass@1"]?.array, lines[48]["pass@3"]?.array].map { $0?.compactMap(\.double) ?? [] }
        #expect(abs(estimates[0][0] - one) < 1e-12 && abs(estimates[1][0] - three) < 1e-12)
        #expect(estimates.allSatisfy { $0[1] <= $0[0] && $0[0] <= $0[2] && $0[1] >= 0 && $0[2] <= 1 })
        let text = try workspace.run(pass)
        #expect(text.outputLines.contains { $0.hasPrefix("pass@3: \(estimates[1][0]) (95 % between ") })
        expectRefusal(try workspace.run(arguments + ["--pass-at", "5", "--num-return", "4"]), status: 64, "--pass-at has 5")
        expectRefusal(try workspace.run(Array(arguments.prefix(6)) + ["--pass-at", "5"]), status: 64, "--temperature")
    }

    /// A random model, which would never say such a thing by itself.
    @Test func regexMakesEveryAnswerMatch() throws {
        let regex = #"(yes|no), \d{1,3}\.?"#
        for temperature in ["0", "1"] {
            let lines = try outcome("--input", "data.jsonl", "--temperature", temperature, "--json", "--max-new-tokens", "30", "--regex", regex).json
            #expect(lines.count == 12)
            for line in lines {
                let text = try #require(line["text"]?.string)
                #expect(text.wholeMatch(of: try Regex(regex)) != nil, "\(text)")
                #expect(line["finish_reason"]?.string == "stop")
                #expect(line["ids"]?.array?.last?.int == 288)
                // The log-probs stay those of the whole distribution: far below those of a mask that leaves little else.
                #expect((line["logprobs"]?.array?.first?.double ?? 0) < -1)
            }
        }
        // Nothing ends an answer that may not end: it is whole where nothing can follow.
        let open = try outcome("--prompt", "x", "--json", "--ignore-eos", "--regex", "(yes|no)").json[0]
        #expect(["yes", "no"].contains(open["text"]?.string) && open["finish_reason"]?.string == "stop")
        expectRefusal(try workspace.run("generate", "model", "--prompt", "x", "--regex", "(a"), status: 64, "--regex")
    }
}
