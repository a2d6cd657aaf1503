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
        #expect(rewards.functions.map(\.name) == WeightedRewards.builtInNames)
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
}
