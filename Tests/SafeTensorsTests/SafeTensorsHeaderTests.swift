import Foundation
import SafeTensors
import Testing

/// Every file that must not be opened, named for the attack or the accident; and those that must.
@Suite struct SafeTensorsHeaderTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @discardableResult
    private func open(_ bytes: [UInt8]) throws -> SafeTensorsFile {
        try SafeTensorsFile(opening: directory.file("model.safetensors", bytes))
    }

    private func refuse(_ bytes: [UInt8], saying words: String, tensor: String? = nil, _ location: SourceLocation = #_sourceLocation) throws {
        let path = try directory.file("model.safetensors", bytes)
        do throws(SafeTensorsError) {
            _ = try SafeTensorsFile(opening: path)
            Issue.record("accepted", sourceLocation: location)
        } catch {
            #expect(error.message.contains(words), "\(error)", sourceLocation: location)
            #expect(error.description.hasPrefix(path), sourceLocation: location)
            #expect(!error.description.contains("\n"), sourceLocation: location)
            if let tensor { #expect(error.tensor == tensor, sourceLocation: location) }
        }
    }

    private func refuse(_ header: String, data: Int = 0, saying words: String, tensor: String? = nil, _ location: SourceLocation = #_sourceLocation)
        throws
    {
        try refuse(container(header, data: data), saying: words, tensor: tensor, location)
    }

    // MARK: Container

    @Test func headerTooSmall() throws {
        try refuse([], saying: "the file is empty")
        try refuse([1, 2, 3], saying: "3 bytes, too small")
        try refuse([UInt8](repeating: 0, count: 8), saying: "end of the text")
    }

    @Test func headerTooLarge() throws {
        try refuse(container("{}", length: 100_000_001), saying: "100000001 bytes, more than the 100000000 allowed")
        try refuse(container("{}", length: 1 << 63), saying: "allowed")
        try refuse(container("{}", length: .max), saying: "allowed")
    }

    @Test func invalidHeaderLength() throws {
        try refuse(container("{}", length: 3), saying: "claims 3 bytes, the file has 2")
        try refuse(container("{}", length: 1000), saying: "truncated download")
        try refuse(container("{} ", data: 0, length: 1), saying: "truncated")
    }

    @Test func headerBloat() throws {
        let padding = String(repeating: " ", count: 2 << 20)
        try refuse(container("{}" + padding), saying: "a quarter of the file")
    }

    @Test func foreignFormatsAreNamed() throws {
        try refuse(Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".utf8), saying: "git lfs pull")
        try refuse(Array("<!DOCTYPE html><html></html>".utf8), saying: "web page")
        try refuse(Array("\n<html>x</html>".utf8), saying: "web page")
        try refuse(Array(#"{"error":"Repository not found"}"#.utf8), saying: "JSON text")
        try refuse([0x50, 0x4B, 3, 4, 0, 0, 8, 8, 0, 0, 0, 0], saying: "PyTorch")
        try refuse([0x80, 2, 0x7D, 0x71, 0, 0x58, 4, 0, 0, 0], saying: "PyTorch")
        try refuse([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0, 0, 0, 0, 0], saying: "GGUF")
    }

    @Test func onlyRegularFilesAreOpened() {
        for path in [directory.path, "/dev/zero", "/dev/null", directory.path + "/missing"] {
            #expect(throws: SafeTensorsError.self) { try SafeTensorsFile(opening: path) }
        }
    }

    @Test func namedPipeDoesNotHang() throws {
        let pipe = directory.path + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(throws: SafeTensorsError.self) { try SafeTensorsFile(opening: pipe) }
    }

    // MARK: Header text

    @Test func nonUTF8() throws {
        try refuse([1, 0, 0, 0, 0, 0, 0, 0, 0xFF], saying: "expected a value")
        try refuse([7, 0, 0, 0, 0, 0, 0, 0] + [0x7B, 0x22, 0xC0, 0xAF, 0x22, 0x3A, 0x31], saying: "invalid UTF-8")
    }

    @Test func notJSON() throws {
        for header in ["", " ", "x", "{", "{}{}", "{},", "{}\0", "{'a':1}", "{//\n}"] { try refuse(header, saying: "header, byte") }
        for header in ["[]", "\"a\"", "null", "1"] { try refuse(header, saying: "not a JSON object") }
    }

    @Test func whitespaceAroundTheHeaderIsAllowed() throws {
        #expect(try open(container(" \n{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}\t \r\n", data: 4)).tensors.count == 1)
    }

    @Test func duplicates() throws {
        try refuse(
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]}}"#, data: 1, saying: "twice")
        try refuse(#"{"__metadata__":{},"__metadata__":{}}"#, saying: "twice")
        try refuse(#"{"__metadata__":{"a":"1","a":"2"}}"#, saying: "twice")
        try refuse(#"{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: 1, saying: "twice")
    }

    @Test func metadataIsStringsOnly() throws {
        #expect(try open(container(#"{"__metadata__":null}"#)).metadata.isEmpty)
        #expect(try open(container(#"{"__metadata__":{"b":"2","a":"1"}}"#)).metadata.map(\.key) == ["b", "a"])
        for value in ["1", "null", "{}", "[]", "true"] { try refuse("{\"__metadata__\":{\"a\":\(value)}}", saying: "not a string") }
        for value in ["[]", "\"a\"", "1"] { try refuse("{\"__metadata__\":\(value)}", saying: "not an object of strings") }
    }

    @Test func nesting() throws {
        try refuse(#"{"a":[[[[[[[[1]]]]]]]]}"#, saying: "deeper than 8")
    }

    // MARK: Entries

    @Test func namesAreBounded() throws {
        func header(_ name: String) -> String { "{\"\(name)\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}" }
        try refuse(header(""), data: 1, saying: "0 bytes")
        try refuse(header(String(repeating: "x", count: 513)), data: 1, saying: "513 bytes")
        try refuse(header(#"a\u0000b"#), data: 1, saying: #"\u0000"#)
        _ = try open(container(header(String(repeating: "x", count: 512)), data: 1))
    }

    @Test func namesEqualInCanonicalFormAreTwoTensors() throws {
        let file = try open(
            container(
                "{\"\u{E9}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"e\u{301}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}",
                data: 2))
        #expect(file.tensor(named: "\u{E9}")?.fileRange.lowerBound != file.tensor(named: "e\u{301}")?.fileRange.lowerBound)
    }

    @Test func entriesHaveExactlyTheirFields() throws {
        for entry in ["[\"F32\",[1],[0,4]]", "\"F32\"", "null", "1"] { try refuse("{\"a\":\(entry)}", data: 4, saying: "not an object", tensor: "a") }
        try refuse(#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, data: 4, saying: "dtype")
        try refuse(#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, data: 4, saying: "shape")
        try refuse(#"{"a":{"dtype":"F32","shape":[1]}}"#, data: 4, saying: "data_offsets")
        try refuse(#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}"#, data: 4, saying: "unknown field")
    }

    @Test func unknownTypes() throws {
        for type in ["F33", "f32", "", "FLOAT"] {
            try refuse("{\"a\":{\"dtype\":\"\(type)\",\"shape\":[1],\"data_offsets\":[0,4]}}", data: 4, saying: "unknown dtype", tensor: "a")
        }
    }

    @Test func shapesAndOffsetsAreIntegers() throws {
        for shape in ["[-1]", "[-0]", "[1.0]", "[1e0]", "[\"1\"]", "[null]", "[[1]]"] {
            try refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":\(shape),\"data_offsets\":[0,1]}}", data: 1, saying: "shape is not made of integers")
        }
        try refuse(#"{"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}}"#, data: 1, saying: "64 bits")
        for offsets in ["[0]", "[-0,1]", "[0,1,1]", "[0,1.0]", "[\"0\",1]", "{}", "null", "[]"] {
            try refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":\(offsets)}}", data: 1, saying: "data_offsets is")
        }
        for offsets in ["[1,0]", "[-1,0]"] {
            try refuse("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":\(offsets)}}", data: 1, saying: "are not a range")
        }
        try refuse(#"{"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}}"#, data: 1, saying: "9 dimensions")
    }

    @Test func validationOverflow() throws {
        for shape in ["[2,9223372036854775807]", "[4611686018427387904,2]", "[0,4611686018427387904,4611686018427387904]", "[9223372036854775807]"] {
            try refuse("{\"a\":{\"dtype\":\"I32\",\"shape\":\(shape),\"data_offsets\":[0,16]}}", data: 16, saying: "63 bits", tensor: "a")
        }
        try refuse(
            #"{"a":{"dtype":"U8","shape":[1152921504606846975],"data_offsets":[0,1152921504606846975]}}"#, data: 4, saying: "before the tensor does")
        try refuse(
            #"{"a":{"dtype":"U8","shape":[0],"data_offsets":[9223372036854775807,9223372036854775807]}}"#, saying: "beyond the end of the file")
    }

    @Test func invalidInfo() throws {
        try refuse(
            #"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,4]}}"#, data: 4, saying: "takes 16 bytes, data_offsets [0, 4] hold 4", tensor: "a")
    }

    @Test func subByteTypesEndOnAByte() throws {
        let file = try open(container(#"{"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}"#, data: 3))
        #expect(file.tensor(named: "a")?.byteCount == 3)
        try refuse(#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#, data: 1, saying: "whole bytes")
        try refuse(#"{"a":{"dtype":"F6_E2M3","shape":[2],"data_offsets":[0,2]}}"#, data: 2, saying: "whole bytes")
    }

    // MARK: Layout

    @Test func jsonAttackTensorsOnOneRange() throws {
        let entries = (0..<10).map { "\"t\($0)\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}" }
        try refuse("{" + entries.joined(separator: ",") + "}", data: 16, saying: "overlaps")
    }

    @Test func holes() throws {
        try refuse(#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#, data: 2, saying: "leaves a hole", tensor: "a")
        try refuse(
            #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}"#, data: 3, saying: "hole",
            tensor: "b")
    }

    @Test func metadataIncompleteBuffer() throws {
        let header = #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#
        _ = try open(container(header, data: 8))
        try refuse(container(header, data: 8) + Array("extra_bogus_data_for_polyglot_file".utf8), saying: "34 bytes after the last tensor")
        try refuse(container(header, data: 6), saying: "ends 2 bytes before", tensor: "a")
        try refuse("{}", data: 1, saying: "1 bytes after")
    }

    // MARK: What must open

    @Test func emptyAndZeroSized() throws {
        #expect(try open(container("{}")).tensors.isEmpty)
        let file = try open(
            container(
                #"{"z":{"dtype":"F32","shape":[2,0],"data_offsets":[4,4]},"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#,
                data: 4))
        #expect(file.tensors.map(\.name) == ["s", "y", "z"])
        #expect(file.tensor(named: "s")?.shape == [])
        #expect(file.tensor(named: "z")?.byteCount == 0)
    }

    @Test func unalignedTensorsAndAnyOrderAreRead() throws {
        let file = try open(
            container(#"{"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: 5))
        let tensor = try #require(file.tensor(named: "b"))
        #expect(file.withBytes(of: tensor) { Array($0) } == [1, 2, 3, 4])
        #expect(file.tensor(named: "c") == nil)
    }

    @Test(arguments: SafeTensorsType.allCases) func everyTypeIsRead(_ type: SafeTensorsType) throws {
        let size = type.bitCount
        let file = try open(container("{\"a\":{\"dtype\":\"\(type.rawValue)\",\"shape\":[8],\"data_offsets\":[0,\(size)]}}", data: size))
        #expect(file.tensor(named: "a") == file.tensors[0])
        #expect(file.tensors[0].type == type)
    }

    // MARK: Fuzzing

    @Test func mutationsNeverCrashAndKeepTheInvariants() throws {
        let valid = container(
            #"{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b.weight":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},"c":{"dtype":"U8","shape":[0],"data_offsets":[22,22]}}"#,
            data: 22)
        _ = try open(valid)
        var random = SystemRandomNumberGenerator()
        let digits = Array("0123456789-.eE\"[]{},:\\u ".utf8)
        for _ in 0..<20_000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[index] = digits.randomElement(using: &random) ?? 0
                case 2: bytes.remove(at: index)
                case 3: bytes.insert(digits.randomElement(using: &random) ?? 0, at: index)
                default: bytes.removeLast(min(bytes.count - 1, Int.random(in: 0...8, using: &random)))
                }
            }
            guard let file = try? open(bytes) else { continue }
            // One expectation in all: each costs more than opening the file.
            let isSound = file.tensors.allSatisfy { tensor in
                tensor.fileRange.upperBound <= bytes.count && tensor.shape.reduce(tensor.type.bitCount, *) == 8 * tensor.byteCount
                    && file.withBytes(of: tensor) { $0.elementsEqual(bytes[tensor.fileRange]) }
            }
            let covered = file.tensors.reduce(0) { $0 + $1.byteCount }
            if !isSound || covered > bytes.count - 10 { Issue.record("accepted \(bytes)") }
        }
    }
}
