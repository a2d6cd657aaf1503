import Checkpoints
import Foundation
import SafeTensors
import Testing

@testable import GRPO
@testable import Qwen2

/// Ten steps of AdamW on the tiny models against torch's (schema: Tests/Qwen2Tests/Goldens/README.md).
@Suite struct AdamWTests {
    @Test(arguments: ["tiny-tied", "tiny-untied"])
    func lossesOfTenSteps(_ name: String) throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let directory = tests.appendingPathComponent("Qwen2Tests/Goldens/\(name)").path
        let golden = try SafeTensorsFile(opening: "\(directory)/golden.safetensors")
        func numbers<Number>(_ key: String, as: Number.Type) throws -> [Number] {
            let tensor = try #require(golden.tensor(named: key))
            return golden.withBytes(of: tensor) { bytes in
                stride(from: 0, to: bytes.count, by: MemoryLayout<Number>.size).map { bytes.loadUnaligned(fromByteOffset: $0, as: Number.self) }
            }
        }
        let model = try Qwen2Model(Checkpoint(opening: directory), computeType: .float32, trainable: true)
        let groups = try (0..<3).map { index in
            let ids = try numbers("sequence.\(index).ids", as: Int64.self).map { Int32($0) }
            return TokenGroup(prompt: [ids[0]], completions: [Array(ids.dropFirst())])
        }
        var configuration = GRPOConfiguration()
        configuration.weightDecay = 0.01
        let optimizer = AdamW(model.parameters, configuration)
        var losses: [Float] = []
        for step in 0...10 {
            let pass = model.forward(groups)
            let count = Float(pass.statistics.logprobs.count)
            losses.append(-pass.statistics.logprobs.reduce(0, +) / count)
            if step == 10 { break }
            model.zeroGradients()
            model.backward(pass, dLogprobs: pass.statistics.logprobs.map { _ in -1 / count })
            optimizer.step(learningRate: 1e-3, gradientScale: 1)
        }
        let expected = try numbers("adamw.losses", as: Float.self)
        #expect(expected.count == losses.count)
        for (ours, torchs) in zip(losses, expected) { #expect(abs(ours - torchs) < 1e-5) }
        #expect(losses[10] < losses[0])
    }
}
