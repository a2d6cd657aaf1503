import Foundation
import SafeTensors
import Testing

@Suite struct SafeTensorsWriterTests {
    let directory: TemporaryDirectory
    var path: String { directory.path + "/model.safetensors" }

    init() throws { directory = try TemporaryDirectory() }

    /// Writes tensors whose bytes are a function of their names.
    private func write(_ tensors: [SafeTensorsWriter.Tensor], metadata: [(key: String, value: String)] = []) throws {
        let writer = try SafeTensorsWriter(creating: path, tensors: tensors, metadata: metadata)
        while let tensor = writer.next {
            let count = tensor.shape.reduce(tensor.type.bitCount, *) / 8
            try writer.append(content(of: tensor.name, count: count))
        }
        try writer.finish()
    }

    private func content(of name: String, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: name.utf8.reduce($0) { $0 &* 31 &+ Int($1) }) }
    }

    @Test func roundTrip() throws {
        let tensors: [SafeTensorsWriter.Tensor] = [
            .init(name: "a", type: .u8, shape: [3]), .init(name: "scalar", type: .f32, shape: []), .init(name: "norm", type: .bf16, shape: [2, 2]),
            .init(name: "é\"\n", type: .i64, shape: [1]), .init(name: "empty", type: .f32, shape: [0, 5]), .init(name: "c", type: .f32, shape: [2]),
        ]
        try write(tensors, metadata: [("note", "ü\u{1F600}")])
        let file = try SafeTensorsFile(opening: path)
        #expect(file.metadata("format") == "pt")
        #expect(file.metadata("note") == "ü\u{1F600}")
        #expect(file.tensors.count == tensors.count)
        for tensor in tensors {
            let read = try #require(file.tensor(named: tensor.name))
            #expect(read.type == tensor.type)
            #expect(read.shape == tensor.shape)
            #expect(file.withBytes(of: read) { Array($0) } == content(of: tensor.name, count: read.byteCount))
        }
        #expect(directory.contents == ["model.safetensors"])
    }

    /// The bytes that the reference implementation writes for the same tensors (see scripts/oracles/safetensors_roundtrip.py).
    @Test func layoutIsTheReferences() throws {
        try write([.init(name: "a", type: .u8, shape: [1]), .init(name: "b", type: .f32, shape: [1]), .init(name: "c", type: .bf16, shape: [1])])
        let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        let header =
            #"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"c":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]},"a":{"dtype":"U8","shape":[1],"data_offsets":[6,7]}}"#
        let padded = header + String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
        #expect(Array(bytes.prefix(8 + padded.utf8.count)) == container(padded))
        #expect(bytes.count == 8 + padded.utf8.count + 7)
    }

    @Test func orderOfTheCallerDoesNotMatter() throws {
        let tensors = (0..<20).map { SafeTensorsWriter.Tensor(name: "t\($0)", type: $0 % 3 == 0 ? .f32 : .bf16, shape: [$0 + 1]) }
        try write(tensors)
        let first = try Data(contentsOf: URL(fileURLWithPath: path))
        try write(tensors.reversed())
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == first)
    }

    @Test func blobsGetTheirLengthAtTheEnd() throws {
        let writer = try SafeTensorsWriter(
            creating: path, tensors: [.init(blob: "b", atMost: 1_000_000), .init(blob: "a", atMost: 10), .init(name: "c", type: .f32, shape: [1])])
        try writer.append([1, 2, 3, 4])
        #expect(writer.next?.name == "a")
        try writer.append([5])
        try writer.append([6, 7])
        try writer.endBlob()
        try writer.endBlob()
        try writer.finish()
        let file = try SafeTensorsFile(opening: path)
        let blob = try #require(file.tensor(named: "a"))
        #expect(file.withBytes(of: blob) { Array($0) } == [5, 6, 7])
        #expect(file.tensor(named: "b")?.shape == [0])
    }

    @Test func tooManyOrTooFewBytesAreRefused() throws {
        do {
            let writer = try SafeTensorsWriter(creating: path, tensors: [.init(name: "a", type: .u8, shape: [3])])
            #expect(throws: SafeTensorsError.self) { try writer.append([1, 2, 3, 4]) }
            try writer.append([1, 2])
            #expect(throws: SafeTensorsError.self) { try writer.finish() }
        }
        #expect(directory.contents.isEmpty)
    }

    @Test func whatTheReaderRefusesIsNotWritten() {
        let bad: [[SafeTensorsWriter.Tensor]] = [
            [.init(name: "", type: .u8, shape: [1])], [.init(name: "__metadata__", type: .u8, shape: [1])],
            [.init(name: "a\0", type: .u8, shape: [1])],
            [.init(name: "a", type: .u8, shape: [-1])], [.init(name: "a", type: .f4, shape: [1])], [.init(name: "a", type: .f32, shape: [.max, 2])],
            [.init(name: "a", type: .u8, shape: [.max]), .init(name: "b", type: .u8, shape: [1])],
            [.init(name: "a", type: .u8, shape: [1]), .init(name: "a", type: .f32, shape: [1])],
            [.init(name: "a", type: .u8, shape: [1, 1, 1, 1, 1, 1, 1, 1, 1])],
        ]
        for tensors in bad { #expect(throws: SafeTensorsError.self) { try SafeTensorsWriter(creating: path, tensors: tensors) } }
        #expect(directory.contents.isEmpty)
    }

    @Test func aWriterLetGoLeavesNothing() throws {
        _ = try SafeTensorsWriter(creating: path, tensors: [.init(name: "a", type: .u8, shape: [3])])
        #expect(directory.contents.isEmpty)
    }

    @Test func samePathWithActiveMapping() throws {
        try write([.init(name: "a", type: .u8, shape: [5000])])
        let file = try SafeTensorsFile(opening: path)
        let tensor = try #require(file.tensor(named: "a"))
        let before = file.withBytes(of: tensor) { Array($0) }
        try write([.init(name: "b", type: .u8, shape: [1])])
        #expect(file.withBytes(of: tensor) { Array($0) } == before)
        #expect(try SafeTensorsFile(opening: path).tensors.map(\.name) == ["b"])
    }

    @Test func aFileCutShortWhileMappedIsSeen() throws {
        try write([.init(name: "a", type: .u8, shape: [5000])])
        let file = try SafeTensorsFile(opening: path)
        try file.checkSize()
        try #require(truncate(path, 4096) == 0)
        do throws(SafeTensorsError) {
            try file.checkSize()
            Issue.record("accepted")
        } catch {
            #expect(error.message.contains("has 4096 bytes, it had"), "\(error)")
        }
    }

    @Test func aLinkAtThePartialNameIsNotFollowed() throws {
        let victim = try directory.file("victim", [1, 2, 3])
        try FileManager.default.createSymbolicLink(atPath: path + ".partial", withDestinationPath: victim)
        try write([.init(name: "a", type: .u8, shape: [1])])
        #expect([UInt8](try Data(contentsOf: URL(fileURLWithPath: victim))) == [1, 2, 3])
        #expect(directory.contents == ["model.safetensors", "victim"])
    }

    /// In a process of its own, whose files may not grow beyond 64 KiB: every write beyond that fails as it does on a full disk.
    @Test func fullDiskLeavesNothing() async {
        await #expect(processExitsWith: .success) {
            let directory = try TemporaryDirectory()
            let path = try directory.file("model.safetensors", [1, 2, 3])
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 65536, rlim_max: 65536)
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
            let writer = try SafeTensorsWriter(creating: path, tensors: [.init(name: "a", type: .u8, shape: [100_000])])
            let bytes = [UInt8](repeating: 1, count: 50_000)
            try writer.append(bytes)
            let error = #expect(throws: SafeTensorsError.self) { try writer.append(bytes) }
            #expect(error?.description.contains("cannot write") == true)
            #expect(throws: SafeTensorsError.self) { try writer.finish() }
            // What had the name before still has it; nothing else is left.
            #expect(directory.contents == ["model.safetensors"])
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == 3)
        }
    }
}
