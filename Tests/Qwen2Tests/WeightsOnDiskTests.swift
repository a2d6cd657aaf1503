import CKernels
import Checkpoints
import Foundation
import Testing

@testable import Qwen2

@Suite(.serialized) struct WeightsOnDiskTests {
    private static func matrices(_ model: Qwen2Model) -> [Parameter] { model.parameters.filter { $0.shape.count == 2 } }

    private static func isOnDisk(_ model: Qwen2Model) -> Bool { matrices(model).allSatisfy { $0.disk != nil } }

    @Test(arguments: BatchInvarianceTests.instructionSets, ["tiny-tied", "tiny-untied", "tiny-qwen3", "tiny-llama-biased"])
    func theFirstPassReadsTheFileToTheSameBits(_ isa: ck_isa_level, _ name: String) throws {
        #expect(ck_set_isa(isa) == 1)
        let golden = try Golden(name)
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
        let ids = try golden.sequences[0]
        let first = model.logits(of: ids)
        #expect(Self.isOnDisk(model))
        let second = model.logits(of: ids)
        #expect(Self.matrices(model).allSatisfy { $0.disk == nil })
        #expect(first.map(\.bitPattern) == second.map(\.bitPattern))
    }

    /// One new token for one prompt needs every matrix once; the second token needs them in memory.
    @Test func oneTokenLeavesTheWeightsWhereTheyAre() throws {
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
        var parameters = SamplingParameters()
        parameters.maxNewTokens = 1
        let request = try GenerationRequest(prompt: golden.sequences[0])
        let first = model.generate([request], parameters)
        #expect(Self.isOnDisk(model))
        parameters.maxNewTokens = 2
        let both = model.generate([request], parameters)
        #expect(!Self.isOnDisk(model))
        #expect(both[0][0].ids.first == first[0][0].ids[0] && both[0][0].logprobs[0].bitPattern == first[0][0].logprobs[0].bitPattern)
    }

    @Test func whoReadsAWeightGetsItWhereverItIs() throws {
        let golden = try Golden("tiny-tied")
        let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
        #expect(model.weightBytes > 0 && Self.isOnDisk(model))
        for parameter in model.parameters {
            var (found, expected) = ([Float](repeating: 0, count: parameter.count), [Float](repeating: 1, count: parameter.count))
            parameter.read(rows: 0..<parameter.rowCount, into: &found)
            try expected.withUnsafeMutableBytes {
                try golden.checkpoint.read(parameter.name, rows: 0..<parameter.rowCount, as: .float32, into: $0)
            }
            #expect(found == expected)
        }
    }

    @Test(arguments: [1, 2]) func aModelThatIsLetGoLeavesNothing(passes: Int) throws {
        weak var parameter: Parameter?
        weak var checkpoint: Checkpoint?
        do {
            let golden = try Golden("tiny-tied")
            let model = try Qwen2Model(golden.checkpoint, computeType: .bfloat16)
            (parameter, checkpoint) = (model.embedding, golden.checkpoint)
            for _ in 0..<passes { _ = model.logits(of: [1, 2, 3]) }
            #expect(parameter != nil && checkpoint != nil)
        }
        #expect(parameter == nil && checkpoint == nil)
    }

    @Test func onlyBFloat16ForReadingStaysOnDisk() throws {
        let golden = try Golden("tiny-tied")
        #expect(try Self.matrices(Qwen2Model(golden.checkpoint, computeType: .bfloat16, trainable: true)).allSatisfy { $0.disk == nil })
        #expect(try Self.matrices(Qwen2Model(golden.checkpoint, computeType: .float32)).allSatisfy { $0.disk == nil })
    }

    /// Somebody cuts the file short behind the open model's back: a line and exit code 1, not a signal.
    @Test(arguments: [true, false]) func aFileThatIsCutShortEndsTheProcess(_ before: Bool) async throws {
        let result = try await #require(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) { [before] in
            let directory = FileManager.default.temporaryDirectory.appendingPathComponent("cut-\(getpid())")
            try? FileManager.default.removeItem(at: directory)
            try FileManager.default.copyItem(at: Golden.directory.appendingPathComponent("tiny-tied"), to: directory)
            let model = try Qwen2Model(Checkpoint(opening: directory.path), computeType: .bfloat16)
            if !before { _ = model.logits(of: [1, 2, 3]) }
            try #require(truncate(directory.appendingPathComponent("model.safetensors").path, 4000) == 0)
            try FileManager.default.removeItem(at: directory)
            _ = model.logits(of: [1, 2, 3])
        }
        let line = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(line.contains("the file has 4000 bytes, it had") && line.contains("is it still being written?"), "\(line)")
    }
}
