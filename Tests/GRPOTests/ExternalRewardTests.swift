import Foundation
import GRPO
import JSON
import Testing

@Suite struct ExternalRewardTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func rewards(
        _ names: [String], timeout: Double = 20, onFailure: RewardFailurePolicy = .skip
    ) throws -> WeightedRewards {
        var configuration = GRPOConfiguration()
        configuration.rewardFunctions = names
        configuration.rewardTimeout = timeout
        configuration.onRewardFailure = onFailure
        return try WeightedRewards(configuration)
    }

    private func python(_ body: String, timeout: Double = 20, onFailure: RewardFailurePolicy = .skip) throws -> WeightedRewards {
        let path = try directory.file("rewards.py", "import asyncio, os, signal, sys, time\n\ndef f(completions, **kwargs):\n    \(body)\n")
        return try rewards([path + ":f"], timeout: timeout, onFailure: onFailure)
    }

    private func program(_ script: String, timeout: Double = 20) throws -> WeightedRewards {
        let path = try directory.file("judge.sh", "#!/bin/sh\n" + script + "\n")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return try rewards([path], timeout: timeout)
    }

    private func batch(_ completions: [String], prompt: Prompt = .text("q"), columns: [JSONObject]? = nil) -> RewardBatch {
        RewardBatch(
            prompts: completions.map { _ in prompt }, completions: completions, completionIDs: completions.indices.map { [7, Int32($0)] },
            columns: columns ?? completions.map { _ in JSONObject() })
    }

    @Test("the functions printed on the course's page run unchanged")
    func seedPage() throws {
        let path = try directory.file(
            "page.py",
            #"""
            import re

            def reward_func(completions, **kwargs):
                """Reward longer completions."""
                return [float(len(completion)) for completion in completions]

            def reward_length(completions, **kwargs):
                return [float(len(completion)) for completion in completions]

            def reward_format(completions, **kwargs):
                pattern = r"^<think>.*?</think><answer>.*?</answer>$"
                return [1.0 if re.match(pattern, c) else 0.0 for c in completions]

            def reward_len(completions, **kwargs):
                ideal_length = 20
                return [-abs(ideal_length - len(completion)) for completion in completions]

            def extract_final_answer(completion):
                return completion.split()[-1]

            def problem_reward(completions, answers, **kwargs):
                rewards = []
                for completion, correct_answer in zip(completions, answers):
                    try:
                        answer = extract_final_answer(completion)
                        reward = 1.0 if answer == correct_answer else 0.0
                        rewards.append(reward)
                    except:
                        rewards.append(0.0)
                return rewards

            def format_reward(completions, **kwargs):
                pattern = r"<think>(.*?)</think>\s*<answer>(.*?)</answer>"
                rewards = []
                for completion in completions:
                    match = re.search(pattern, completion, re.DOTALL)
                    if match:
                        think_content = match.group(1).strip()
                        answer_content = match.group(2).strip()
                        if len(think_content) > 20 and len(answer_content) > 0:
                            rewards.append(1.0)
                        else:
                            rewards.append(
                                0.5
                            )
                    else:
                        rewards.append(0.0)
                return rewards
            """#)
        let names = ["reward_func", "reward_length", "reward_format", "reward_len", "problem_reward", "format_reward"]
        let all = try rewards(names.map { "\(path):\($0)" })
        #expect(all.functions.map(\.name) == names)
        #expect(all.functions[4].requiredColumns == ["answers"])
        let completions = ["<think>a</think><answer>7</answer>", "it is 7", "", "<think>a thought of some length</think>\n<answer>7</answer>"]
        let answers = ["x", "7", "7", "thought"].map { JSONObject([("answers", $0)]) }
        let table = try all.evaluate(batch(completions, columns: answers))
        let lengths = completions.map { Double($0.unicodeScalars.count) }
        #expect(table.values == [lengths, lengths, [1, 0, 0, 0], lengths.map { -abs(20 - $0) }, [0, 1, 0, 0], [0.5, 0, 0, 1]])
        #expect(table.warnings == [])
        let dataset = PromptDataset(rows: [.init(prompt: .text("q"), columns: JSONObject([("answer", 1)]))])
        #expect(failure { try all.check(dataset) } == "reward problem_reward: needs the dataset column \"answers\", found \"answer\"")
    }

    @Test("TRL's keyword arguments: prompts, ids, columns, state, log_extra and log_metric, in its shapes")
    func arguments() throws {
        let rewards = try python(
            """
            seen = [kwargs["prompts"][0], completions[1], kwargs["completion_ids"], kwargs["a"], kwargs["b"]]
                state = kwargs["trainer_state"]
                seen += [state.global_step, state.max_steps, state.epoch, sorted(kwargs)]
                kwargs["log_metric"]("mine", 2)
                kwargs["log_metric"]("mine", 4.5)
                kwargs["log_extra"]("note", ["x", None])
                import json
                kwargs["log_extra"]("seen", [json.dumps(seen), float("nan")])
                return [True, None]
            """)
        var batch = batch(
            ["é", "two"], prompt: .messages([.init(role: "user", content: "q")]),
            columns: [JSONObject([("a", 1), ("completion_ids", 5)]), JSONObject([("b", ["x": [nil]])])])
        (batch.state.step, batch.state.maxSteps, batch.state.epoch) = (3, 10, 0.5)
        let table = try rewards.evaluate(batch)
        #expect(table.values == [[1, nil]])
        #expect(table.metrics.suffix(2).map(\.name) == ["mine", "mine"] && table.metrics.suffix(2).map(\.value) == [2, 4.5])
        #expect(table.extra(of: 0)["note"] == "x" && table.extra(of: 1)["note"] == .null && table.extra(of: 1)["seen"] == "nan")
        let seen = try JSONValue.parse(Array((table.extra(of: 0)["seen"]?.string ?? "").utf8), source: "seen")
        #expect(
            seen == [
                [["role": "user", "content": "q"]], [["role": "assistant", "content": "two"]], [[7, 0], [7, 1]], [1, nil], [nil, ["x": [nil]]], 3, 10,
                0.5,
                ["a", "b", "completion_ids", "log_extra", "log_metric", "prompts", "trainer_state"],
            ], "\(seen)")
    }

    @Test("async functions, callable objects, and two functions of one file in one process")
    func kinds() throws {
        let path = try directory.file(
            "kinds.py",
            """
            import asyncio, os
            print("to stderr"); os.write(1, b"and so is this\\n")

            async def slow(completions, **kwargs):
                async def one(text):
                    await asyncio.sleep(0.01)
                    return len(text)
                return await asyncio.gather(*[one(text) for text in completions])

            class Judge:
                def __call__(self, completions, **kwargs):
                    return [os.getpid()] * len(completions)

            judge = Judge()

            def pid(completions, **kwargs):
                return (os.getpid() for _ in completions)
            """)
        let table = try rewards(["slow", "judge", "pid"].map { "\(path):\($0)" }).evaluate(batch(["a", "bc"]))
        #expect(table.values[0] == [1, 2])
        #expect(table.values[1] == table.values[2] && table.values[1][0] != Double(getpid()))
    }

    @Test(
        "results that cannot be used cost the batch, are told on one line and counted, and the next batch is judged again",
        arguments: [
            ("return [1.0]", "returned 1 rewards, expected 2, one a completion"),
            ("return [1.0, float('nan')]", "returned \"nan\" for completion 1, expected a finite number or none"),
            ("return [float('-inf'), 1]", "returned \"-inf\" for completion 0"),
            ("return [1, '2']", "returned \"2\" for completion 1"),
            ("return 'ab'", "TypeError: returned str, expected a list"),
            ("return 1.0", "TypeError: returned float, expected a list"),
            ("pass", "TypeError: returned NoneType, expected a list"),
            ("return {'a': 1}", "TypeError: returned dict, expected a list"),
            ("raise ValueError('not\\n today')", "ValueError: not today ("),
            ("sys.exit(3)", "SystemExit: 3 ("),
            ("kwargs['log_metric']('m', 'x'); return [1, 1]", "logged a metric that is no name with a finite number"),
            ("kwargs['log_extra']('m', ['x']); return [1, 1]", "logged the column \"m\" with another number of values"),
            ("os._exit(3)", "rewards.py ended with code 3"),
            ("os.kill(os.getpid(), signal.SIGKILL)", "rewards.py was killed by signal 9 (Killed)"),
            ("time.sleep(60)", "rewards.py did not answer within 2.0 s"),
            ("asyncio.run(asyncio.sleep(60))", "rewards.py did not answer within 2.0 s"),
            ("[os.close(fd) for fd in range(3, 20)]; return [1, 1]", "rewards.py"),
        ])
    func failures(body: String, message: String) throws {
        let rewards = try python("if completions[0] == 'good': return [1, 2]\n    \(body)", timeout: body.contains("60") ? 2 : 20)
        let started = ContinuousClock.now
        for count in 1...2 {
            let table = try rewards.evaluate(batch(["a", "b"]))
            #expect(table.values == [[nil, nil]] && table.totals == [nil, nil])
            #expect(table.warnings.count == 2)
            #expect(table.warnings[0].hasPrefix("reward f: ") && table.warnings[0].contains(message), "\(table.warnings[0])")
            #expect(table.warnings[0].hasSuffix("; this batch has no rewards from it (failure \(count))"))
            #expect(table.warnings[1] == "2 of 2 completions have no reward from any function and teach nothing")
            #expect(!table.warnings[0].contains("\n"))
        }
        #expect(try rewards.evaluate(batch(["good", "b"])).values == [[1, 2]])
        #expect(ContinuousClock.now - started < .seconds(40))
    }

    @Test("on_reward_failure: stop makes an error of it")
    func stop() throws {
        let rewards = try python("raise ValueError('no')", onFailure: .stop)
        let message = failure { _ = try rewards.evaluate(batch(["a"])) }
        #expect(message.hasPrefix("reward f: ValueError: no (") && message.hasSuffix("; on_reward_failure is stop"), "\(message)")
    }

    @Test("what is wrong with a file is said before anything else is done")
    func badFiles() throws {
        func message(_ text: String, _ function: String = "f") throws -> String {
            let path = try directory.file("bad.py", text)
            return failure { _ = try rewards(["\(path):\(function)"]) }
        }
        #expect(try message("def f(:").hasPrefix("reward f: SyntaxError: invalid syntax (bad.py, line 1)"))
        #expect(try message("import no_such_module").hasPrefix("reward f: ModuleNotFoundError: No module named 'no_such_module' ("))
        #expect(try message("def g(**kwargs): pass\ndef _h(**kwargs): pass").contains("there is no function 'f' in"))
        #expect(try message("def g(**kwargs): pass\ndef _h(**kwargs): pass").hasSuffix(", only g"))
        #expect(try message("f = 3").contains("there is no function 'f'"))
        #expect(try message("def f(completions): return []").contains("the function has no **kwargs"))
        #expect(try message("import os\nos._exit(4)").contains("bad.py ended with code 4"))
        #expect(failure { _ = try rewards([directory.path + "/none.py:f"]) }.contains("FileNotFoundError"))
        #expect(failure { _ = try rewards(["no_such_package.module.f"]) }.contains("No module named 'no_such_package'"))
        #expect(failure { _ = try rewards(["rewards.py"]) }.hasSuffix("found 'rewards.py', expected a function of it: rewards.py:FUNCTION"))
        for name in [":f", "a.py:", "lenght", "", ".", "/", "a.", "x:y/z"] {
            #expect(failure { _ = try rewards([name]) }.contains("reward_funcs: found '\(name)', expected"), "\(name)")
        }
    }

    @Test("a dotted path imports a module, as on TRL's command line")
    func module() throws {
        // textwrap.shorten takes other arguments and no **kwargs: found, imported, and refused.
        #expect(failure { _ = try rewards(["textwrap.shorten"]) } == "")
        #expect(failure { _ = try rewards(["textwrap.indent"]) }.contains("the function has no **kwargs"))
    }

    @Test("a program that speaks JSON Lines is a reward function")
    func program() throws {
        let rewards = try program(
            #"""
            while read -r line; do
                case "$line" in
                *'"completions":["a","b"]'*) echo '{"rewards": [1, null], "metrics": [["m", 3]]}' ;;
                *) echo '{"error": "what?"}' ;;
                esac
            done
            """#)
        let table = try rewards.evaluate(batch(["a", "b"]))
        #expect(table.names == ["judge"] && table.values == [[1, nil]])
        #expect(table.metrics.last?.name == "m")
        #expect(try rewards.evaluate(batch(["c"])).warnings[0] == "reward judge: what?; this batch has no rewards from it (failure 1)")
        #expect(try rewards.evaluate(batch(["a", "b"])).values == [[1, nil]])
    }

    @Test(
        "a program that speaks something else is told so",
        arguments: [
            ("read -r line; echo hello", "wrote \"hello\" to its standard output, expected one JSON object on a line"),
            ("read -r line; echo '[1, 1]'", "answered \"[1, 1]\", expected a JSON object"),
            ("read -r line; echo '{}'", "answered without \"rewards\""),
            ("read -r line; echo '{\"rewards\": [1, NaN]}'", "expected one JSON object on a line"),
            ("echo early; sleep 5", "wrote"),
            ("read -r line; head -c 90000000 /dev/zero", "answered with more than 67108864 bytes"),
            ("read -r line; exec >&-; exec <&-; sleep 3", "closed its standard output"),
            ("exit 0", "ended with code 0"),
        ])
    func badPrograms(script: String, message: String) throws {
        let table = try program(script).evaluate(batch(["a", "b"]))
        #expect(table.values == [[nil, nil]])
        #expect(table.warnings[0].contains(message), "\(table.warnings[0])")
    }

    @Test("a line too many is noticed with the next question")
    func tooManyLines() throws {
        let rewards = try program("while read -r line; do printf '{\"rewards\": [1]}\\nand more\\n'; done")
        #expect(try rewards.evaluate(batch(["a"])).values == [[1]])
        #expect(try rewards.evaluate(batch(["a"])).warnings[0].contains("judge.sh wrote more than one line for an answer"))
        #expect(try rewards.evaluate(batch(["a"])).values == [[1]])
    }

    @Test("a program that is not there or cannot run is told with what to do")
    func noProgram() throws {
        let warning = try rewards([directory.path + "/none"]).evaluate(batch(["a"])).warnings[0]
        #expect(warning.contains("none cannot be started: No such file or directory; reward_funcs names a program"))
        let path = try directory.file("plain", "text")
        #expect(try rewards([path]).evaluate(batch(["a"])).warnings[0].contains("cannot be started: Permission denied"))
    }

    @Test("batches larger than any pipe go through, and nothing of the process is left")
    func large() throws {
        var workers: Double?
        do {
            let rewards = try python("return [len(c) + len(kwargs['x'][0]) for c in completions[:-1]] + [os.getpid()]")
            let text = String(repeating: "é\"\n", count: 300_000)
            let columns = (0..<4).map { _ in JSONObject([("x", .string(text))]) }
            let table = try rewards.evaluate(batch([text, "", text, ""], columns: columns))
            #expect(Array(table.values[0][..<3]) == [1_800_000, 900_000, 1_800_000])
            workers = table.values[0][3]
        }
        let id = pid_t(try #require(workers))
        #expect(kill(id, 0) == -1 && errno == ESRCH)
    }
}
