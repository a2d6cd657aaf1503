import Foundation
import JSON
import Testing

@testable import GRPO

/// Several datasets as one.
@Suite struct DatasetMixtureTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        func rows(_ letter: String, _ count: Int) -> String {
            (0..<count).map { "{\"prompt\":\"\(letter)\($0)\",\"answer\":\"\($0)\",\"other\":1}\n" }.joined()
        }
        _ = try directory.file("a.jsonl", rows("a", 6))
        _ = try directory.file("b.jsonl", rows("b", 4))
        try FileManager.default.createDirectory(atPath: directory.path + "/c/sub", withIntermediateDirectories: true)
        _ = try directory.file("c/sub/train.jsonl", rows("c", 2))
        _ = try directory.file("c/sub/test.jsonl", rows("t", 3))
    }

    private func dataset(_ yaml: String) throws -> PromptDataset? {
        var configuration = GRPOConfiguration()
        _ = try configuration.read(yaml: yaml.replacing("DIR", with: directory.path), source: "run.yaml")
        // What the resolved file says is read back as the same.
        var again = GRPOConfiguration()
        _ = try again.read(yaml: configuration.resolvedYAML, source: "again")
        #expect(again.resolvedYAML == configuration.resolvedYAML)
        return try PromptDataset(again)
    }

    private func prompts(_ yaml: String) throws -> [Prompt] { try dataset(yaml)?.rows.map(\.prompt) ?? [] }

    @Test("one after the other, with splits, folders, files and columns")
    func together() throws {
        let yaml = """
            datasets:
              - path: DIR/b.jsonl
                columns: [prompt, answer]
              - path: DIR/c
                data_dir: sub
                split: test
              - path: json
                data_files: [DIR/a.jsonl, DIR/b.jsonl]
            """
        let found = try #require(try dataset(yaml))
        let expected = (0..<4).map { "b\($0)" } + (0..<3).map { "t\($0)" } + (0..<6).map { "a\($0)" } + (0..<4).map { "b\($0)" }
        #expect(found.rows.map(\.prompt) == expected.map { .text($0) })
        #expect(found.rows[0].columns.members.map(\.key) == ["answer"])
        #expect(found.rows[4].columns.members.map(\.key) == ["answer", "other"])
        #expect(try prompts("datasets: '[{path: DIR/c/sub/train.jsonl}]'") == [.text("c0"), .text("c1")])
        var configuration = GRPOConfiguration()
        _ = try configuration.read(yaml: yaml, source: "run.yaml")
        try configuration.validate(requiring: ["dataset_name"])
    }

    @Test("shares are those of TRL's get_dataset")
    func shares() throws {
        // weights 0.75 and 0.25: at most min(6 / 0.75, 4 / 0.25) = 8 rows.
        let yaml = "datasets: [{path: DIR/a.jsonl, fraction: 3}, {path: DIR/b.jsonl, fraction: 1}]"
        #expect(try prompts(yaml) == ((0..<6).map { "a\($0)" } + ["b0", "b1"]).map { .text($0) })
        #expect(DatasetMixture.counts([100, 40, 7], fractions: [0.5, 0.5, 0]) == [40, 40, 0])
        #expect(DatasetMixture.counts([5, 5], fractions: [0.3, 0.7]) == [2, 5])
        #expect(DatasetMixture.counts([5, 5], fractions: [nil, nil]) == [5, 5])
    }

    @Test(
        "what is no mixture is told",
        arguments: [
            "[{name: x}]", "[{path: a, fraction: 0.5}, {path: b}]", "[{path: a, shuffle: true}]", "{path: a}", "[[a]]", "[{path: a, fraction: -1}]",
        ])
    func refused(_ text: String) {
        let problem = failure {
            var configuration = GRPOConfiguration()
            _ = try configuration.read(yaml: "datasets: \(text)", source: "run.yaml")
        }
        #expect(problem.hasPrefix("run.yaml:1: datasets: found") && !problem.contains("\n"), "\(problem)")
    }
}
