import Foundation
import Testing

@testable import GGUF

/// Every way a file can lie ends in one line that says where; never in a crash, never in a tensor made of other bytes.
@Suite struct GGUFRefusalTests {
    private func refusal(_ bytes: [UInt8]) throws -> String {
        try withFile(bytes) { path in
            do {
                let file = try GGUFFile(opening: path)
                Issue.record("accepted, with \(file.metadata.count) keys and \(file.tensors.count) tensors")
                return ""
            } catch let error as GGUFError {
                #expect(error.description.hasPrefix(path) && !error.description.contains("\n"))
                return [error.place, error.message].filter { !$0.isEmpty }.joined(separator: ": ")
            }
        }
    }

    private func refusal(_ change: (inout GGUFBuilder) -> Void) throws -> String {
        var builder = GGUFBuilder()
        change(&builder)
        return try refusal(builder.bytes)
    }

    @Test(arguments: [
        ("", "the file is empty"), ("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"), ("PK\u{3}\u{4}abc", "ZIP archive"),
        ("<!DOCTYPE html>", "web page"), ("{\"error\":1}", "web page or JSON"), ("ggml", "before GGUF"), ("FUGG", "byte-swapped"),
        ("hello", "starts with bytes 68 65 6c 6c"), ("G", "starts with bytes 47, expected"), ("GGUF", "byte 4: the file ends inside a version"),
        ("\u{2}\0\0\0\0\0\0\0{}x", "this is a safetensors file"),
    ]) func otherFilesAreRecognised(text: String, expected: String) throws {
        let found = try refusal(Array(text.utf8))
        #expect(found.contains(expected))
    }

    @Test func pathsThatAreNoFiles() throws {
        for path in ["/", "/dev/null", "/nonexistent/model.gguf"] {
            #expect(throws: GGUFError.self) { try GGUFFile(opening: path) }
        }
    }

    @Test(arguments: [(0, "version 0"), (1, "convert it again"), (4, "version 4, expected 2 or 3"), (0x0300_0000, "big-endian")])
    func otherVersions(version: UInt32, expected: String) throws {
        #expect(try refusal { $0.version = version }.contains(expected))
    }

    @Test func countsAreComparedWithTheBytesLeft() throws {
        #expect(try refusal { $0.tensorCount = .max } == "byte 8: 18446744073709551615 tensors, at most 1000000 are read")
        #expect(try refusal { $0.keyCount = .max } == "byte 16: 18446744073709551615 metadata keys, at most 1000000 are read")
        #expect(try refusal { $0.tensorCount = 5 }.contains("5 tensors do not fit into"))
        #expect(try refusal { $0.keyCount = 5 }.contains("5 metadata keys do not fit into"))
    }

    @Test(arguments: [UInt64(1) << 63, .max, 1 << 40, 100]) func stringLengths(length: UInt64) throws {
        #expect(
            try refusal { $0.keys = [GGUFBuilder.little(length) + Array("abcdefghijkl".utf8)] }.contains(
                "a metadata key of \(length) bytes does not fit"))
        #expect(try refusal { $0.key("a", 8, GGUFBuilder.little(length)) }.contains("a value of 'a' of \(length) bytes does not fit"))
        #expect(
            try refusal { $0.key("a", 9, GGUFBuilder.little(UInt32(8)) + GGUFBuilder.little(UInt64(1)) + GGUFBuilder.little(length)) }
                .contains("a string of 'a' of \(length) bytes does not fit"))
    }

    @Test(arguments: [UInt64.max, 1 << 63, 1 << 61, 1 << 40, 1 << 31, 1 << 29]) func arrayLengths(count: UInt64) throws {
        for type in [UInt32(0), 4, 7, 8, 12] {
            let found = try refusal { $0.key("a", 9, GGUFBuilder.little(type) + GGUFBuilder.little(count)) }
            #expect(found.contains("\(count) elements of 'a'"))
        }
    }

    @Test func metadataValues() throws {
        #expect(try refusal { $0.key("a", 9, GGUFBuilder.little(UInt32(9)) + GGUFBuilder.little(UInt64(0))) }.contains("array of arrays"))
        #expect(try refusal { $0.key("a", 13, [0]) }.contains("value type 13, expected 0 to 12"))
        #expect(try refusal { $0.key("a", 9, GGUFBuilder.little(UInt32(13)) + GGUFBuilder.little(UInt64(0))) }.contains("value type 13"))
        #expect(try refusal { $0.key("a", 7, [2]) }.contains("bool of 2"))
        #expect(try refusal { $0.key("a", 9, GGUFBuilder.little(UInt32(7)) + GGUFBuilder.little(UInt64(2)) + [1, 2]) }.contains("bool of 2"))
        #expect(try refusal { $0.key("a", 8, GGUFBuilder.string([0xC0, 0xAF])) }.contains("a value of 'a' is not UTF-8"))
    }

    @Test func keys() throws {
        #expect(
            try refusal {
                $0.key("a\nb", UInt32(1))
                $0.key("a\nb", UInt32(1))
            }.contains("the key 'a?b' occurs twice"))
        #expect(try refusal { $0.key("", UInt32(1)) }.contains("a metadata key is empty"))
        #expect(try refusal { $0.key("a\0b", UInt32(1)) }.contains("holds a NUL: 'a?b'"))
        #expect(try refusal { $0.keys = [GGUFBuilder.string([0xFF]) + GGUFBuilder.little(UInt32(4)) + [0, 0, 0, 0]] }.contains("is not UTF-8"))
    }

    @Test func alignments() throws {
        for bad in [UInt32(0), 13, 1 << 31, .max] {
            #expect(try refusal { $0.key("general.alignment", bad) }.contains("key 'general.alignment': is \(bad), expected a UINT32"))
        }
        #expect(try refusal { $0.key("general.alignment", 10, GGUFBuilder.little(UInt64(32))) }.contains("has type UINT64"))
        #expect(try refusal { $0.key("general.alignment", "32") }.contains("has type STRING"))
        // The file's real alignment differs from the one it declares.
        #expect(
            try refusal {
                $0.key("general.alignment", UInt32(64))
                $0.tensor("a", [1], [1])
                $0.tensor("b", [1], [1])
            }.contains("tensor 'b': its data is at offset 32, expected 64"))
    }

    @Test func quantizationVersion() throws {
        #expect(
            try refusal {
                $0.key("general.quantization_version", UInt32(1))
                $0.tensor("w", [32], 8, [UInt8](repeating: 0, count: 34))
            } == "key 'general.quantization_version': is 1, expected 2 (tensor 'w' is Q8_0)")
    }

    private func tensorRefusal(_ change: (inout GGUFBuilder.Tensor) -> Void) throws -> String {
        try refusal {
            $0.tensor("first", [8], [1, 2, 3, 4, 5, 6, 7, 8])
            $0.tensor("w", [8, 1], [1, 2, 3, 4, 5, 6, 7, 8])
            change(&$0.tensors[1])
        }
    }

    @Test func dimensions() throws {
        for rank in [UInt32(5), .max] { #expect(try tensorRefusal { $0.rank = rank } == "tensor 'w': \(rank) dimensions, at most 4 are allowed") }
        #expect(try tensorRefusal { $0.dimensions = [0] } == "tensor 'w': dimension 0, expected a positive number")
        #expect(try tensorRefusal { $0.dimensions = [8, .max] } == "tensor 'w': dimension -1, expected a positive number")
        #expect(try tensorRefusal { $0.dimensions = [0, 1 << 62, 1 << 62] }.contains("dimension 0"))
        #expect(try tensorRefusal { $0.dimensions = [1 << 32, 1 << 32] } == "tensor 'w': the product of its dimensions overflows")
        #expect(try tensorRefusal { $0.dimensions = [1 << 61] } == "tensor 'w': its size in bytes overflows")
        #expect(try tensorRefusal { $0.dimensions = [1 << 60] }.contains("start at byte"))
        // The sum of two sizes, each within bounds, is not.
        #expect(
            try refusal {
                $0.tensor("a", [(1 << 61) - 8], 0, [])
                $0.tensor("b", [(1 << 61) - 8], 0, [])
                $0.tensors[1].offset = (UInt64(1) << 63) - 32
            }.contains("tensor 'b': the sizes of the tensors up to it overflow"))
    }

    @Test func types() throws {
        for type in [UInt32(4), 5, 31, 36, 42, 99, .max] { #expect(try tensorRefusal { $0.type = type }.contains("tensor 'w': type \(type) is not")) }
        #expect(try tensorRefusal { $0.type = 8 } == "tensor 'w': rows of 8 weights do not divide into Q8_0 blocks of 32")
        #expect(
            try tensorRefusal {
                $0.type = 12
                $0.dimensions = [896]
            }.contains("rows of 896 weights do not divide into Q4_K blocks of 256"))
    }

    @Test func offsets() throws {
        for offset in [UInt64(0), 31, 33, 64, 1 << 40, .max] {
            #expect(try tensorRefusal { $0.offset = offset }.contains("tensor 'w': its data is at offset \(offset), expected 32"))
        }
        #expect(
            try refusal {
                $0.tensor("a", [1], [1])
                $0.tensor("b", [1], [1])
                $0.tensors[0].offset = 32
                $0.tensors[1].offset = 0
            }.contains("tensor 'a': its data is at offset 32, expected 0"))
    }

    @Test func tensorNames() throws {
        #expect(try tensorRefusal { $0.name = [UInt8](repeating: 97, count: 64) }.contains("64 bytes, at most 63"))
        #expect(try tensorRefusal { $0.name = Array("first".utf8) }.contains("the tensor 'first' occurs twice"))
        #expect(try tensorRefusal { $0.name = Array("a\0b".utf8) }.contains("holds a NUL"))
        #expect(try tensorRefusal { $0.name = [] }.contains("a tensor name is empty"))
        #expect(try tensorRefusal { $0.name = [0x80] }.contains("not UTF-8"))
    }

    @Test func dataShorterThanDeclared() throws {
        #expect(
            try refusal {
                $0.tensor("w", [8, 4], [Float](repeating: 1, count: 32))
                $0.cut = 1
            }.contains("tensor 'w': its 128 bytes start at byte"))
    }

    @Test func aCutAnywhereIsRefused() throws {
        var builder = GGUFFileTests.example()
        builder.tensors.removeLast(3)
        let whole = builder.bytes  // ends with the six floats of "m" and eight bytes of padding
        for count in 0..<(whole.count - 8) {
            try withFile(Array(whole.prefix(count))) { path in
                _ = #expect(throws: GGUFError.self, "cut to \(count) of \(whole.count)") { try GGUFFile(opening: path) }
            }
        }
    }

    @Test(arguments: [(UInt32(2), 18, 0), (3, 20, 2), (6, 22, 0), (7, 24, 2), (8, 34, 0), (12, 144, 2), (13, 176, 0), (14, 210, 208)])
    func scalesThatAreNotNumbers(type: UInt32, bytes: Int, scaleAt: Int) throws {
        let weights = GGMLType(rawValue: type)!.blockWeights
        for (low, high) in [(UInt8(0), UInt8(0x7C)), (1, 0xFC)] {  // infinity; NaN
            var data = [UInt8](repeating: 0, count: bytes * 6)
            data[bytes * 4 + scaleAt] = low
            data[bytes * 4 + scaleAt + 1] = high
            var builder = GGUFBuilder()
            builder.tensor("w", [UInt64(weights * 3), 2], type, data)
            try withFile(builder.bytes) { path in
                let file = try GGUFFile(opening: path)
                #expect(try values(file, "w", 0..<1).allSatisfy { $0 == 0 })
                let error = #expect(throws: GGUFError.self) { try values(file, "w", 1..<2) }
                #expect(error?.message.contains("row 1, block 1 has a scale that is infinite or not a number") == true)
            }
        }
    }

    /// Twenty thousand files with one to four bytes, or one number of the header, changed: an error, or a file whose every promise holds.
    @Test func randomMutationsNeverCrash() throws {
        var builder = GGUFFileTests.example()
        builder.tensor("q", [32, 2], 8, [UInt8](repeating: 3, count: 68))
        builder.tensor("k", [256], 14, [UInt8](repeating: 5, count: 210))
        let whole = builder.bytes
        var random = SeededGenerator(state: 7)
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("gguf-mutations-\(UUID().uuidString)").path
        let descriptor = open(path, O_RDWR | O_CREAT, 0o600)
        defer {
            close(descriptor)
            unlink(path)
        }
        var accepted = 0, broken = 0
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: 4..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 1: bytes[position] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random)!
                default: for offset in position..<min(position + 8, bytes.count) { bytes[offset] = UInt8.random(in: 0...255, using: &random) }
                }
            }
            if Bool.random(using: &random) && Bool.random(using: &random) { bytes.removeLast(Int.random(in: 1..<bytes.count - 4, using: &random)) }
            try #require(ftruncate(descriptor, off_t(bytes.count)) == 0 && pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
            guard let file = try? GGUFFile(opening: path) else { continue }
            accepted += 1
            for tensor in file.tensors {
                broken += tensor.offset >= 24 && tensor.offset % file.alignment == 0 && tensor.offset + tensor.byteCount <= bytes.count ? 0 : 1
                broken += tensor.rowCount * tensor.rowBytes == tensor.byteCount ? 0 : 1
                _ = try? values(file, tensor.name, 0..<tensor.rowCount)
            }
            for (_, value) in file.metadata {
                _ = value.array?.integers
                value.array?.forEachString { _, bytes in _ = bytes.count }
            }
        }
        #expect(broken == 0)
        #expect(accepted > 1000 && accepted < 19_000, "\(accepted) accepted: the mutations are too gentle or too rough")
    }
}
