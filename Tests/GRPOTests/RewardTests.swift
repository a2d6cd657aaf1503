import GRPO
import JSON
import Testing

@Suite struct RewardTests {
    private func batch(_ completions: [String], answers: [JSONValue?] = []) -> RewardBatch {
        RewardBatch(
            prompts: completions.map { _ in .text("q") }, completions: completions, completionIDs: completions.map { _ in [1] },
            columns: completions.indices.map { index in
                JSONObject(index < answers.count ? answers[index].map { [("answer", $0)] } ?? [] : [])
            })
    }

    @Test("length counts Unicode scalars, as Python does")
    func length() {
        let rewards = LengthReward(ideal: 5).rewards(for: batch(["hello", "", "héé", "e\u{301}", "👩‍👩‍👧", "a longer text"]))
        #expect(rewards == [0, -5, -2, -3, 0, -8])
        #expect(LengthReward(ideal: 3, unit: .tokens).rewards(for: batch(["hello"])) == [-2])
    }

    @Test(
        "format is Python's re.match with DOTALL",
        arguments: [
            ("<think>a</think><answer>b</answer>", 1.0), ("<think></think><answer></answer>", 1), ("<think>a\nb</think>\n<answer>c\n</answer>", 1),
            ("<think>a</think> \u{3000}\u{1C}<answer>b</answer>\n", 1), ("<think>a</think><answer>b</answer>\n\n", 0),
            (" <think>a</think><answer>b</answer>", 0), ("<think>a</think><answer>b</answer> ", 0), ("<think>a</think>x<answer>b</answer>", 0),
            ("<think>a</think>x</think><answer>b</answer>", 1), ("<think>a</think><answer>b</answer>c</answer>", 1),
            ("<think>a</think><answer></answer", 0), ("<think></answer>", 0), ("<think>a</think><answer>", 0), ("", 0), ("\n", 0),
            ("</think><answer></answer>", 0), ("<think><answer>b</answer></think>", 0), ("<think>a</think></answer><answer>", 0),
            ("<think>é</think><answer>👩‍👧</answer>", 1), ("<think>a</think><answer></think><answer>b</answer>", 1),
        ])
    func format(text: String, expected: Double) {
        #expect(FormatReward().rewards(for: batch([text])) == [expected])
    }

    @Test("format takes linear time on text made to backtrack")
    func formatIsLinear() {
        let hostile = "<think>" + String(repeating: "</think> ", count: 200_000) + "</answer>"
        var rewards: [Double?] = []
        let time = ContinuousClock().measure { rewards = FormatReward().rewards(for: batch([hostile])) }
        #expect(rewards == [0])
        #expect(time < .seconds(5))
    }

    @Test(
        "answers are the same text or the same number",
        arguments: [
            ("<answer>7</answer>", JSONValue.string("7"), 1.0), ("<answer> 7.0 </answer>", .string("7"), 1), ("+7", .string("7"), 1),
            ("7", .integer(7), 1), ("7.50", .number(7.5), 1), ("1,000", .integer(1000), 1), ("1000", .string("1,000.00"), 1),
            ("10,00", .integer(1000), 0), ("1,0000", .integer(10000), 0), ("-7", .integer(7), 0), ("-0", .integer(0), 1), (".5", .number(0.5), 1),
            ("7.", .integer(7), 1), ("1e3", .integer(1000), 1), ("1e", .integer(1), 0), ("", .integer(0), 0), (".", .integer(0), 0),
            ("Paris", .string(" Paris\n"), 1), ("paris", .string("Paris"), 0), ("the answer is 7", .integer(7), 0),
            ("<answer>3</answer> no: <answer>7</answer>", .integer(7), 1), ("<answer>7", .integer(7), 0),
            ("0.1", .string("0.10000000000000000001"), 0), ("1e999999999", .string("1e999999998"), 0),
        ])
    func answer(completion: String, answer: JSONValue, expected: Double) throws {
        #expect(try AnswerReward().rewards(for: batch([completion], answers: [answer])) == [expected])
    }

    @Test("a row without an answer is not judged, an answer of a wrong type is an error")
    func answerColumn() throws {
        #expect(try AnswerReward().rewards(for: batch(["7", "7"], answers: [nil, .null])) == [nil, nil])
        #expect(failure { _ = try AnswerReward().rewards(for: batch(["7"], answers: [["x"]])) }.contains("found a list in the dataset column"))
    }

    @Test("weights sum what is there; nothing there is no reward")
    func weights() throws {
        let rewards = try WeightedRewards(
            [ClosureReward("a") { _ in [1, nil, 3, nil] }, ClosureReward("b") { _ in [10, 20, nil, nil] }], weights: [0.5, 2])
        let table = try rewards.evaluate(batch(["", "", "", ""]))
        #expect(table.totals == [20.5, 40, 1.5, nil])
        let metrics = Dictionary(uniqueKeysWithValues: table.metrics.map { ($0.name, $0.value) })
        #expect(metrics["rewards/a/mean"] == 2 && metrics["rewards/b/std"] == 50.0.squareRoot())
        #expect(metrics["reward"] == 62.0 / 3)
    }

    @Test("results that cannot be used are refused with the function's name")
    func badResults() throws {
        struct Oops: Error {}
        func message(_ judge: @escaping @Sendable (RewardBatch) throws -> [Double?]) throws -> String {
            let rewards = try WeightedRewards([ClosureReward("mine", judge)])
            return failure { _ = try rewards.evaluate(batch(["a", "b"])) }
        }
        #expect(try message { _ in [1] } == "reward mine: returned 1 rewards, expected 2, one a completion")
        #expect(try message { _ in [1, .nan] }.contains("returned nan for completion 1"))
        #expect(try message { _ in [.infinity, 1] }.contains("returned inf for completion 0"))
        #expect(try message { _ in throw Oops() }.hasPrefix("reward mine: failed"))
    }

    @Test("reward_funcs: built-ins by name, the nearest one told, columns checked beforehand")
    func builtIns() throws {
        var configuration = GRPOConfiguration()
        configuration.rewardFunctions = ["length", "format", "answer"]
        let rewards = try WeightedRewards(configuration)
        #expect(rewards.functions.map(\.name) == ["length", "format", "answer"])
        let dataset = PromptDataset(rows: [.init(prompt: .text("q"), columns: JSONObject([("solution", 1)]))])
        #expect(failure { try rewards.check(dataset) } == "reward answer: needs the dataset column \"answer\", found \"solution\"")
        configuration.rewardFunctions = ["lenght"]
        #expect(failure { _ = try WeightedRewards(configuration) }.contains("did you mean 'length'?"))
        configuration.rewardFunctions = []
        #expect(failure { _ = try WeightedRewards(configuration) }.contains("there is no reward function"))
        configuration.rewardFunctions = ["length"]
        configuration.rewardWeights = [1, 2]
        #expect(failure { _ = try WeightedRewards(configuration) }.contains("expected 1"))
    }

    private func reward(_ name: String, _ completions: [String], _ keys: [String: String] = [:], columns: [JSONObject]? = nil) throws -> [Double?] {
        var configuration = GRPOConfiguration()
        configuration.rewardFunctions = [name]
        _ = try configuration.apply(keys.map { .init(key: $0.key, values: [$0.value]) })
        var batch = batch(completions)
        if let columns { batch.columns = columns }
        return try WeightedRewards(configuration).evaluate(batch).values[0]
    }

    @Test("exact_match is the same text, numeric_match the last number of both")
    func matches() throws {
        let columns = ["7", "7", " a b\n", "#### 1,234"].map { JSONObject([("answer", .string($0))]) }
        #expect(try reward("exact_match", ["7 ", "7.0", "a b", "#### 1234"], columns: columns) == [1, 0, 1, 0])
        #expect(try reward("numeric_match", ["so it is 7.", "7.0 or 8", "1", "1 and then 1234.0"], columns: columns) == [1, 0, nil, 1])
        let numbers = [JSONValue.integer(-4), .number(0.5), .integer(4), .null].map { JSONObject([("answer", $0)]) }
        #expect(try reward("numeric_match", ["is -4", "it is .5", "3-4", "1"], columns: numbers) == [1, 1, 1, nil])
        #expect(failure { _ = try reward("numeric_match", ["1"], columns: [JSONObject([("answer", [1])])]) }.contains("found a list"))
    }

    @Test("json is valid JSON, alone or in a fence")
    func json() throws {
        let texts = [
            "{\"a\": [1, null]}", " 3 ", "{'a': 1}", "", "Here:\n```json\n{\"a\": 1}\n```\nDone.", "```\n[1,]\n```", "{} {}", "```json\n```",
        ]
        #expect(try reward("json", texts) == [1, 1, 0, 0, 1, 0, 0, 0])
    }

    @Test("regex is Python's re.search; what cannot be matched in linear time is refused with its place")
    func regex() throws {
        #expect(try reward("regex", ["ab12", "AB", "ab\nx"], ["regex_reward_pattern": "^ab\\d*$"]) == [1, 0, 0])
        func message(_ pattern: String) -> String { failure { _ = try reward("regex", [""], ["regex_reward_pattern": pattern]) } }
        #expect(message("(a)\\1") == "regex_reward_pattern: found a back reference, which cannot be matched in linear time at position 4")
        for pattern in ["a(?=b)", "(", ")", "a**", "[a", "*", "a{2,1}", "a{99999}", "(((a{99}){99}){99}", "\\", "\\q", "[b-a]", "\\xZZ", "(?P<a"] {
            #expect(message(pattern).hasPrefix("regex_reward_pattern: "), "\(pattern)")
        }
        #expect(message(String(repeating: "(", count: 10_000)).contains("nested deeper"))
        #expect(failure { _ = try reward("regex", [""]) }.contains("regex_reward_pattern is missing"))
    }

    @Test("no text makes a reward take long or crash")
    func hostileTexts() throws {
        func many(_ piece: String, _ count: Int = 20_000) -> String { String(repeating: piece, count: count) }
        let texts = [
            many("\\boxed{"), "\\boxed{" + many("(") + "}", "\\boxed{" + many("-", 900) + "1}", "\\boxed{" + many("\\sqrt", 900) + "2}",
            "\\boxed{" + many("{", 300) + "1" + many("}", 300) + "}", "\\boxed{" + many("(x=", 30) + "1" + many(",1)", 30) + "}", many("answer $"),
            many("\\("), many("$\n"), "\\boxed{9^{9^{9^{9}}}}", "\\boxed{" + many("1+", 450) + "1}", "\\boxed{" + many("x,", 450) + "x}",
            "\\boxed{999999999999999999999999!}", "\\boxed{1/0}", "\\boxed{0^{-1}}", "\\boxed{-9223372036854775808 - 1}",
            "\\boxed{\\frac{9223372036854775807}{-1}}",
            "\\boxed{\\binom{1000}{500}}", "\\boxed{\\pm" + many("\\pm 1", 200) + "}", many("Step 1"), many("\n-"), many("a"), many("```"),
            many("<think>"),
            "\\boxed", "\\boxed{}", "$", "\\", "\\boxed{|}", "\\boxed{\\frac}", "\\boxed{\\text}", "\\boxed{^}", "\\boxed{_}", "\\boxed{\\log_}",
        ]
        let solutions = ["1", "$x,y$", "\\boxed{x^{2}}", many("1,", 400) + "1", "$\\{" + many("x,", 400) + "y\\}$", many("("), texts[5], texts[10]]
        let started = ContinuousClock.now
        for solution in solutions {
            let columns = texts.map { _ in JSONObject([("solution", .string(solution)), ("answer", .string(solution))]) }
            _ = try reward("accuracy_reward", texts, columns: columns)
            _ = try reward("numeric_match", texts, columns: columns)
        }
        for name in ["tag_count", "reasoning_steps", "think_format", "format_reward", "code_format", "json"] { _ = try reward(name, texts) }
        _ = try reward("regex", texts, ["regex_reward_pattern": "(a*)*b|(a|a)*c|(x+x+)+y"])
        #expect(ContinuousClock.now - started < .seconds(30))
    }

    @Test(
        "the right answer in another spelling is right, a wrong one and none are not",
        arguments: [
            ("\\boxed{\\frac12}", "$0.5$", 1.0), ("\\boxed{12\\%}", "0.12", 1), ("\\boxed{12\\%}", "$0.12\\%$", 0),
            ("\\boxed{1}, \\boxed{2}", "\\{2,1\\}", 1),
            ("\\boxed{1,2}", "1,2", 1), ("\\boxed{x=2}", "2", 1), ("\\boxed{2}", "$f(x)=2$", 1), ("\\boxed{|x|}", "$x$", 0),
            ("\\boxed{\\sqrt{x^2}}", "$|x|$", 1),
            ("\\boxed{(x+1)^2}", "$x^2+2x+1$", 1), ("\\boxed{(x+1)^2}", "$x^2+2x+2$", 0), ("\\boxed{2y=4x+2}", "$y=2x+1$", 1),
            ("\\boxed{-x>-2}", "$x<2$", 1),
            ("\\boxed{x<2}", "$x>2$", 0), ("\\boxed{(1,2)}", "$1<x<2$", 1), ("\\boxed{12345678901234567}", "12345678901234568", 0),
            ("\\boxed{\\begin{pmatrix}1\\end{pmatrix}}", "$\\begin{pmatrix} 1 \\end{pmatrix}$", 1), ("\\boxed{-1\\frac{1}{2}}", "-1.5", 1),
            ("5", "5", 0), ("the answer is $5$", "5", 1), ("\\boxed{\\text{(B)}}", "$B$", 1), ("\\boxed{5\\text{ cm}^2}", "5", 1),
        ])
    func accuracy(completion: String, solution: String, expected: Double) throws {
        #expect(try reward("accuracy", [completion], columns: [JSONObject([("solution", .string(solution))])]) == [expected])
    }

    @Test("the examples' functions run, for text and for conversations")
    func examples() throws {
        let directory = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = "/\(directory)/examples/rewards/rewards.py"
        var configuration = GRPOConfiguration()
        configuration.rewardFunctions =
            ["near_twenty", "last_number", "shorter_later", "judged"].map { "\(file):\($0)" } + ["/\(directory)/examples/rewards/vowels"]
        let rewards = try WeightedRewards(configuration)
        var batch = batch(["It is 12, please", "aeiou 3"], answers: ["12", nil])
        batch.state.step = 5
        batch.state.maxSteps = 10
        for prompt in [Prompt.text("q"), .messages([.init(role: "user", content: "q")])] {
            batch.prompts = [prompt, prompt]
            let table = try rewards.evaluate(batch)
            #expect(table.warnings == [])
            #expect(table.values == [[-4, -13], [1, nil], [-0.005, -0.005], [1, 0], [5.0 / 16, 5.0 / 7]])
            #expect(table.extra(of: 1)["verdict"] == "curt" && table.metrics.last?.value == 1)
        }
        #expect(configuration.rewardNames == ["near_twenty", "last_number", "shorter_later", "judged", "vowels"])
    }
}
