import Foundation
import JSON
import Testing

@testable import GRPO

@Suite struct DatasetFileTests {
    private func columns(_ text: String, _ name: String = "d.csv") throws -> [String] {
        let directory = try TemporaryDirectory()
        let path = try directory.file(name, text)
        return try DatasetFile.records(path, lineLimit: 1000).map { JSONValue.object($0.columns).serialized() }
    }

    @Test("CSV: quotes, commas, newlines and quotes in fields, types by column, nulls")
    func csv() throws {
        let text = "\u{FEFF}prompt,answer,share,right,note\r\n\"a, \"\"b\"\"\nc\",4,0.5,true,007\r\nplain,,2,False,\n\n\"\",-3,1e3,true,\"5\"\n"
        #expect(
            try columns(text) == [
                #"{"prompt":"a, \"b\"\nc","answer":4,"share":0.5,"right":true,"note":"007"}"#,
                #"{"prompt":"plain","answer":null,"share":2.0,"right":false,"note":null}"#,
                #"{"prompt":"","answer":-3,"share":1000.0,"right":true,"note":"5"}"#,
            ])
    }

    @Test(
        "bad CSV is told with its line",
        arguments: [
            ("a,b\n1\n", ":2: has 1 fields, expected 2"), ("a,a\n1,2\n", ":1: two columns have the same name"), ("a,\n1,2\n", ":1: two columns"),
            ("a\n\"x\ny\n", ":2: the closing quote of a field is missing"), ("a\n\"x\"y\n", ":2: found text behind a closing quote"),
            ("a\n\"" + String(repeating: "x\n", count: 600), ":2: a field is longer than 1000 bytes"),
        ])
    func badCSV(text: String, message: String) {
        let found = failure { _ = try columns(text) }
        #expect(found.contains(message), "\(found)")
    }

    @Test("a JSON list, JSON Lines under .json, and rows that are no objects")
    func json() throws {
        #expect(try columns(#" [{"prompt":"a"},{"prompt":"b","n":1}]"#, "d.json") == [#"{"prompt":"a"}"#, #"{"prompt":"b","n":1}"#])
        #expect(try columns("{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n", "d.json").count == 2)
        #expect(failure { _ = try columns("[1]", "d.json") }.contains("row 1: found a number, expected a JSON object"))
        #expect(failure { _ = try columns("[{]", "d.json") }.contains("not valid JSON"))
        #expect(try columns("a", "d.csv").isEmpty)
    }

    @Test("a directory's splits, as the hub names them")
    func splits() throws {
        let directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory.path + "/data", withIntermediateDirectories: false)
        try FileManager.default.createDirectory(atPath: directory.path + "/main", withIntermediateDirectories: false)
        _ = try directory.file("README.md", "x")
        for name in ["data/train-00001-of-00002.jsonl", "data/train-00000-of-00002.jsonl", "data/test-00000-of-00001.jsonl", "main/all.csv"] {
            _ = try directory.file(name, name.hasSuffix("csv") ? "prompt\n\(name)\n" : "{\"prompt\":\"\(name)\"}\n")
        }
        func prompts(_ name: String? = nil, _ split: String) throws -> [Prompt] {
            try PromptDataset(path: directory.path, name: name, split: split).rows.map(\.prompt)
        }
        #expect(try prompts(nil, "train") == [.text("data/train-00000-of-00002.jsonl"), .text("data/train-00001-of-00002.jsonl")])
        #expect(try prompts(nil, "test") == [.text("data/test-00000-of-00001.jsonl")])
        #expect(try prompts("main", "train") == [.text("main/all.csv")])
        #expect(failure { _ = try prompts("main", "test") }.contains("has no split \"test\", found all.csv"))
        #expect(failure { _ = try prompts("other", "test") }.contains("there is no such directory"))
        #expect(failure { _ = try prompts(nil, "validation") }.contains("has no split \"validation\", found test-00000-of-00001.jsonl"))
        // Errors name the file they come from.
        _ = try directory.file("data/test-00000-of-00001.jsonl", "{\"question\":\"x\"}\n")
        #expect(failure { _ = try prompts(nil, "test") }.contains("data/test-00000-of-00001.jsonl:1: no column \"prompt\""))

        var configuration = GRPOConfiguration()
        configuration.dataset = directory.path
        #expect(try PromptDataset(configuration, heldOut: true) == nil)
        #expect(try PromptDataset(configuration)?.rows.count == 2)
        _ = try directory.file("data/test-00000-of-00001.jsonl", "{\"prompt\":\"t\"}\n")
        configuration.evaluationStrategy = .epoch
        #expect(try PromptDataset(configuration, heldOut: true)?.rows.map(\.prompt) == [.text("t")])
    }

    /// Whether there is a Python with pyarrow.
    private static let hasPyarrow: Bool = {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [ProcessInfo.processInfo.environment["GRPO_PYTHON"] ?? "python3", "-c", "import pyarrow.parquet"]
        process.standardError = FileHandle.nullDevice
        return (try? process.run()).map { process.waitUntilExit() } != nil && process.terminationStatus == 0
    }()

    @Test("Parquet through Python: conversations, numbers, NaN and nulls; what is none is told", .enabled(if: hasPyarrow))
    func parquet() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/d.parquet"
        let script =
            "import sys, pyarrow as pa, pyarrow.parquet as pq; "
            + "pq.write_table(pa.table({'prompt': [[{'role': 'user', 'content': str(i)}] for i in range(2500)], "
            + "'answer': list(range(2500)), 'score': [float('nan') if i == 1 else i / 2 for i in range(2500)]}), sys.argv[1])"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [ProcessInfo.processInfo.environment["GRPO_PYTHON"] ?? "python3", "-c", script, path]
        try process.run()
        process.waitUntilExit()
        let dataset = try PromptDataset(path: path)
        #expect(dataset.rows.count == 2500)
        #expect(dataset.rows[2499].prompt == .messages([.init(role: "user", content: "2499")]))
        #expect(dataset.rows[2499].columns["answer"]?.int == 2499 && dataset.rows[2499].columns["score"]?.double == 1249.5)
        #expect(dataset.rows[1].columns["score"]?.isNull == true)
        let bad = try directory.file("bad.parquet", "no parquet")
        #expect(failure { _ = try PromptDataset(path: bad) }.contains("bad.parquet: cannot be read: Arrow"))
    }
}
