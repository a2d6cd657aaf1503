import Checkpoints
import Foundation
import JSON
import Testing

@testable import Qwen2

/// The real Qwen2.5-Coder-0.5B-Instruct against what transformers computed in FP32.
///
/// `GRPO_MODEL` or models/qwen2.5-coder-0.5b-instruct, which scripts/get-model makes; without either the tests say so loudly and are skipped.
@Suite(.serialized, .enabled(if: RealCheckpoint.path != nil)) struct RealCheckpointTests {
    private func golden() throws -> JSONValue {
        try JSONValue.parse(contentsOf: Golden.directory.appendingPathComponent("qwen2.5-coder-0.5b-instruct.json").path)
    }

    private func ids(_ json: JSONValue?) throws -> [Int32] { try #require(json?.array).compactMap { $0.int.map { Int32($0) } } }

    @Test func greedyTextAndLogprobsInFloat32() throws {
        let golden = try golden()
        Qwen2Model.useThreads()
        let model = try Qwen2Model(Checkpoint(opening: #require(RealCheckpoint.path)), computeType: .float32)
        let cases = try #require(golden["greedy"]?.array)
        #expect(cases.count == 8)
        var greedy = SamplingParameters()
        greedy.temperature = 0
        greedy.maxNewTokens = 64
        greedy.endTokens = [151645, 151643]
        let completions = model.generate(try cases.map { GenerationRequest(prompt: try ids($0["prompt_ids"])) }, greedy)
        for (item, completion) in zip(cases, completions) { #expect(try completion[0].ids == ids(item["ids"])) }

        let scores = try #require(golden["scores"]?.array)
        #expect(scores.count == 3)
        for item in scores {
            let expected = try #require(item["logprobs"]?.array).compactMap { $0.double.map { Float($0) } }
            let logprobs = model.score(wholeSequences([try ids(item["ids"])])).logprobs
            #expect(logprobs.count == expected.count)
            #expect(largestDifference(logprobs, expected) < 1e-3)
        }
    }

    @Test func bfloat16IsBatchInvariantAndNear() throws {
        let golden = try golden()
        Qwen2Model.useThreads()
        let model = try Qwen2Model(Checkpoint(opening: #require(RealCheckpoint.path)))
        let prompts = try #require(golden["greedy"]?.array).prefix(2).map { try ids($0["prompt_ids"]) }
        var parameters = SamplingParameters()
        parameters.maxNewTokens = 12
        let completions = model.generate(prompts.enumerated().map { GenerationRequest(prompt: $1, count: 5, stream: UInt64($0 * 5)) }, parameters)
        let groups = zip(prompts, completions).map { TokenGroup(prompt: $0, completions: $1.map(\.ids)) }
        #expect(model.score(groups).logprobs.map(\.bitPattern) == completions.flatMap { $0.flatMap(\.logprobs) }.map(\.bitPattern))

        let score = try #require(golden["scores"]?.array?.first)
        let expected = try #require(score["logprobs"]?.array).compactMap { $0.double.map { Float($0) } }
        let logprobs = model.score(wholeSequences([try ids(score["ids"])])).logprobs
        let mean = zip(logprobs, expected).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(expected.count)
        #expect(mean < 0.03)
    }
}

enum RealCheckpoint {
    static let path: String? = {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let given = ProcessInfo.processInfo.environment["GRPO_MODEL"]
        let path = given ?? package.appendingPathComponent("models/qwen2.5-coder-0.5b-instruct").path
        if FileManager.default.fileExists(atPath: path + "/model.safetensors") { return path }
        print("SKIPPED: no real checkpoint at \(path): run scripts/get-model, or set GRPO_MODEL, to compare with transformers on it")
        return nil
    }()
}
