import Foundation
import Testing

@testable import Checkpoints
@testable import Qwen2

/// The distance between two models' predictions, and what matters to a model.
@Suite(.serialized) struct DivergenceTests {
    @Test func divergenceIsThatOfTheLogits() throws {
        let golden = try Golden("tiny-llama3"), sequences = try golden.sequences
        let p = try Qwen2Model(golden.checkpoint, computeType: .float32), q = try Qwen2Model(golden.checkpoint, computeType: .int4)
        let found = q.divergence(from: p, on: wholeSequences(sequences))
        var divergences: [Float] = [], agreements: [Bool] = []
        for ids in sequences {
            let n = p.configuration.vocabularySize, (a, b) = (p.logits(of: ids), q.logits(of: ids))
            for row in 0..<ids.count - 1 {
                let (x, y) = (a[row * n..<(row + 1) * n].map { Double($0) }, b[row * n..<(row + 1) * n].map { Double($0) })
                func normalized(_ logits: [Double]) -> [Double] {
                    let top = logits.max() ?? 0, sum = logits.reduce(0) { $0 + exp($1 - top) }
                    return logits.map { $0 - top - log(sum) }
                }
                let (logP, logQ) = (normalized(x), normalized(y))
                divergences.append(Float(zip(logP, logQ).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) }))
                agreements.append(x.firstIndex(of: x.max() ?? 0) == y.firstIndex(of: y.max() ?? 0))
            }
        }
        #expect(found.divergences.count == divergences.count && divergences.contains { $0 > 0.01 })
        #expect(largestDifference(found.divergences, divergences) < 1e-5)
        #expect(found.agreements == agreements)
        #expect(found.logprobs == q.score(wholeSequences(sequences)).logprobs)
        let itself = p.divergence(from: p, on: wholeSequences(sequences))
        #expect(itself.divergences.allSatisfy { $0 == 0 } && itself.agreements.allSatisfy { $0 } && itself.logprobs == itself.referenceLogprobs)
    }

    /// The head reads the final norm's output, and so its importance is that of the columns of a product we can make ourselves.
    @Test(arguments: [ComputeType.float32, .bfloat16]) func importanceIsTheMeanSquareOfWhatALayerReads(_ type: ComputeType) throws {
        let golden = try Golden("tiny-llama3"), ids = try golden.sequences[2]
        let model = try Qwen2Model(golden.checkpoint, computeType: type)
        let importance = model.importance(of: [ids, [5]])
        // gate_proj and up_proj read the same, down_proj something else; norms are no matrices.
        func columns(_ name: String) throws -> [Float]? {
            let tensor = try #require(golden.checkpoint.tensor(named: name))
            return importance.columns(of: tensor)
        }
        let up = try #require(try columns("model.layers.1.mlp.up_proj.weight"))
        #expect(try columns("model.layers.1.mlp.gate_proj.weight") == up)
        #expect(try columns("model.layers.1.mlp.down_proj.weight")?.count == 64)
        #expect(try columns("model.embed_tokens.weight") == nil && columns("model.norm.weight") == nil)
        #expect(abs(up.reduce(0, +) / Float(up.count) - 1) < 1e-5)
        // The head's: the normed residual stream of the rows that predict something.
        let packed = PackedGroups(wholeSequences([ids])), hidden = model.configuration.hiddenSize
        let normed = model.outputs(of: packed)
        let rows = (0..<ids.count - 1).map { row in
            (0..<hidden).map { column -> Float in
                let at = row * hidden + column
                return type == .float32
                    ? normed.assumingMemoryBound(to: Float.self)[at]
                    : Float(bitPattern: UInt32(normed.assumingMemoryBound(to: UInt16.self)[at]) << 16)
            }
        }
        let squares = (0..<hidden).map { column in rows.reduce(0) { $0 + $1[column] * $1[column] } }
        let mean = squares.reduce(0, +) / Float(hidden)
        #expect(largestDifference(try #require(try columns("lm_head.weight")), squares.map { $0 / mean }) < 1e-4)
        // Nothing is collected when nobody asks.
        _ = model.score(wholeSequences([ids]))
        #expect(model.linear.inputs.take().columns(of: try #require(golden.checkpoint.tensor(named: "lm_head.weight"))) == nil)
    }
}
