import CKernels
import Foundation
import Testing

@testable import Qwen2

/// In bfloat16 the log-probability of a token given its context is the same bits however it was computed.
@Suite(.serialized) struct BatchInvarianceTests {
    /// Every instruction set of this CPU: 0 scalar, 1 AVX2, 2 AVX-512, 3 AVX-512 with BF16.
    static let instructionSets = (UInt32(0)...3).map(ck_isa_level.init(rawValue:)).filter { ck_set_isa($0) == 1 }

    private func sampled(_ model: Qwen2Model, prompts: [[Int32]], count: Int, length: Int) -> [[Completion]] {
        var parameters = SamplingParameters()
        parameters.maxNewTokens = length
        parameters.temperature = 0.9
        return model.generate(prompts.enumerated().map { GenerationRequest(prompt: $1, count: count, stream: UInt64($0 * 100)) }, parameters)
    }

    private func bits(_ logprobs: [Float]) -> [UInt32] { logprobs.map(\.bitPattern) }

    @Test(arguments: instructionSets)
    func everyPathGivesTheSameBits(_ isa: ck_isa_level) throws {
        #expect(ck_set_isa(isa) == 1)
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
        let prompts = try golden.sequences.map { $0 + $0 + $0 }
        // Decoded in one batch of 33 completions behind three shared prompts.
        Qwen2Model.useThreads(2)
        let together = sampled(model, prompts: prompts, count: 11, length: 37)
        let groups = zip(prompts, together).map { TokenGroup(prompt: $0, completions: $1.map(\.ids)) }
        let reference = bits(together.flatMap { $0.flatMap(\.logprobs) })
        #expect(reference.count == 33 * 37)

        // The training forward, all groups packed, and the same without keeping activations.
        #expect(bits(model.forward(groups, temperature: 0.9).statistics.logprobs) == reference)
        #expect(bits(model.score(groups, temperature: 0.9).logprobs) == reference)
        // Each completion alone, behind its own prompt, on one thread.
        Qwen2Model.useThreads(1)
        let alone = groups.flatMap { group in
            group.completions.flatMap { model.score([TokenGroup(prompt: group.prompt, completions: [$0])], temperature: 0.9).logprobs }
        }
        #expect(bits(alone) == reference)
        // One sequence decoded alone draws the same tokens with the same log-probabilities.
        var parameters = SamplingParameters()
        parameters.maxNewTokens = 37
        parameters.temperature = 0.9
        let single = model.generate([GenerationRequest(prompt: prompts[1], stream: 104)], parameters)[0][0]
        #expect(single == together[1][4])
        // A prompt and completion forwarded as one prompt's continuation at another split.
        let moved = TokenGroup(prompt: prompts[0] + groups[0].completions[0].prefix(20), completions: [Array(groups[0].completions[0].dropFirst(20))])
        #expect(bits(model.score([moved], temperature: 0.9).logprobs) == Array(reference[20..<37]))
    }

    @Test func aWiderVectorChangesNoBit() throws {
        let golden = try Golden("tiny-tied")
        var results: [[UInt32]] = []
        for isa in Self.instructionSets where isa.rawValue < 3 {
            #expect(ck_set_isa(isa) == 1)
            let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
            results.append(bits(model.score(wholeSequences(try golden.sequences)).logprobs))
        }
        #expect(results.count > 1)
        // The matrix products are equal bit for bit; the element-wise operations may fuse a product and a sum where the CPU can.
        for result in results {
            let difference = zip(result, results[0]).map { abs(Float(bitPattern: $0) - Float(bitPattern: $1)) }.max() ?? 0
            #expect(difference < 1e-2)
        }
    }

    @Test func gradientsDoNotDependOnTheThreads() throws {
        let golden = try Golden("tiny-tied")
        func gradients(threads: Int) throws -> [[UInt32]] {
            Qwen2Model.useThreads(threads)
            let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
            let pass = model.forward(wholeSequences(try golden.sequences))
            model.backward(pass, dLogprobs: pass.statistics.logprobs.map { $0 / 10 })
            return model.parameters.map { bits(Array($0.gradient ?? .init(start: nil, count: 0))) }
        }
        #expect(try gradients(threads: 1) == gradients(threads: 2))
    }

    @Test func bfloat16IsNearFloat32() throws {
        let golden = try Golden("tiny-untied")
        let groups = wholeSequences(try golden.sequences)
        let exact = try Qwen2Model(golden.checkpoint, computeType: .float32, trainable: true)
        let rounded = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
        let (a, b) = (exact.forward(groups), rounded.forward(groups))
        #expect(largestDifference(a.statistics.logprobs, b.statistics.logprobs) < 0.1)
        let derivatives = a.statistics.logprobs.indices.map { Float($0 % 5) - 2 }
        exact.backward(a, dLogprobs: derivatives)
        rounded.backward(b, dLogprobs: derivatives)
        for (x, y) in zip(exact.parameters, rounded.parameters) {
            let (gx, gy) = (Array(x.gradient ?? .init(start: nil, count: 0)), Array(y.gradient ?? .init(start: nil, count: 0)))
            #expect(relativeDifference(gy, gx) < 0.05, "\(x.name)")
        }
    }
}
