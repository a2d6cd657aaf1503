import GRPO
import JSON
import Testing

@Suite struct PromptDatasetTests {
    @Test("standard and conversational prompts, other columns kept, blank lines and a missing last newline allowed")
    func reading() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.file(
            "d.jsonl",
            """
            {"prompt": "2+2", "answer": 4, "tags": ["a"]}

            {"prompt": [{"role": "user", "content": "3+3"}], "answer": null}\r
            {"prompt": [{"role": "system", "content": "own"}, {"role": "user", "content": "x"}]}
            """)
        let dataset = try PromptDataset(path: path, systemPrompt: "S")
        #expect(dataset.rows.count == 3)
        #expect(dataset.rows[0].prompt == .text("2+2"))
        #expect(dataset.rows[0].columns["answer"]?.int == 4 && dataset.rows[0].columns["prompt"] == nil)
        #expect(dataset.rows[1].prompt == .messages([.init(role: "system", content: "S"), .init(role: "user", content: "3+3")]))
        #expect(dataset.rows[2].prompt == .messages([.init(role: "system", content: "own"), .init(role: "user", content: "x")]))
        #expect(dataset.columnNames == ["answer", "tags"])
    }

    @Test(
        "a bad line is told with file and line",
        arguments: [
            ("{\"prompt\": \"a\"}\n{\"prompt\": ", ":2: not valid JSON"), ("[1]", ":1: found a list, expected a JSON object"),
            ("{\"question\": \"a\"}", ":1: no column \"prompt\", found \"question\"; name it with dataset_prompt_column"),
            ("{\"prompt\": 7}", ":1: the prompt in column \"prompt\" is a number, expected text or a list"),
            ("{\"prompt\": \"\"}", "is empty"), ("{\"prompt\": []}", "is an empty list"),
            ("{\"prompt\": [{\"role\": \"user\"}]}", "has message 1 without text in \"role\" and \"content\""),
            ("", "the file has no rows"), ("\n \n", "the file has no rows"),
            (
                "{\"prompt\": \"a\"}\n{\"prompt\": \"" + String(repeating: "x", count: 3000) + "\"}\n",
                ":2: the line is longer than the 2000 bytes allowed"
            ),
        ])
    func badLines(text: String, message: String) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.file("d.jsonl", text)
        let found = failure { _ = try PromptDataset(path: path, lineLimit: 2000) }
        #expect(found.hasPrefix(path) && found.contains(message) && !found.contains("\n"), "\(found)")
    }

    @Test("a missing file, a directory and an endless line are errors")
    func badFiles() throws {
        let directory = try TemporaryDirectory()
        #expect(failure { _ = try PromptDataset(path: directory.path + "/none") }.contains("cannot open"))
        #expect(failure { _ = try PromptDataset(path: directory.path) }.contains("has no split \"train\", found no file of rows"))
        let path = try directory.file("long", String(repeating: "x", count: 3 << 20))
        #expect(failure { _ = try PromptDataset(path: path) }.contains("longer than"))
    }

    @Test("lines longer than the read buffer arrive whole")
    func longLines() throws {
        let directory = try TemporaryDirectory()
        let lines = (1...7).map { "{\"prompt\":\"\(String(repeating: "\($0)", count: $0 * 40_000))\"}\n" }
        let dataset = try PromptDataset(path: try directory.file("d.jsonl", lines.joined()))
        #expect(dataset.rows.map(\.prompt) == (1...7).map { .text(String(repeating: "\($0)", count: $0 * 40_000)) })
    }
}
