import CKernels
import Foundation
import Testing

@testable import GGUF

/// The block codecs against gguf-py, bit for bit (goldens by scripts/goldens/blocks.py).
@Suite struct BlockCodecTests {
    static let types: [GGMLType] = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q5_K, .q6_K]

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
