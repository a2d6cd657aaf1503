import CKernels
import Foundation
import Testing

@testable import Qwen2

/// The log-probability of a token given its context is the same bits however it was computed.
@Suite(.serialized) struct BatchInvarianceTests {
    /// Every instruction set of this CPU, the scalar one first.
    static let instructionSets = (CK_ISA_SCALAR.rawValue...CK_ISA_AVX512BF16.rawValue).map(ck_isa_level.init(rawValue:)).filter {
        ck_set_isa($0) == 1
    }

    private func sampled(_ model: Qwen2Model, prompts: [[Int32]], count: Int, length: Int) -> [[Completion]] {
        var parameters = SamplingParameters()
        parameters.maxNewTokens = length
        parameters.temperature = 0.9
        return model.generate(prompts.enumerated().map { GenerationRequest(prompt: $1, count: count, stream: UInt64($0 * 100)) }, parameters)
    }

    private func bits(_ logprobs: [Float]) -> [UInt32] { logprobs.map(\.bitPattern) }

    /// All of them, each with both types that can be trained.
    static let setsAndTypes = instructionSets.flatMap { [($0, ComputeType.bfloat16), ($0, .float32)] }

    @Test(arguments: setsAndTypes, ["tiny-tied", "tiny-qwen3", "tiny-llama-biased"])
    func everyPathGivesTheSameBits(_ kernels: (isa: ck_isa_level, type: ComputeType), _ name: String) throws {
        #expect(ck_set_isa(kernels.isa) == 1)
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: kernels.type, trainable: true)
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
        for isa in Self.instructionSets where isa != CK_ISA_AVX512BF16 {
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

    @Test(arguments: ["tiny-tied", "tiny-qwen3", "tiny-llama-biased"]) func gradientsDoNotDependOnTheThreads(_ name: String) throws {
        let golden = try Golden(name)
        func gradients(threads: Int) throws -> [[UInt32]] {
            Qwen2Model.useThreads(threads)
            let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
            let pass = model.forward(wholeSequences(try golden.sequences))
            model.backward(pass, dLogprobs: pass.statistics.logprobs.map { $0 / 10 })
            return model.parameters.map { bits(Array($0.gradient ?? .init(start: nil, count: 0))) }
        }
        #expect(try gradients(threads: 1) == gradients(threads: 2))
    }

    /// Two groups of three completions, sampled with a tape, and the members of each group.
    private func rollout(
        _ model: Qwen2Model, _ golden: Golden, capacity: Int, logitTokens: Int = 0, recomputes: Bool = false
    ) throws -> (groups: [TokenGroup], tape: RolloutTape) {
        let prompts = try golden.sequences.prefix(2).map { $0 + $0 }
        let tape = RolloutTape(
            model, completions: [3, 3], capacity: capacity, logitTokens: logitTokens, temperature: 0.9, recomputes: recomputes)
        var parameters = SamplingParameters()
        parameters.maxNewTokens = 9
        parameters.temperature = 0.9
        // Some completions end early, so that rows of one step do not lie side by side.
        let requests = prompts.enumerated().map { GenerationRequest(prompt: $1, count: 3, stream: UInt64($0 * 100)) }
        let completions = model.generate(requests, parameters, tape: tape) { request, completion, ids in ids.count > 2 * request + 3 * completion }
        return (zip(prompts, completions).map { TokenGroup(prompt: $0, completions: $1.map(\.ids)) }, tape)
    }

    private func gradients(_ model: Qwen2Model, _ pass: ForwardPass, _ derivatives: [Float], _ entropies: [Float]? = nil) -> [[UInt32]] {
        model.zeroGradients()
        model.backward(pass, dLogprobs: derivatives, dEntropies: entropies)
        return model.parameters.map { bits(Array($0.gradient ?? .init(start: nil, count: 0))) }
    }

    @Test(arguments: setsAndTypes, ["tiny-tied", "tiny-qwen3"])
    func whatSamplingKeptTrainsLikeAForwardPass(_ kernels: (isa: ck_isa_level, type: ComputeType), _ name: String) throws {
        #expect(ck_set_isa(kernels.isa) == 1)
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: kernels.type, trainable: true)
        let (groups, tape) = try rollout(model, golden, capacity: 1000)
        #expect(Set(groups.flatMap(\.completions).map(\.count)).count > 2)
        let members = [(request: 0, completions: [0, 1, 2]), (request: 1, completions: [0, 1, 2])]
        let kept = try #require(tape.pass(groups, members: members))
        let made = model.forward(groups, temperature: 0.9)
        #expect(bits(kept.statistics.logprobs) == bits(made.statistics.logprobs))
        #expect(bits(kept.statistics.entropies) == bits(made.statistics.entropies))
        let derivatives = made.statistics.logprobs.indices.map { Float($0 % 5) - 2 }
        let entropies = made.statistics.logprobs.indices.map { Float($0 % 3) / 8 }
        let reference = gradients(model, made, derivatives, entropies)
        #expect(reference.contains { $0.contains { $0 != 0 } })
        #expect(gradients(model, kept, derivatives, entropies) == reference)
        // A part of them, in another order of groups.
        let part = [TokenGroup(prompt: groups[1].prompt, completions: [groups[1].completions[2]]), groups[0]]
        let partMembers = [(request: 1, completions: [2]), (request: 0, completions: [0, 1, 2])]
        let few = try #require(tape.pass(part, members: partMembers))
        let fewMade = model.forward(part, temperature: 0.9)
        #expect(bits(few.statistics.logprobs) == bits(fewMade.statistics.logprobs))
        let fewDerivatives = Array(derivatives.prefix(few.statistics.logprobs.count))
        #expect(gradients(model, few, fewDerivatives) == gradients(model, fewMade, fewDerivatives))
    }

    @Test(arguments: setsAndTypes) func keptLogitsAreThoseMadeAgain(_ isa: ck_isa_level, _ type: ComputeType) throws {
        #expect(ck_set_isa(isa) == 1)
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: type, trainable: true)
        let (groups, tape) = try rollout(model, golden, capacity: 1000, logitTokens: 200)
        let members = [(request: 0, completions: [0, 1, 2]), (request: 1, completions: [0, 1, 2])]
        let kept = try #require(tape.pass(groups, members: members))
        #expect(kept.logits != nil && kept.statistics.logitPlaces.count == kept.statistics.logprobs.count)
        let derivatives = kept.statistics.logprobs.indices.map { $0 == 1 ? 0 : Float($0 % 5) - 2 }
        let reference = gradients(model, model.forward(groups, temperature: 0.9), derivatives, derivatives)
        #expect(gradients(model, kept, derivatives, derivatives) == reference)
        // Twice, since the first time may not use them up; and without completions that have no derivative.
        let few = derivatives.indices.map { $0 < groups[0].completions[0].count ? 0 : derivatives[$0] }
        #expect(gradients(model, kept, few) == gradients(model, model.forward(groups, temperature: 0.9), few))
        // Where they do not all fit, none is kept, and nothing else changes.
        let rows = kept.statistics.logprobs.count - 2 * 2  // a prompt's three completions take their first tokens from one row
        #expect(Set(kept.statistics.logitPlaces).count == rows)
        let (fitting, full) = try rollout(model, golden, capacity: 1000, logitTokens: rows)
        #expect(try #require(full.pass(fitting, members: members)).logits != nil)
        let (same, short) = try rollout(model, golden, capacity: 1000, logitTokens: rows - 1)
        let without = try #require(short.pass(same, members: members))
        #expect(same == groups && without.logits == nil && without.statistics.logitPlaces.isEmpty)
        #expect(gradients(model, without, derivatives, derivatives) == reference)
    }

    @Test(arguments: ["tiny-tied", "tiny-qwen3", "tiny-llama-biased"]) func layersMadeAgainTrainLikeLayersKept(_ name: String) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
        let (groups, tape) = try rollout(model, golden, capacity: 1000, recomputes: true)
        let made = model.forward(groups, temperature: 0.9)
        // One completion has no part in the loss.
        let silent = groups[0].completions[0].indices
        let derivatives = made.statistics.logprobs.indices.map { silent.contains($0) ? 0 : Float($0 % 5) - 2 }
        let reference = gradients(model, made, derivatives)
        #expect(gradients(model, model.forward(groups, temperature: 0.9, recomputes: true), derivatives) == reference)
        let kept = try #require(tape.pass(groups, members: [(request: 0, completions: [0, 1, 2]), (request: 1, completions: [0, 1, 2])]))
        #expect(gradients(model, kept, derivatives) == reference)
        let type = ComputeType.bfloat16
        #expect(model.configuration.activationBytes(type, recomputes: true) < model.configuration.activationBytes(type))
    }

    @Test func aTapeThatIsTooShortForgetsEverything() throws {
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
        let (groups, tape) = try rollout(model, golden, capacity: 30)
        #expect(!tape.isWhole)
        #expect(tape.pass(groups, members: [(request: 0, completions: [0, 1, 2]), (request: 1, completions: [0, 1, 2])]) == nil)
        // And changes nothing of what is sampled.
        let (same, whole) = try rollout(model, golden, capacity: 1000)
        #expect(whole.isWhole && same == groups)
    }

    @Test func tokensWithoutADerivativeChangeNoBit() throws {
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
        let (groups, _) = try rollout(model, golden, capacity: 1000)
        let pass = model.forward(groups)
        let counts = groups.flatMap(\.completions).map(\.count)
        // All of group 0 and the middle completion of group 1 have none.
        let derivatives = counts.enumerated().flatMap { index, count in
            (0..<count).map { index < 3 || index == 4 ? Float(0) : Float($0) - 1.5 }
        }
        let some = [TokenGroup(prompt: groups[1].prompt, completions: [groups[1].completions[0], groups[1].completions[2]])]
        let others = derivatives.filter { $0 != 0 }
        let expected = gradients(model, model.forward(some), others)
        #expect(expected.contains { $0.contains { $0 != 0 } })
        #expect(gradients(model, pass, derivatives) == expected)
        // Where none has one, there is no gradient.
        #expect(gradients(model, pass, derivatives.map { _ in 0 }).allSatisfy { $0.allSatisfy { $0 == 0 } })
    }

    @Test(arguments: ["tiny-untied", "tiny-tied"], [16, 64]) func theHeadInPartsIsTheHead(_ name: String, outputs: Int) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
        let (groups, tape) = try rollout(model, golden, capacity: 1000, logitTokens: 200)
        let kept = try #require(tape.pass(groups, members: [(request: 0, completions: [0, 1, 2]), (request: 1, completions: [0, 1, 2])]))
        let made = model.forward(groups, temperature: 0.9)
        #expect(kept.logits != nil && made.logits == nil)
        let derivatives = made.statistics.logprobs.indices.map { Float($0 % 7) - 2.5 }
        let reference = gradients(model, made, derivatives, derivatives)
        model.workspace.headOutputs = outputs
        #expect(model.configuration.vocabularySize % outputs > 0)
        #expect(gradients(model, made, derivatives, derivatives) == reference)
        #expect(gradients(model, kept, derivatives, derivatives) == reference)
    }

    @Test(arguments: ["tiny-untied", "tiny-qwen3-biased", "tiny-llama3"]) func bfloat16IsNearFloat32(_ name: String) throws {
        let golden = try Golden(name)
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
