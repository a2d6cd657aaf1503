import Foundation
import Testing

@testable import Qwen2

/// The tiny models against what transformers and torch computed in FP32.
@Suite(.serialized) struct TransformersParityTests {
    @Test(arguments: Golden.all)
    func logprobsAndEntropies(_ name: String) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .float32)
        for (temperature, suffix) in [(Float(1), ""), (0.7, "_at_0.7")] {
            let statistics = model.score(wholeSequences(try golden.sequences), temperature: temperature)
            let logprobs = try (0..<3).flatMap { try golden.floats("sequence.\($0).logprobs\(suffix)") }
            let entropies = try (0..<3).flatMap { try golden.floats("sequence.\($0).entropies\(suffix)") }
            #expect(statistics.logprobs.count == logprobs.count)
            #expect(largestDifference(statistics.logprobs, logprobs) < 1e-5)
            #expect(largestDifference(statistics.entropies, entropies) < 1e-5)
        }
    }

    @Test(arguments: Golden.all)
    func logits(_ name: String) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .float32)
        for (i, ids) in try golden.sequences.enumerated() {
            let expected = try golden.floats("sequence.\(i).logits")
            let logits = model.logits(of: ids)
            #expect(logits.count == expected.count)
            #expect(largestDifference(logits, expected) < 1e-4)
        }
    }

    @Test(arguments: Golden.all)
    func greedyText(_ name: String) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .float32)
        var greedy = SamplingParameters()
        greedy.temperature = 0
        greedy.maxNewTokens = 20
        let completions = model.generate(try golden.sequences.map { GenerationRequest(prompt: $0) }, greedy)
        for i in 0..<3 { #expect(try completions[i][0].ids == golden.ids("sequence.\(i).greedy")) }
    }

    @Test(arguments: Golden.all, ["logprobs", "entropies", "temperature"])
    func gradients(_ name: String, _ loss: String) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .float32, trainable: true)
        let pass = model.forward(wholeSequences(try golden.sequences), temperature: loss == "temperature" ? 0.7 : 1)
        let c = try (0..<3).flatMap { try golden.floats("sequence.\($0).c") }
        let e = try (0..<3).flatMap { try golden.floats("sequence.\($0).e") }
        model.backward(pass, dLogprobs: c, dEntropies: loss == "logprobs" ? nil : e)
        for parameter in model.parameters {
            let gradient = Array(try #require(parameter.gradient))
            try expectEqual(gradient, shape: parameter.shape, golden: golden, key: "\(loss).gradient.\(parameter.name)", within: 1e-4)
        }
    }

    /// The prompt of a group is forwarded and backpropagated once: the same as alone with each completion.
    @Test func sharedPromptGradients() throws {
        let golden = try Golden("tiny-tied")
        let sequences = try golden.sequences
        let prompt = sequences[2]
        let completions = [sequences[0], sequences[1], Array(sequences[1].reversed())]
        let c = completions.flatMap { $0 }.indices.map { Float($0 % 7) - 3 }
        func gradients(_ groups: [TokenGroup]) throws -> [[Float]] {
            let model = try Qwen2Model(golden.checkpoint, computeType: .float32, trainable: true)
            model.backward(model.forward(groups), dLogprobs: c)
            return model.parameters.map { Array($0.gradient ?? .init(start: nil, count: 0)) }
        }
        let together = try gradients([TokenGroup(prompt: prompt, completions: completions)])
        let apart = try gradients(completions.map { TokenGroup(prompt: prompt, completions: [$0]) })
        for (a, b) in zip(together, apart) { #expect(relativeDifference(a, b) < 1e-5) }
    }

    private func expectEqual(_ values: [Float], shape: [Int], golden: Golden, key: String, within bound: Double) throws {
        if shape.count == 1 {
            #expect(relativeDifference(values, try golden.floats(key)) < bound, "\(key)")
            return
        }
        let (rows, columns) = (shape[0], shape[1])
        let u = try golden.floats("probe.\(columns)")
        let v = try golden.floats("probe.\(rows)")
        let byRows = (0..<rows).map { r in Float((0..<columns).reduce(0.0) { $0 + Double(values[r * columns + $1]) * Double(u[$1]) }) }
        let byColumns = (0..<columns).map { c in Float((0..<rows).reduce(0.0) { $0 + Double(values[$1 * columns + c]) * Double(v[$1]) }) }
        #expect(relativeDifference(byRows, try golden.floats("\(key).rows")) < bound, "\(key)")
        #expect(relativeDifference(byColumns, try golden.floats("\(key).columns")) < bound, "\(key)")
    }
}
