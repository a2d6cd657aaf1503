import CKernels
import Checkpoints
import Foundation
import Testing

@testable import Qwen2

/// int8 and int4: weights in blocks of 8 or 4 bits, otherwise as bfloat16.
@Suite(.serialized) struct QuantizedModelTests {
    static let types = [ComputeType.int8, .int4]

    private func bits(_ logprobs: [Float]) -> [UInt32] { logprobs.map(\.bitPattern) }

    @Test(arguments: types, BatchInvarianceTests.instructionSets)
    func everyPathGivesTheSameBits(type: ComputeType, isa: ck_isa_level) throws {
        #expect(ck_set_isa(isa) == 1)
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: type)
        let prompts = try golden.sequences.map { $0 + $0 + $0 }
        var parameters = SamplingParameters()
        parameters.maxNewTokens = 37
        parameters.temperature = 0.9
        // Decoded in one batch of 33 completions behind three shared prompts.
        Qwen2Model.useThreads(2)
        let requests = prompts.enumerated().map { GenerationRequest(prompt: $1, count: 11, stream: UInt64($0 * 100)) }
        let together = model.generate(requests, parameters)
        let groups = zip(prompts, together).map { TokenGroup(prompt: $0, completions: $1.map(\.ids)) }
        let reference = bits(together.flatMap { $0.flatMap(\.logprobs) })
        #expect(reference.count == 33 * 37)
        // Forwarded whole, all groups packed; each completion alone, behind its own prompt, on one thread.
        #expect(bits(model.score(groups, temperature: 0.9).logprobs) == reference)
        Qwen2Model.useThreads(1)
        let alone = groups.flatMap { group in
            group.completions.flatMap { model.score([TokenGroup(prompt: group.prompt, completions: [$0])], temperature: 0.9).logprobs }
        }
        #expect(bits(alone) == reference)
        // Decoded alone.
        #expect(model.generate([GenerationRequest(prompt: prompts[1], stream: 104)], parameters)[0][0] == together[1][4])
    }

    @Test(arguments: types) func aWiderVectorChangesNoBit(type: ComputeType) throws {
        let golden = try Golden("tiny-tied")
        var results: [[UInt32]] = []
        for isa in BatchInvarianceTests.instructionSets where isa.rawValue < 3 {
            #expect(ck_set_isa(isa) == 1)
            results.append(bits(try Qwen2Model(golden.checkpoint, computeType: type).score(wholeSequences(try golden.sequences)).logprobs))
        }
        #expect(results.allSatisfy { $0 == results[0] })
    }

    @Test(arguments: Golden.all) func logprobsAreNearThoseOfFloat32(name: String) throws {
        let golden = try Golden(name)
        let groups = wholeSequences(try golden.sequences)
        func logprobs(_ type: ComputeType) throws -> [Float] { try Qwen2Model(golden.checkpoint, computeType: type).score(groups).logprobs }
        let exact = try logprobs(.float32), (int8, int4) = (try logprobs(.int8), try logprobs(.int4))
        func error(_ found: [Float]) -> Float { zip(found, exact).reduce(0) { $0 + abs($1.0 - $1.1) } / Float(exact.count) }
        #expect(error(int8) < 0.1)
        #expect(error(int8) < error(int4) && error(int4) < 1, "\(error(int4))")
    }

    @Test func weightsAreRoundedAndVectorsAreNot() throws {
        let golden = try Golden("tiny-untied")
        for type in Self.types {
            let model = try Qwen2Model(golden.checkpoint, computeType: type)
            let halves = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
            #expect(model.weightBytes < halves.weightBytes * 2 / 3)
            for (parameter, half) in zip(model.parameters, halves.parameters) {
                var (found, expected) = ([Float](repeating: 0, count: half.count), [Float](repeating: 1, count: half.count))
                parameter.read(rows: 0..<half.rowCount, into: &found)
                try expected.withUnsafeMutableBytes {
                    try golden.checkpoint.read(half.name, rows: 0..<half.rowCount, as: .float32, into: $0)
                }
                guard half.shape.count == 2 else {
                    half.read(rows: 0..<half.rowCount, into: &expected)
                    #expect(found == expected)
                    continue
                }
                let wide = type == .int8 || half.name.contains("embed_tokens") || half.name.contains("lm_head")
                #expect(parameter.quantized?.type == (wide ? CK_INT8 : CK_INT4))
                let error = relativeDifference(found, expected)
                #expect(wide ? error < 0.01 : 0.03 < error && error < 0.12, "\(half.name): \(error)")
            }
        }
    }

    // MARK: GGUF

    /// A qwen2 model of one layer, 256 wide, whose matrices are random blocks of the given types.
    private static func file(damaged: Bool = false, intermediate: Int = 512) -> (bytes: [UInt8], types: [String: ck_block_type]) {
        var file = GGUFBuilder(), types: [String: ck_block_type] = [:], state: UInt64 = 1
        file.key("general.architecture", "qwen2")
        for (key, value) in [
            ("block_count", 1), ("context_length", 128), ("embedding_length", 256), ("feed_forward_length", intermediate),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            file.key("qwen2.\(key)", UInt32(value))
        }
        file.key("qwen2.rope.freq_base", Float(1e6))
        file.key("qwen2.attention.layer_norm_rms_epsilon", Float(1e-6))
        func plain(_ name: String, _ dimensions: Int...) {
            file.tensor(name, dimensions.map { UInt64($0) }, (0..<dimensions.reduce(1, *)).map { Float($0 % 7) / 4 })
        }
        func matrix(_ name: String, _ hugging: String, _ columns: Int, _ rows: Int, _ type: ck_block_type) {
            guard columns % ck_block_weights(type) == 0 else { return plain(name, columns, rows) }
            let bytes = ck_block_bytes(type), count = columns * rows / ck_block_weights(type)
            var data = (0..<count * bytes).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return UInt8(truncatingIfNeeded: state >> 56)
            }
            // FP16 scales and minima of about 2^-12.
            let places = type == CK_Q6_K ? [208] : [CK_Q4_0, CK_Q5_0, CK_Q8_0].contains(type) ? [0] : [0, 2]
            for block in 0..<count { for place in places { data[block * bytes + place + 1] = 0x0C } }
            if damaged, type == CK_Q5_0 { data[7 * bytes + 1] = 0x7C }
            file.tensor(name, [UInt64(columns), UInt64(rows)], type.rawValue, data)
            types[hugging] = type
        }
        let layer = "model.layers.0."
        matrix("token_embd.weight", "model.embed_tokens.weight", 256, 96, CK_Q8_0)
        plain("blk.0.attn_norm.weight", 256)
        matrix("blk.0.attn_q.weight", layer + "self_attn.q_proj.weight", 256, 256, CK_Q4_0)
        plain("blk.0.attn_q.bias", 256)
        matrix("blk.0.attn_k.weight", layer + "self_attn.k_proj.weight", 256, 128, CK_Q4_1)
        plain("blk.0.attn_k.bias", 128)
        matrix("blk.0.attn_v.weight", layer + "self_attn.v_proj.weight", 256, 128, CK_Q5_1)
        plain("blk.0.attn_v.bias", 128)
        matrix("blk.0.attn_output.weight", layer + "self_attn.o_proj.weight", 256, 256, CK_Q5_0)
        plain("blk.0.ffn_norm.weight", 256)
        matrix("blk.0.ffn_gate.weight", layer + "mlp.gate_proj.weight", 256, intermediate, CK_Q4_K)
        matrix("blk.0.ffn_up.weight", layer + "mlp.up_proj.weight", 256, intermediate, CK_Q5_K)
        matrix("blk.0.ffn_down.weight", layer + "mlp.down_proj.weight", intermediate, 256, CK_Q6_K)
        plain("output_norm.weight", 256)
        return (file.bytes, types)
    }

    @Test(arguments: types) func blocksOfAFileAreTakenAsTheyAre(type: ComputeType) throws {
        let (bytes, types) = Self.file()
        try withFile(bytes) { path in
            let checkpoint = try Checkpoint(opening: path)
            let model = try Qwen2Model(checkpoint, computeType: type)
            for parameter in model.parameters where parameter.shape.count == 2 {
                var (found, expected) = ([Float](repeating: 0, count: parameter.count), [Float](repeating: 1, count: parameter.count))
                parameter.read(rows: 0..<parameter.rowCount, into: &found)
                try expected.withUnsafeMutableBytes { try checkpoint.read(parameter.name, rows: 0..<parameter.rowCount, as: .float32, into: $0) }
                let stored = try #require(types[parameter.name]), own = try #require(parameter.quantized?.type)
                let is4 = [CK_Q4_0, CK_Q4_1, CK_Q4_K].contains(stored), is8 = type == .int8 || parameter.name.contains("embed_tokens")
                let error = relativeDifference(found, expected)
                if stored != CK_Q6_K && (is4 || is8) {
                    #expect(own == ck_quantized_type_of(stored))
                    #expect(found == expected)
                } else if is8 {
                    #expect(own == CK_INT8 && 0 < error && error < 0.01)
                } else {
                    #expect(own == CK_INT4 && 0.01 < error && error < 0.12)
                }
            }
            // And it is the same model: against its numbers in FP32.
            let ids = (0..<40).map { Int32($0 * 7 % 96) }
            let exact = try Qwen2Model(checkpoint, computeType: .float32).score(wholeSequences([ids])).logprobs
            let error = largestDifference(model.score(wholeSequences([ids])).logprobs, exact)
            #expect(error < (type == .int8 ? 0.5 : 5), "\(error) of \(exact)")
        }
    }

    @Test func aDamagedBlockIsNamed() throws {
        try withFile(Self.file(damaged: true).bytes) { path in
            let error = #expect(throws: CheckpointError.self) { try Qwen2Model(Checkpoint(opening: path), computeType: .int8) }
            #expect(error?.description.contains("tensor 'blk.0.attn_output.weight': row 0, block 7 has a scale that is infinite") == true)
        }
    }

    // MARK: What is refused

    @Test func trainingIsRefused() throws {
        let error = #expect(throws: CheckpointError.self) {
            try Qwen2Model(Golden("tiny-tied").checkpoint, computeType: .int8, trainable: true)
        }
        #expect(error?.message == "cannot be trained in int8: use bfloat16 or float32")
    }

    @Test func rowsThatAreNoWholeBlocksAreRefused() throws {
        try withFile(Self.file(intermediate: 80).bytes) { path in
            let error = #expect(throws: CheckpointError.self) { try Qwen2Model(Checkpoint(opening: path), computeType: .int4) }
            #expect(error?.tensor == "model.layers.0.mlp.down_proj.weight")
            #expect(error?.message == "has rows of 80, int4 needs a multiple of 32: use bfloat16 or float32")
        }
    }
}
