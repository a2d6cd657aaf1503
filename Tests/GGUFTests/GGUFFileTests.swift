import Foundation
import Testing

@testable import GGUF

/// What a valid file holds is what its reader gives.
@Suite struct GGUFFileTests {
    static func example() -> GGUFBuilder {
        var file = GGUFBuilder()
        file.key("general.architecture", "qwen2")
        file.key("qwen2.block_count", UInt32(24))
        file.key("eps", Float(1e-6))
        file.key("flag", true)
        file.key("u8", 0, [200])
        file.key("i8", 1, [0xFF])
        file.key("u16", 2, GGUFBuilder.little(UInt16(65535)))
        file.key("i16", 3, GGUFBuilder.little(Int16(-2)))
        file.key("i32", 5, GGUFBuilder.little(Int32(-3)))
        file.key("u64", 10, GGUFBuilder.little(UInt64.max))
        file.key("i64", 11, GGUFBuilder.little(Int64.min))
        file.key("f64", 12, GGUFBuilder.little((0.1).bitPattern))
        file.key("tokens", ["a", "", "é"])
        file.key("types", [Int32(1), -1])
        file.tensor("m", [3, 2], [1, 2, 3, 4, 5, 6])
        file.tensor("v", [4], 1, [0, 0x3C, 0, 0xC0, 0, 0, 1, 0])  // FP16: 1, -2, 0, 2^-24
        file.tensor("b", [2], 30, [0x80, 0x3F, 0, 0x40])  // BF16: 1, 2
        file.tensor("scalar", [], [7])
        return file
    }

    @Test func metadataKeepsItsTypesAndOrder() throws {
        try withFile(Self.example().bytes) { path in
            let file = try GGUFFile(opening: path)
            #expect(file.version == 3 && file.alignment == 32)
            #expect(file.metadata.map(\.key).prefix(3) == ["general.architecture", "qwen2.block_count", "eps"])
            #expect(file["general.architecture"]?.string == "qwen2")
            #expect(file["qwen2.block_count"]?.int == 24)
            #expect(file["eps"]?.float == 1e-6)
            #expect(file["flag"]?.bool == true)
            #expect(["u8", "i8", "u16", "i16", "i32"].map { file[$0]?.int } == [200, -1, 65535, -2, -3])
            #expect(file["u64"]?.int == nil && file["i64"]?.int == Int.min)
            if case .float64(let value)? = file["f64"] { #expect(value == 0.1) } else { Issue.record("f64 is not a FLOAT64") }
            #expect(file["types"]?.array?.integers == [1, -1])
            #expect(file["missing"] == nil)
            var tokens: [String] = []
            file["tokens"]?.array?.forEachString { tokens.append(String(decoding: $1, as: UTF8.self)) }
            #expect(tokens == ["a", "", "é"])
            #expect(file["tokens"]?.array?.integers == nil)
            #expect(file["tokens"]?.typeName == "ARRAY of STRING")
        }
    }

    @Test func tensorsHaveTheirShapesReversedAndTheirValues() throws {
        try withFile(Self.example().bytes) { path in
            let file = try GGUFFile(opening: path)
            #expect(file.tensors.map(\.name) == ["m", "v", "b", "scalar"])
            #expect(file.tensors.map(\.shape) == [[2, 3], [4], [2], []])
            #expect(try values(file, "m", 0..<2) == [1, 2, 3, 4, 5, 6])
            #expect(try values(file, "m", 1..<2) == [4, 5, 6])
            #expect(try values(file, "m", 1..<1) == [])
            #expect(try values(file, "v", 0..<1) == [1, -2, 0, 0x1p-24])
            #expect(try values(file, "b", 0..<1) == [1, 2])
            #expect(try values(file, "scalar", 0..<1) == [7])
        }
    }

    @Test func versionTwoAndOtherAlignmentsAreRead() throws {
        for alignment in [8, 64, 4096] {
            var builder = Self.example()
            builder.version = 2
            builder.alignment = alignment
            builder.key("general.alignment", UInt32(alignment))
            try withFile(builder.bytes) { path in
                let file = try GGUFFile(opening: path)
                #expect(file.alignment == alignment)
                #expect(try values(file, "b", 0..<1) == [1, 2])
            }
        }
    }

    @Test func keysThatDifferOnlyInUnicodeSpellingAreTwo() throws {
        var builder = GGUFBuilder()
        builder.key("\u{E9}", "composed")
        builder.key("e\u{301}", "decomposed")
        try withFile(builder.bytes) { path in
            let file = try GGUFFile(opening: path)
            #expect(file["\u{E9}"]?.string == "composed")
            #expect(file["e\u{301}"]?.string == "decomposed")
        }
    }

    @Test func aFileWithoutTensorsIsValid() throws {
        let file = try withFile(GGUFBuilder().bytes) { try GGUFFile(opening: $0) }
        #expect(file.tensors.isEmpty && file.metadata.isEmpty)
    }

    @Test func everyTypeHasTheNameAndBlockOfGGML() {
        #expect(GGMLType.allCases.count == 34)
        #expect(GGMLType.q4_K.name == "Q4_K" && GGMLType.iq2_XXS.name == "IQ2_XXS" && GGMLType.bf16.name == "BF16" && GGMLType.q1_0.name == "Q1_0")
    }

    @Test func aTypeWithoutCodecIsListedButNotRead() throws {
        var builder = GGUFBuilder()
        builder.tensor("w", [256], 16, [UInt8](repeating: 0, count: 66))
        try withFile(builder.bytes) { path in
            let file = try GGUFFile(opening: path)
            #expect(file.tensors[0].type == .iq2_XXS)
            let error = #expect(throws: GGUFError.self) { try values(file, "w", 0..<1) }
            #expect(error?.message.contains("is stored as IQ2_XXS, which cannot be read; expected one of F32, F16, Q4_0") == true)
        }
    }

    @Test func aFileCutShortAfterOpeningIsAnErrorNotASignal() throws {
        try withFile(Self.example().bytes) { path in
            let file = try GGUFFile(opening: path)
            let start = try #require(file.tensor(named: "scalar")).offset
            #expect(truncate(path, off_t(start + 2)) == 0)
            let error = #expect(throws: GGUFError.self) { try values(file, "scalar", 0..<1) }
            #expect(error?.description.contains("tensor 'scalar': the file ends at byte \(start + 2)") == true)
        }
    }
}

func values(_ file: GGUFFile, _ name: String, _ rows: Range<Int>) throws -> [Float] {
    let tensor = try #require(file.tensor(named: name))
    var out = [Float](repeating: .nan, count: rows.count * tensor.rowLength)
    try out.withUnsafeMutableBufferPointer { try file.read(tensor, rows: rows, into: $0) }
    return out
}
