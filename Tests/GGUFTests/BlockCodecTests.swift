import CKernels
import Foundation
import Testing

@testable import GGUF

/// The block codecs against gguf-py, bit for bit (goldens by scripts/goldens/blocks.py).
@Suite struct BlockCodecTests {
    static let types: [GGMLType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_NL, .iq4_XS]

    private func golden(_ name: String) throws -> [UInt8] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Goldens")
        return [UInt8](try Data(contentsOf: folder.appendingPathComponent(name)))
    }

    @Test(arguments: types) func valuesAreThoseOfTheReference(type: GGMLType) throws {
        let blocks = try golden("\(type.name).blocks"), expected = try golden("\(type.name).f32")
        var builder = GGUFBuilder()
        builder.tensor("w", [UInt64(type.blockWeights), 12], type.rawValue, blocks)
        try withFile(builder.bytes) { path in
            let found = try values(try GGUFFile(opening: path), "w", 0..<12)
            #expect(found.flatMap { GGUFBuilder.little($0.bitPattern) } == expected)
        }
    }

    @Test(arguments: types) func codecAndReaderAgreeOnTheBlock(type: GGMLType) {
        #expect(ck_block_weights(ck_block_type(type.rawValue)) == type.blockWeights)
        #expect(ck_block_bytes(ck_block_type(type.rawValue)) == type.blockBytes)
    }

    @Test func otherTypesHaveNoCodec() {
        for type in UInt32(0)..<50 where !Self.types.contains(where: { $0.rawValue == type }) {
            #expect(ck_block_weights(ck_block_type(type)) == 0 && ck_block_bytes(ck_block_type(type)) == 0)
        }
        #expect(ck_block_weights(ck_block_type(UInt32.max)) == 0)
    }

    /// What ggml's reference code rounds to is rounded to the same bytes.
    @Test(arguments: [GGMLType.q4_0, .q4_1, .q5_0, .q5_1, .q8_0]) func blocksAreThoseOfTheReference(type: GGMLType) throws {
        #expect(try quantised(weights(), type) == golden("\(type.name).quantised"))
    }

    /// The error of the types whose scales are searched for, on normal weights: ggml's own code leaves 0.0768, 0.0708, 0.0361 and 0.0178 there.
    @Test(arguments: [(GGMLType.iq4_NL, 0.078), (.q4_K, 0.074), (.q5_K, 0.037), (.q6_K, 0.019)]) func errorsAreSmall(type: GGMLType, most: Double)
        throws
    {
        var random = SeededGenerator(state: 7)
        // The sum of twelve uniform numbers is close enough to normal.
        let values = (0..<16_384).map { _ in (0..<12).reduce(Float(-6)) { sum, _ in sum + Float.random(in: 0..<1, using: &random) } * 0.02 }
        let error = try relativeError(values, type)
        print("\(type.name): relative error \(error)")
        #expect(error < most)
        // And each kind of weights on its own, one value in all of them included, but the row so small that FP16 has no scale for it.
        let weights = try weights()
        for start in stride(from: 0, to: weights.count, by: 256) where start != 6 * 256 {
            #expect(try relativeError(Array(weights[start..<start + 256]), type) < 0.12)
        }
    }

    @Test(arguments: [GGMLType.q4_0, .q4_1, .q8_0, .iq4_NL, .q4_K, .q6_K]) func whatCannotBeQuantisedIsCounted(type: GGMLType) throws {
        for bad in [Float.nan, .infinity, -.infinity, 1e30, 3e38] {
            var values = [Float](repeating: 0.5, count: 1024)
            values[700] = bad
            var blocks = [UInt8](repeating: 0, count: 1024 / type.blockWeights * type.blockBytes)
            #expect(ck_quantize(ck_block_type(type.rawValue), &blocks, values, 1024 / type.blockWeights, nil, 1024) == 1, "\(bad)")
        }
    }

    /// Columns that matter are kept better than without that knowledge, by every type, and what does not matter pays for it.
    @Test(arguments: [GGMLType.q4_0, .q4_1, .q5_0, .q5_1, .iq4_NL, .q4_K, .q5_K, .q6_K]) func whatMattersIsKeptBetter(type: GGMLType) throws {
        let values = try weights().suffix(512).map { $0 }
        let importance = (0..<256).map { $0 % 8 == 3 ? Float(100) : 0.1 }
        let rows = [values[..<256], values[256...]].map { row in row.reduce(0) { $0 + Double($1) * Double($1) } / 256 }
        func errors(_ blocks: [UInt8]) -> (weighed: Double, plain: Double, sized: Double) {
            var found = [Float](repeating: 0, count: values.count)
            ck_dequantize(ck_block_type(type.rawValue), &found, blocks, values.count / type.blockWeights)
            let squares = zip(values, found).map { Double($0 - $1) * Double($0 - $1) }
            let sized = squares.enumerated().reduce(0) { sum, square in
                sum + square.element * (rows[square.offset / 256] + Double(values[square.offset]) * Double(values[square.offset])).squareRoot()
            }
            return (squares.enumerated().reduce(0) { $0 + $1.element * Double(importance[$1.offset % 256]) }, squares.reduce(0, +), sized)
        }
        func quantised(_ importance: [Float]?) -> [UInt8] {
            var blocks = [UInt8](repeating: 0, count: values.count / type.blockWeights * type.blockBytes)
            #expect(ck_quantize(ck_block_type(type.rawValue), &blocks, values, values.count / type.blockWeights, importance, 256) == 0)
            return blocks
        }
        let (plain, weighed) = (errors(quantised(nil)), errors(quantised(importance)))
        #expect(weighed.weighed < 0.9 * plain.weighed, "\(weighed.weighed) of \(plain.weighed)")
        #expect(weighed.plain < 4 * plain.plain)
        // Where all columns matter alike, large weights matter more; where nothing is known to matter, everything does alike.
        let even = errors(quantised(.init(repeating: 3, count: 256))), none = errors(quantised(.init(repeating: 0, count: 256)))
        #expect(even.sized <= 1.02 * plain.sized)
        #expect(none.plain <= 1.02 * plain.plain)
        if type.blockWeights == 32 { #expect(even.sized < none.sized, "\(even.sized), \(none.sized)") }
    }

    private func weights() throws -> [Float] {
        let bytes = try golden("weights.f32")
        return stride(from: 0, to: bytes.count, by: 4).map { at in bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: Float.self) } }
    }

    private func quantised(_ values: [Float], _ type: GGMLType) throws -> [UInt8] {
        var blocks = [UInt8](repeating: 0, count: values.count / type.blockWeights * type.blockBytes)
        #expect(ck_quantize(ck_block_type(type.rawValue), &blocks, values, values.count / type.blockWeights, nil, values.count) == 0)
        return blocks
    }

    private func relativeError(_ values: [Float], _ type: GGMLType) throws -> Double {
        let blocks = try quantised(values, type)
        var found = [Float](repeating: 0, count: values.count)
        ck_dequantize(ck_block_type(type.rawValue), &found, blocks, values.count / type.blockWeights)
        let squares = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        let difference = zip(values, found).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        return difference == 0 ? 0 : (difference / squares).squareRoot()
    }

    /// More rows than fit one read: the pieces join without a seam, wherever the reading starts.
    @Test func rowsAreTheSameHoweverTheyAreRead() throws {
        let rows = 3000
        var random = SeededGenerator(state: 1)
        var data: [UInt8] = []
        for _ in 0..<rows * 2 { data += [0, 0x3C] + (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) } }  // Q8_0, scale 1
        var builder = GGUFBuilder()
        builder.tensor("w", [64, UInt64(rows)], 8, data)
        try withFile(builder.bytes) { path in
            let file = try GGUFFile(opening: path)
            let all = try values(file, "w", 0..<rows)
            #expect(all == data.enumerated().filter { $0.offset % 34 > 1 }.map { Float(Int8(bitPattern: $0.element)) })
            for range in [0..<1, 2999..<3000, 963..<965, 1..<2999] {
                #expect(try values(file, "w", range) == Array(all[range.lowerBound * 64..<range.upperBound * 64]))
            }
        }
    }
}
