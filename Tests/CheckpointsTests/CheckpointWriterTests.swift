import Checkpoints
import Foundation
import JSON
import SafeTensors
import Testing

@Suite struct CheckpointWriterTests {
    let directory: TemporaryDirectory
    var path: String { directory.path + "/out" }

    init() throws { directory = try TemporaryDirectory() }

    private func writer(_ type: ElementType = .bfloat16, _ layout: CheckpointWriter.Layout = .safetensors) -> CheckpointWriter {
        CheckpointWriter(config: config, companions: companions, type: type, layout: layout)
    }

    @Test func aDirectoryHoldsWhatItShould() throws {
        var reported: [(Int, Int)] = []
        try writer().create(path + "/", from: smallModel()) { reported.append(($0, $1)) }
        #expect(directory.contents == ["out"])
        #expect(directory.names(in: "out") == ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"])
        let total = 2 * (37 * 8 + 8 + 1)
        #expect(reported.first ?? (1, 1) == (0, total))
        #expect(reported.last ?? (0, 0) == (total, total))
    }

    @Test func theSameInputGivesTheSameBytes() throws {
        for layout in [CheckpointWriter.Layout.safetensors, .packed] {
            try writer(.bfloat16, layout).create(path, from: smallModel(), overwrite: true)
            let first = try directory.bytes("out/model.safetensors")
            try writer(.bfloat16, layout).create(path, from: smallModel(), overwrite: true)
            #expect(try directory.bytes("out/model.safetensors") == first)
        }
    }

    @Test func anExistingDirectoryIsRefusedOrReplaced() throws {
        try writer().create(path, from: smallModel())
        try directory.write([1], to: "out/stale.bin")
        #expect(throws: CheckpointError.self) { try writer().create(path, from: smallModel()) }
        #expect(directory.names(in: "out").contains("stale.bin"))
        try writer().create(path, from: smallModel(), overwrite: true)
        #expect(!directory.names(in: "out").contains("stale.bin"))
        #expect(directory.contents == ["out"])
    }

    @Test func whatIsNotACheckpointIsNeverReplaced() throws {
        try FileManager.default.createDirectory(atPath: path + "/sub", withIntermediateDirectories: true)
        try directory.write([1], to: "out/config.json")
        #expect(throws: CheckpointError.self) { try writer().create(path, from: smallModel(), overwrite: true) }
        #expect(directory.names(in: "out") == ["config.json", "sub"])
        try directory.write([1], to: "file")
        #expect(throws: CheckpointError.self) { try writer().create(directory.path + "/file", from: smallModel(), overwrite: true) }
        #expect(try directory.bytes("file") == [1])
    }

    @Test func replacingTheCheckpointThatIsReadKeepsItsBytes() throws {
        try writer().create(path, from: smallModel())
        let before = try directory.bytes("out/model.safetensors")
        let checkpoint = try Checkpoint(opening: path)
        try writer().create(path, from: checkpoint, overwrite: true)
        #expect(try directory.bytes("out/model.safetensors") == before)
        try writer().write(into: path, from: checkpoint)
        #expect(try directory.bytes("out/model.safetensors") == before)
    }

    @Test func aFailingSourceLeavesNothing() {
        struct Failing: TensorProvider {
            let tensors = [TensorInfo(name: "w", shape: [4], storage: "F32", type: .float32)]
            func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
                throw CheckpointError(path: "source", tensor: name, message: "broken")
            }
        }
        let error = #expect(throws: CheckpointError.self) { try writer().create(path, from: Failing()) }
        #expect(error?.description == #"source: tensor "w": broken"#)
        #expect(directory.contents.isEmpty)
    }

    @Test func whatCannotBeWrittenIsRefused() {
        let bad = CheckpointWriter(config: config, companions: [("../x", [])], type: .bfloat16, layout: .safetensors)
        #expect(throws: CheckpointError.self) { try bad.create(path, from: smallModel()) }
        #expect(throws: CheckpointError.self) { try writer().create(directory.path + "/no/such/parent", from: smallModel()) }
        #expect(directory.contents.isEmpty)
    }

    /// In a process of its own, whose files may not grow beyond 64 KiB: every write beyond that fails as it does on a full disk.
    @Test(arguments: [true, false]) func fullDiskLeavesNothing(_ packed: Bool) async {
        await #expect(processExitsWith: .success) { [packed] in
            let directory = try TemporaryDirectory()
            let writer = CheckpointWriter(config: config, companions: companions, type: .bfloat16, layout: packed ? .packed : .safetensors)
            try writer.create(directory.path + "/old", from: smallModel())
            let before = try directory.bytes("old/model.safetensors")
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: 65536, rlim_max: 65536)
            try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
            let large = MemoryProvider([("w", [1000, 300], normal(300_000, deviation: 0.02, seed: 1))])
            let error = #expect(throws: CheckpointError.self) { try writer.create(directory.path + "/new", from: large) }
            #expect(error?.description.contains("cannot write") == true)
            #expect(throws: CheckpointError.self) { try writer.create(directory.path + "/old", from: large, overwrite: true) }
            #expect(throws: CheckpointError.self) { try writer.write(into: directory.path + "/old", from: large) }
            #expect(directory.contents == ["old"])
            #expect(directory.names(in: "old") == ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"])
            #expect(try directory.bytes("old/model.safetensors") == before)
        }
    }
}
