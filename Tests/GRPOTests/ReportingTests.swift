import Foundation
import GRPO
import JSON
import Testing

@Suite struct ReportingTests {
    @Test("metrics are averaged over the window, NaN left out, null when nothing is left")
    func averages() {
        var metrics = Metrics()
        metrics.record("loss", 1)
        metrics.record("kl", .nan)
        metrics.record("reward", .nan)
        metrics.record("loss", 2)
        metrics.record("reward", 3)
        #expect(JSONValue.object(metrics.drain()).serialized() == #"{"loss":1.5,"kl":null,"reward":3.0}"#)
        #expect(metrics.drain().members.isEmpty)
    }

    @Test("completion lengths under TRL's names")
    func lengths() {
        var metrics = Metrics()
        metrics.record(completionLengths: [4, 8, 8], truncated: [false, true, true])
        let line = metrics.drain()
        #expect(line["completions/mean_length"]?.double == 20.0 / 3 && line["completions/clipped_ratio"]?.double == 2.0 / 3)
        #expect(line["completions/mean_terminated_length"]?.double == 4 && line["completions/max_terminated_length"]?.double == 4)
        metrics.record(completionLengths: [8], truncated: [true])
        #expect(metrics.drain()["completions/min_terminated_length"]?.double == 0)
    }

    @Test("metrics.jsonl grows by lines; going on removes a line that was cut off")
    func metricsLog() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/metrics.jsonl"
        do {
            let log = try MetricsLog(path: path)
            try log.append(JSONObject([("loss", 0.1), ("step", 1)]))
        }
        let handle = try #require(FileHandle(forWritingAtPath: path))
        handle.seekToEndOfFile()
        handle.write(Data("{\"loss\":0.".utf8))
        do {
            let log = try MetricsLog(path: path, appending: true)
            try log.append(JSONObject([("loss", 0.2), ("step", 2)]))
        }
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text == "{\"loss\":0.1,\"step\":1}\n{\"loss\":0.2,\"step\":2}\n")
        do { _ = try MetricsLog(path: path) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "")
        #expect(failure { _ = try MetricsLog(path: directory.path + "/no/metrics.jsonl") }.contains("cannot open"))
    }

    private func rollout(_ group: Int) -> Rollout {
        Rollout(
            step: 3, group: group, prompt: .messages([.init(role: "user", content: "é \"q\"")]), promptIDs: [1, 2], ids: [5, 151_645],
            logprobs: [-0.1, -12.345678], text: "x\ny", finishReason: "stop", rewards: [("b", 1), ("a", nil)], reward: 0.1, advantage: -0.7070068)
    }

    @Test("rollouts are written whole and read back the same")
    func rollouts() throws {
        let directory = try TemporaryDirectory()
        let log = try CompletionsLog(directory: directory.path + "/completions")
        try log.write([rollout(0), rollout(1)], step: 3)
        try log.write([rollout(0)], step: 12)
        _ = try directory.file("completions/step-000004.jsonl.partial", "")
        _ = try directory.file("completions/notes.txt", "")
        let files = try CompletionsLog.files(in: log.directory)
        #expect(files.map(\.step) == [3, 12])
        #expect(files[0].path.hasSuffix("/step-000003.jsonl"))
        let read = try Rollout.read(contentsOf: files[0].path)
        #expect(read.map { JSONValue.object($0.json).serialized() } == [rollout(0), rollout(1)].map { JSONValue.object($0.json).serialized() })
        #expect(read[0].logprobs == [-0.1, -12.345678] && read[0].rewards.map(\.name) == ["b", "a"] && read[0].rewards[1].value == nil)
        #expect(try String(contentsOfFile: files[0].path, encoding: .utf8).contains("\"logprobs\":[-0.1,-12.345678]"))
    }

    @Test("every log-prob comes back to the bit")
    func logprobsRoundTrip() throws {
        var generator = MersenneTwister(seed: 7)
        let logprobs = (0..<20_000).map { _ in -Float(generator.next()) / Float(1 << 27) * Float(generator.next() % 1000) / 1000 }
        var record = rollout(0)
        record.ids = logprobs.map { _ in 1 }
        record.logprobs = logprobs
        let directory = try TemporaryDirectory()
        let log = try CompletionsLog(directory: directory.path)
        try log.write([record], step: 1)
        let read = try Rollout.read(contentsOf: directory.path + "/step-000001.jsonl")
        #expect(read[0].logprobs?.map(\.bitPattern) == logprobs.map(\.bitPattern))
    }

    @Test("a recording needs prompt_ids, ids, group and rewards only")
    func minimalRecord() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.file("r.jsonl", #"{"prompt_ids":[1],"ids":[2,3],"group":0,"rewards":{"r":1}}"#)
        let read = try Rollout.read(contentsOf: path, step: 5)
        #expect(read[0].step == 5 && read[0].ids == [2, 3] && read[0].logprobs == nil && read[0].rewards[0].value == 1)
        #expect(failure { _ = try Rollout.read(contentsOf: path) } == "\(path):1: \"step\": found nothing, expected a whole number")
    }

    @Test(
        "a bad record is told with line and key",
        arguments: [
            (#"{"prompt_ids":[1],"ids":[],"group":0,"rewards":{}}"#, "\"ids\": found a list, expected a list of token ids that is not empty"),
            (#"{"prompt_ids":[1],"ids":[-1],"group":0,"rewards":{}}"#, "\"ids\": found a list"),
            (#"{"prompt_ids":[1],"ids":[4294967296],"group":0,"rewards":{}}"#, "\"ids\": found a list"),
            (#"{"ids":[1],"group":0,"rewards":{}}"#, "\"prompt_ids\": found nothing"),
            (#"{"prompt_ids":[1],"ids":[1],"group":"0","rewards":{}}"#, "\"group\": found text, expected a whole number"),
            (#"{"prompt_ids":[1],"ids":[1],"group":0,"rewards":{"r":"1"}}"#, "\"rewards\": found text for \"r\""),
            (#"{"prompt_ids":[1],"ids":[1],"group":0,"rewards":{},"logprobs":[]}"#, "\"logprobs\": found 0 numbers, expected 1"),
        ])
    func badRecords(line: String, message: String) throws {
        let directory = try TemporaryDirectory()
        let path = try directory.file("r.jsonl", "\n" + line)
        let found = failure { _ = try Rollout.read(contentsOf: path, step: 1) }
        #expect(found.hasPrefix("\(path):2: \(message)"), "\(found)")
    }

    @Test("a failed write leaves nothing behind")
    func failedWrite() throws {
        let directory = try TemporaryDirectory()
        let log = try CompletionsLog(directory: directory.path)
        // A directory under the final name: the rename fails after everything was written.
        try FileManager.default.createDirectory(atPath: directory.path + "/step-000001.jsonl", withIntermediateDirectories: false)
        #expect(failure { try log.write([rollout(0)], step: 1) }.contains("cannot rename"))
        #expect(try directory.contents == ["step-000001.jsonl"])
        #expect(failure { _ = try CompletionsLog.files(in: directory.path + "/none") }.contains("cannot open"))
    }
}
