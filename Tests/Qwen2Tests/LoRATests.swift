import CKernels
import Checkpoints
import Foundation
import Testing

@testable import Qwen2

/// A LoRA adapter beside PEFT's (Goldens/tiny-lora), its bits, its dropout and its beginning.
@Suite(.serialized) struct LoRATests {
    private let golden: Golden
    private let expected: Golden.Tensors
    private let saved: LoRAAdapter

    init() throws {
        golden = try Golden("tiny-tied")
        let directory = try Golden.directory.appendingPathComponent("tiny-lora").path
        expected = try Golden.Tensors(directory + "/golden.safetensors")
        saved = try LoRAAdapter(opening: directory)
    }

    private func model(_ type: ComputeType = .float32, trainable: Bool = true) throws -> Qwen2Model {
        let model = try Qwen2Model(golden.checkpoint, computeType: type)
        try model.addAdapter(saved, trainable: trainable)
        return model
    }

    private var groups: [TokenGroup] { get throws { wholeSequences(try golden.sequences) } }

    private func bits(_ numbers: [Float]) -> [UInt32] { numbers.map(\.bitPattern) }

    private func gradients(_ model: Qwen2Model) -> [[Float]] { model.trainableParameters.map { Array($0.gradient ?? .init(start: nil, count: 0)) } }

    // MARK: As PEFT

    @Test func logprobsAndEntropiesAreThoseOfPEFT() throws {
        for trainable in [true, false] {
            let statistics = try model(trainable: trainable).score(try groups)
            let logprobs = try (0..<3).flatMap { try expected.floats("sequence.\($0).logprobs") }
            let entropies = try (0..<3).flatMap { try expected.floats("sequence.\($0).entropies") }
            #expect(statistics.logprobs.count == logprobs.count)
            #expect(largestDifference(statistics.logprobs, logprobs) < 1e-5)
            #expect(largestDifference(statistics.entropies, entropies) < 1e-5)
        }
    }

    @Test(arguments: [ComputeType.float32, .bfloat16]) func gradientsOfAAndBAreThoseOfTorch(_ type: ComputeType) throws {
        let model = try model(type)
        let c = try (0..<3).flatMap { try golden.floats("sequence.\($0).c") }
        let e = try (0..<3).flatMap { try golden.floats("sequence.\($0).e") }
        model.backward(model.forward(try groups), dLogprobs: c, dEntropies: e)
        #expect(model.trainableParameters.count == 2 * 7 * 2)
        for (parameter, gradient) in zip(model.trainableParameters, gradients(model)) {
            let difference = relativeDifference(gradient, try expected.floats("gradient.\(parameter.name)"))
            #expect(difference < (type == .float32 ? 1e-4 : 0.1), "\(parameter.name)")
        }
        #expect(model.parameters.allSatisfy { $0.gradient == nil && $0.master == nil })
    }

    @Test func mergedItSaysTheSame() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("merged-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let merged = try MergedCheckpoint(golden.checkpoint, adapter: saved.path)
        try CheckpointWriter(config: merged.config, companions: [], type: .float32, layout: .safetensors).create(directory, from: merged)
        let logits = try Qwen2Model(try Checkpoint(opening: directory), computeType: .float32).logits(of: try golden.sequences[1])
        #expect(largestDifference(logits, try expected.floats("merged.logits")) < 1e-4)
        #expect(largestDifference(logits, try model().logits(of: try golden.sequences[1])) < 1e-4)
    }

    @Test(arguments: [ComputeType.bfloat16, .int8]) func itIsAddedToWeightsOfEveryType(_ type: ComputeType) throws {
        let plain = try Qwen2Model(golden.checkpoint, computeType: type)
        let (with, without) = (try model(type, trainable: false).score(try groups).logprobs, plain.score(try groups).logprobs)
        let logprobs = try (0..<3).flatMap { try expected.floats("sequence.\($0).logprobs") }
        let exact = try Qwen2Model(golden.checkpoint, computeType: .float32).score(try groups).logprobs
        // What the adapter changes is seen through what the type rounds.
        let change = zip(with, without).map(-), exactChange = zip(logprobs, exact).map(-)
        #expect(relativeDifference(change, exactChange) < 0.15)
    }

    // MARK: The same bits everywhere

    @Test(arguments: BatchInvarianceTests.instructionSets) func everyPathGivesTheSameBits(_ isa: ck_isa_level) throws {
        #expect(ck_set_isa(isa) == 1)
        let model = try model(.bfloat16)
        let prompts = try golden.sequences.map { $0 + $0 }
        var parameters = SamplingParameters()
        (parameters.maxNewTokens, parameters.temperature) = (21, 0.9)
        Qwen2Model.useThreads(2)
        let requests = prompts.enumerated().map { GenerationRequest(prompt: $1, count: 11, stream: UInt64($0 * 100)) }
        let tape = RolloutTape(model, completions: [11, 11, 11], capacity: 2000, temperature: 0.9)
        let together = model.generate(requests, parameters, tape: tape)
        let packed = zip(prompts, together).map { TokenGroup(prompt: $0, completions: $1.map(\.ids)) }
        let reference = bits(together.flatMap { $0.flatMap(\.logprobs) })
        #expect(bits(model.forward(packed, temperature: 0.9).statistics.logprobs) == reference)
        #expect(bits(model.score(packed, temperature: 0.9).logprobs) == reference)
        Qwen2Model.useThreads(1)
        let alone = packed.flatMap { group in
            group.completions.flatMap { model.score([TokenGroup(prompt: group.prompt, completions: [$0])], temperature: 0.9).logprobs }
        }
        #expect(bits(alone) == reference)
        // As saved, without masters, too.
        #expect(bits(try self.model(.bfloat16, trainable: false).score(packed, temperature: 0.9).logprobs) == reference)
        // What sampling kept trains like a forward pass, with one thread or two.
        let members = (0..<3).map { (request: $0, completions: Array(0..<11)) }
        let derivatives = reference.indices.map { Float($0 % 5) - 2 }
        model.backward(try #require(tape.pass(packed, members: members)), dLogprobs: derivatives)
        let kept = gradients(model)
        Qwen2Model.useThreads(2)
        model.zeroGradients()
        model.backward(model.forward(packed, temperature: 0.9), dLogprobs: derivatives)
        #expect(gradients(model).map(bits) == kept.map(bits))
        #expect(kept.allSatisfy { $0.contains { $0 != 0 } })
    }

    @Test func switchedOffItIsTheModelAndSwitchedOnAgainItIsItself() throws {
        let model = try model(.bfloat16)
        let plain = bits(try Qwen2Model(golden.checkpoint, computeType: .bfloat16).score(try groups).logprobs)
        let own = bits(model.score(try groups).logprobs)
        #expect(own != plain)
        #expect(bits(try model.with(nil) { model.score(try groups).logprobs }) == plain)
        #expect(bits(model.score(try groups).logprobs) == own)
        let copy = try #require(model.adapter).frozen()
        model.replaceWeights { _, _, numbers in for i in numbers.indices { numbers[i] = 0.01 } }
        #expect(bits(model.score(try groups).logprobs) != own)
        #expect(bits(try model.with(copy) { model.score(try groups).logprobs }) == own)
    }

    // MARK: Dropout

    @Test(arguments: [ComputeType.float32, .bfloat16]) func aPassDropsTheSameWheneverItIsComputed(_ type: ComputeType) throws {
        let model = try model(type)
        func logprobs(_ number: UInt32, threads: Int) throws -> [UInt32] {
            Qwen2Model.useThreads(threads)
            return bits(model.forward(try groups, dropout: DropoutPass(seed: 7, number: number)).statistics.logprobs)
        }
        let first = try logprobs(1, threads: 2)
        #expect(try logprobs(1, threads: type == .float32 ? 2 : 1) == first)
        #expect(try logprobs(2, threads: 2) != first)
        let whole = bits(model.score(try groups).logprobs)
        #expect(first != whole)
        #expect(bits(model.forward(try groups).statistics.logprobs) == whole)
    }

    @Test func layersMadeAgainDropTheSame() throws {
        let model = try model(.bfloat16)
        let groups = try groups
        let pass = DropoutPass(seed: 5, number: 3)
        func gradients(recomputes: Bool) -> [[UInt32]] {
            model.zeroGradients()
            let forward = model.forward(groups, recomputes: recomputes, dropout: pass)
            // The first completion has no part in the loss.
            let silent = groups[0].completions[0].count
            model.backward(forward, dLogprobs: forward.statistics.logprobs.indices.map { $0 < silent ? 0 : 1 })
            return self.gradients(model).map(bits)
        }
        #expect(gradients(recomputes: true) == gradients(recomputes: false))
    }

    // MARK: Every family

    /// W + scale B A: the gradient of B is scale times that of W times A transposed, while B is zero.
    @Test(arguments: ["tiny-qwen3", "tiny-llama-biased", "tiny-untied"]) func gradientsOfBAreTheWeightsTimesA(_ name: String) throws {
        let golden = try Golden(name)
        let groups = wholeSequences(try golden.sequences)
        let model = try Qwen2Model(golden.checkpoint, computeType: .float32)
        var settings = LoRASettings()
        (settings.rank, settings.targets) = (3, LoRASettings.allLinear)
        try model.addAdapter(settings, seed: 1, base: name)
        let whole = try Qwen2Model(golden.checkpoint, computeType: .float32, trainable: true)
        for model in [model, whole] {
            let pass = model.forward(groups)
            model.backward(pass, dLogprobs: pass.statistics.logprobs)
        }
        let updates = try #require(model.adapter).layers
        #expect(updates.count == 7 * model.configuration.layerCount)
        for (weight, update) in updates {
            let (outputs, inputs) = (weight.shape[0], weight.shape[1])
            let gradient = try #require(whole.parameters.first { $0.name == weight.name }?.gradient)
            var a = [Float](repeating: 0, count: update.a.count)
            update.a.read(rows: 0..<3, into: &a)
            let expected = (0..<outputs * 3).map { index in
                Float(settings.scale) * (0..<inputs).reduce(Float(0)) { $0 + gradient[index / 3 * inputs + $1] * a[index % 3 * inputs + $1] }
            }
            #expect(relativeDifference(Array(try #require(update.b.gradient)), expected) < 1e-4, "\(weight.name)")
        }
    }

    /// The derivative along a random direction of A and B, by differences, with the pass's inputs dropped out.
    @Test func gradientsThroughDropoutAreThoseOfDifferences() throws {
        let model = try model()
        let pass = DropoutPass(seed: 3, number: 9)
        let groups = try groups
        func value() -> Double { model.forward(groups, dropout: pass).statistics.logprobs.reduce(0.0) { $0 + Double($1) } }
        let forward = model.forward(groups, dropout: pass)
        model.backward(forward, dLogprobs: .init(repeating: 1, count: forward.statistics.logprobs.count))
        let start = model.trainableParameters.map { parameter in
            var numbers = [Float](repeating: 0, count: parameter.count)
            parameter.read(rows: 0..<parameter.shape[0], into: &numbers)
            return numbers
        }
        let random = CounterRandom(seed: 1)
        let direction = start.enumerated().map { index, numbers in
            numbers.indices.map { Float(random.uniform(stream: UInt64($0), generation: UInt32(index), position: 0) - 0.5) }
        }
        func move(_ distance: Float) {
            for (index, parameter) in model.trainableParameters.enumerated() {
                parameter.write(zip(start[index], direction[index]).map { $0 + distance * $1 }, rows: 0..<parameter.shape[0])
            }
        }
        let slope = zip(gradients(model), direction).reduce(0.0) { $0 + zip($1.0, $1.1).reduce(0.0) { $0 + Double($1.0) * Double($1.1) } }
        move(1e-3)
        let above = value()
        move(-1e-3)
        let difference = (above - value()) / 2e-3
        #expect(abs(difference - slope) < 0.01 * abs(slope), "\(difference), by backward \(slope)")
    }

    @Test func tokensWithoutADerivativeChangeNoBitOfADroppedPass() throws {
        let model = try model(.bfloat16)
        let sequences = try golden.sequences
        let groups = [
            TokenGroup(prompt: sequences[0], completions: [sequences[1], sequences[2]]),
            TokenGroup(prompt: sequences[1], completions: [sequences[0]]),
        ]
        let pass = model.forward(groups, dropout: DropoutPass(seed: 1, number: 2))
        // Only the last completion of the first group has a derivative; its rows keep their masks though others are left out.
        let skipped = sequences[1].count
        let derivatives = pass.statistics.logprobs.indices.map { $0 >= skipped && $0 < skipped + sequences[2].count ? Float(1) : 0 }
        model.backward(pass, dLogprobs: derivatives)
        let few = gradients(model)
        model.zeroGradients()
        // A derivative too small to be seen in BF16 sums keeps every row.
        model.backward(pass, dLogprobs: derivatives.map { $0 == 0 ? 1e-30 : $0 })
        for (a, b) in zip(few, gradients(model)) { #expect(relativeDifference(a, b) < 1e-6) }
    }

    // MARK: A new adapter

    @Test func aNewAdapterChangesNothingAndGoesByItsSeed() throws {
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
        let plain = bits(model.score(try groups).logprobs)
        var settings = LoRASettings()
        settings.rank = 8
        try model.addAdapter(settings, seed: 42, base: "base")
        #expect(model.isTrainable && model.trainableParameters.count == 8)
        #expect(model.adapter?.changesNothing == true)
        #expect(bits(model.score(try groups).logprobs) == plain)
        func a(_ seed: UInt64) throws -> [Float] {
            try model.addAdapter(settings, seed: seed, base: "base")
            return try #require(model.adapter).parameters.filter { $0.name.contains("lora_A") }.flatMap { parameter in
                var numbers = [Float](repeating: 0, count: parameter.count)
                parameter.read(rows: 0..<parameter.shape[0], into: &numbers)
                return numbers
            }
        }
        let numbers = try a(42)
        #expect(try a(42) == numbers)
        #expect(try a(43) != numbers)
        // Uniform within 1 / sqrt(64): the mean is 0, the variance a third of the bound's square.
        #expect(numbers.count == 4 * 8 * 64)
        #expect(numbers.allSatisfy { abs($0) <= 0.125 })
        let mean = Double(numbers.reduce(0, +)) / Double(numbers.count)
        let square = numbers.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(numbers.count)
        #expect(abs(mean) < 0.01)
        #expect(abs(square - 0.0052083) < 3e-4)
        // Its first gradient moves B only.
        let pass = model.forward(try groups)
        model.backward(pass, dLogprobs: pass.statistics.logprobs)
        for parameter in model.trainableParameters {
            #expect((parameter.gradient ?? .init(start: nil, count: 0)).allSatisfy { $0 == 0 } == parameter.name.contains("lora_A"))
        }
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
        func refusal(_ body: () throws -> Void) -> String {
            do {
                try body()
                return "accepted"
            } catch { return "\(error)" }
        }
        var settings = LoRASettings()
        settings.targets = ["q_proj", "lm_head"]
        #expect(refusal { try model.addAdapter(settings, seed: 1, base: "base") }.contains("no linear layer \"lm_head\""))
        let quantized = try Qwen2Model(golden.checkpoint, computeType: .int8)
        #expect(refusal { try quantized.addAdapter(saved, trainable: true) }.contains("cannot be trained in int8"))
        let goldens = try Golden.directory
        let other = FileManager.default.temporaryDirectory.appendingPathComponent("adapter-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: other) }
        try FileManager.default.copyItem(atPath: goldens.appendingPathComponent("tiny-lora").path, toPath: other)
        let file = URL(fileURLWithPath: other + "/adapter_model.safetensors")
        let bytes = try Data(contentsOf: file)
        // The header's names, one letter changed: no such layer.
        let renamed = String(decoding: bytes.prefix(60000), as: UTF8.self)
        try #require(renamed.contains("layers.1.mlp"))
        var data = bytes
        while let range = data.range(of: Data("layers.1.mlp".utf8)) { data.replaceSubrange(range, with: Data("layers.7.mlp".utf8)) }
        try data.write(to: file)
        #expect(refusal { try model.addAdapter(try LoRAAdapter(opening: other)) }.contains("for another one"))
    }
}
