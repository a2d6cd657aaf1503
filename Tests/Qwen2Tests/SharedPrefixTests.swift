import Testing

@testable import Qwen2

/// What all prompts begin with, a system prompt for example, is computed once, and nobody can tell.
@Suite(.serialized) struct SharedPrefixTests {
    /// Three prompts that begin with the same 9 tokens, two of them with the same 12, and one twice.
    private func prompts(_ golden: Golden) throws -> [[Int32]] {
        let (a, b) = (try golden.sequences[0], try golden.sequences[1])
        let common = Array((a + b).prefix(9))
        return [common + [5, 6, 7, 8], common + [1, 2, 3] + b, common + [1, 2, 3], common + [1, 2, 3] + b]
    }

    private func generated(_ model: Qwen2Model, _ requests: [GenerationRequest], tape: RolloutTape? = nil) -> [[Completion]] {
        var parameters = SamplingParameters()
        parameters.maxNewTokens = 8
        parameters.temperature = 0.9
        // Some end early.
        return model.generate(requests, parameters, tape: tape) { _, completion, ids in ids.count > 3 * completion + 1 }
    }

    private func requests(_ prompts: [[Int32]]) -> [GenerationRequest] {
        prompts.enumerated().map { GenerationRequest(prompt: $1, count: 3, stream: UInt64($0 * 100)) }
    }

    private func gradients(_ model: Qwen2Model, _ derivatives: [(ForwardPass, [Float])]) -> [[Float]] {
        model.zeroGradients()
        for (pass, dLogprobs) in derivatives { model.backward(pass, dLogprobs: dLogprobs, dEntropies: dLogprobs.map { $0 / 4 }) }
        return model.parameters.map { Array($0.gradient ?? .init(start: nil, count: 0)) }
    }

    private func bits(_ numbers: [Float]) -> [UInt32] { numbers.map(\.bitPattern) }

    @Test func theLastTokenOfAPromptIsItsOwn() {
        #expect(sharedPrefix([[1, 2, 3, 4], [1, 2, 3, 5], [1, 2, 9]]) == 2)
        #expect(sharedPrefix([[1, 2, 3], [1, 2, 3]]) == 2)
        #expect(sharedPrefix([[1, 2, 3, 4], [1, 2]]) == 1)
        #expect(sharedPrefix([[1], [1]]) == 0)
        #expect(sharedPrefix([[1, 2, 3]]) == 0)
        #expect(sharedPrefix([]) == 0)
    }

    @Test func tokensThatAreSharedHaveOneRow() throws {
        let groups = [
            TokenGroup(prompt: [1, 2, 3, 4], completions: [[7, 8, 9], []]), TokenGroup(prompt: [1, 2, 5], completions: [[6]]),
        ]
        let packed = PackedGroups(groups)
        #expect(packed.rows.tokens == [1, 2, 3, 4, 7, 8, 5])
        #expect(packed.rows.positions == [0, 1, 2, 3, 4, 5, 2])
        #expect(packed.groups == [GroupRows(prompt: [0, 1, 2, 3], completions: [[4, 5], []]), GroupRows(prompt: [0, 1, 6], completions: [[]])])
        #expect(packed.predictors == [3, 4, 5, 6] && packed.targets == [7, 8, 9, 6])
        // The second prompt's keys stand once more behind the seven rows.
        #expect(packed.rows.placeCount == 10)
        #expect(
            packed.order([GroupRows(prompt: [9, 8, 7, 6], completions: [[5, 4], []]), GroupRows(prompt: [9, 8, 3])]) == [9, 8, 7, 6, 5, 4, 3])
    }

    @Test(arguments: [ComputeType.float32, .bfloat16], ["tiny-tied", "tiny-qwen3"])
    func completionsAreThoseOfEachPromptAlone(_ type: ComputeType, _ name: String) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: type)
        let requests = requests(try prompts(golden))
        let together = generated(model, requests)
        let alone = requests.map { generated(model, [$0])[0] }
        if type == .bfloat16 {
            #expect(together == alone)
        } else {
            #expect(together.map { $0.map(\.ids) } == alone.map { $0.map(\.ids) })
        }
    }

    @Test(arguments: ["tiny-tied", "tiny-qwen3", "tiny-llama-biased"]) func gradientsAreThoseOfEachGroupAlone(_ name: String) throws {
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .float32, trainable: true)
        let prompts = try prompts(golden)
        let groups = zip(prompts, generated(model, requests(prompts))).map { TokenGroup(prompt: $0, completions: $1.map(\.ids)) }
        let together = model.forward(groups)
        let derivatives = together.statistics.logprobs.indices.map { Float($0 % 5) - 2 }
        let shared = gradients(model, [(together, derivatives)])
        var rest = derivatives[...]
        let passes = groups.map { group in
            let pass = model.forward([group])
            defer { rest = rest.dropFirst(pass.statistics.logprobs.count) }
            return (pass, Array(rest.prefix(pass.statistics.logprobs.count)))
        }
        #expect(largestDifference(together.statistics.logprobs, passes.flatMap(\.0.statistics.logprobs)) < 1e-5)
        for (parameter, (a, b)) in zip(model.parameters, zip(shared, gradients(model, passes))) {
            #expect(relativeDifference(a, b) < 1e-5, "\(parameter.name)")
        }
    }

    @Test(arguments: [false, true]) func whatSamplingKeptTrainsLikeAForwardPass(_ recomputes: Bool) throws {
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)
        let prompts = try prompts(golden)
        let tape = RolloutTape(model, completions: prompts.map { _ in 3 }, capacity: 500, temperature: 0.9, recomputes: recomputes)
        let completions = generated(model, requests(prompts), tape: tape)
        // Some of them, the first group without a part in the loss.
        let members = [(request: 2, completions: [0, 1, 2]), (request: 1, completions: [2, 0]), (request: 0, completions: [1])]
        let groups = members.map { member in
            TokenGroup(prompt: prompts[member.request], completions: member.completions.map { completions[member.request][$0].ids })
        }
        let kept = try #require(tape.pass(groups, members: members))
        let made = model.forward(groups, temperature: 0.9)
        #expect(bits(kept.statistics.logprobs) == bits(made.statistics.logprobs))
        let silent = groups[0].completions.joined().count
        let derivatives = made.statistics.logprobs.indices.map { $0 < silent ? 0 : Float($0 % 5) - 2 }
        let reference = gradients(model, [(made, derivatives)]).map(bits)
        #expect(reference.contains { $0.contains { $0 != 0 } })
        #expect(gradients(model, [(kept, derivatives)]).map(bits) == reference)
    }
}
