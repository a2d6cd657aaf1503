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

    /// Bounds a little above what was measured: KL divergence from bfloat16 in nats a token, and how often the most probable token is the same.
    @Test(arguments: [(ComputeType.int8, 0.003, 0.97), (.int4, 0.15, 0.8)])
    func quantizedWeightsKeepTheDistribution(type: ComputeType, divergence: Double, agreement: Double) throws {
        let texts = try #require(golden()["scores"]?.array).map { try ids($0["ids"]) }
        Qwen2Model.useThreads()
        let checkpoint = try Checkpoint(opening: #require(RealCheckpoint.path))
        let (exact, model) = (try Qwen2Model(checkpoint), try Qwen2Model(checkpoint, computeType: type))
        var (sum, same, count) = (0.0, 0, 0)
        for ids in texts {
            let (p, q) = (exact.logits(of: ids), model.logits(of: ids)), width = p.count / ids.count
            for row in ids.indices {
                let (a, b) = (p[row * width..<(row + 1) * width], q[row * width..<(row + 1) * width])
                let (top, other) = (a.max() ?? 0, b.max() ?? 0)
                func logSumExp(_ x: ArraySlice<Float>, _ top: Float) -> Double { Double(top) + log(x.reduce(0.0) { $0 + exp(Double($1 - top)) }) }
                let (logA, logB) = (logSumExp(a, top), logSumExp(b, other))
                sum += zip(a, b).reduce(0.0) { $0 + exp(Double($1.0) - logA) * (Double($1.0) - logA - Double($1.1) + logB) }
                same += a.firstIndex(of: top).map { $0 - a.startIndex } == b.firstIndex(of: other).map { $0 - b.startIndex } ? 1 : 0
                count += 1
            }
        }
        print("\(type): divergence \(sum / Double(count)), top-1 agreement \(Double(same) / Double(count)) of \(count)")
        #expect(sum / Double(count) < divergence)
        #expect(Double(same) / Double(count) >= agreement)
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
