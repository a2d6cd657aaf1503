import Checkpoints
import Foundation
import JSON
import SafeTensors
import Testing

/// The plan of an export, and what it says of the files that follow.
@Suite struct ExportPlanTests {
    let directory: TemporaryDirectory
    var path: String { directory.path + "/out" }

    init() throws { directory = try TemporaryDirectory() }

    private func model() -> MemoryProvider {
        MemoryProvider([
            ("a", [10, 20], normal(200, deviation: 0.02, seed: 1)), ("b", [10, 20], normal(200, deviation: 0.02, seed: 2)),
            ("c", [5], [1, 2, 3, 4, 5]), ("d", [40, 20], normal(800, deviation: 0.02, seed: 3)),
        ])
    }

    private func writer(
        _ type: ElementType? = .bfloat16, _ layout: CheckpointWriter.Layout = .safetensors, shard: Int = .max, saturating: Bool = false
    ) -> CheckpointWriter {
        CheckpointWriter(config: config, companions: companions, type: type, layout: layout, maxShardSize: shard, saturating: saturating)
    }

    private func sizes(_ names: [String]) throws -> [Int] { try names.map { try directory.bytes("out/\($0)").count } }

    @Test(arguments: [Int.max, 900, 1, 1_700]) func thePlanSaysTheExactBytes(_ shard: Int) throws {
        let writer = writer(shard: shard)
        let plan = try writer.plan(for: model(), at: path)
        #expect(!FileManager.default.fileExists(atPath: path))
        try writer.create(path, from: model())
        #expect(try sizes(plan.files.map(\.name)) == plan.files.map(\.byteCount))
        let all = try sizes(directory.names(in: "out"))
        #expect(plan.byteCount == all.reduce(0, +))
        #expect(!plan.isBound)
        #expect(plan.files.flatMap(\.tensors).map(\.name).sorted() == ["a", "b", "c", "d"])
    }

    @Test func shardsAreWhatTransformersMakes() throws {
        try writer(shard: 820).create(path, from: model())
        let names = (1...2).map { "model-0000\($0)-of-00002.safetensors" }
        #expect(directory.names(in: "out") == ["chat_template.jinja", "config.json"] + names + ["model.safetensors.index.json", "tokenizer.json"])
        #expect(
            String(decoding: try directory.bytes("out/model.safetensors.index.json"), as: UTF8.self) == """
                {
                  "metadata": {
                    "total_parameters": 1205,
                    "total_size": 2410
                  },
                  "weight_map": {
                    "a": "model-00001-of-00002.safetensors",
                    "b": "model-00001-of-00002.safetensors",
                    "c": "model-00001-of-00002.safetensors",
                    "d": "model-00002-of-00002.safetensors"
                  }
                }

                """)
        let read = try Checkpoint(opening: path)
        for tensor in model().tensors {
            #expect(try read.bytes(of: tensor.name, as: .bfloat16) == model().bytes(of: tensor.name, as: .bfloat16))
        }
        // Shards and one file hold the same weights.
        try writer().create(directory.path + "/one", from: read)
        #expect(try Checkpoint(opening: directory.path + "/one").fingerprint() == read.fingerprint())
    }

    @Test func compressedExportsFitTheirBound() throws {
        let plan = try writer(nil, .packed).plan(for: model(), at: path)
        try writer(nil, .packed).create(path, from: model())
        let written = try sizes(["model.safetensors"])[0]
        #expect(plan.isBound && plan.files[0].byteCount >= written)
    }

    @Test func whatFloat16CannotHoldIsCountedAndRefused() throws {
        let large = MemoryProvider([("x", [2, 3], [1, 65504, 65519, 65520, -1e9, 3]), ("y", [2], [7e4, .infinity]), ("z", [1], [2])])
        let error = #expect(throws: CheckpointError.self) { try writer(.float16).create(path, from: large) }
        #expect(
            error?.message.hasPrefix("3 values in 2 tensors are beyond 65504, which float16 cannot hold (x: 2, y: 1); use bfloat16") == true,
            "\(error as Any)")
        #expect(directory.contents.isEmpty)
        try writer(.float16, saturating: true).create(path, from: large)
        let read = try Checkpoint(opening: path)
        let expected: [Float16] = [1, 65504, 65504, 65504, -65504, 3]
        #expect(try read.bytes(of: "x", as: .float16) == expected.flatMap { bits in withUnsafeBytes(of: bits.bitPattern) { Array($0) } })
        #expect(
            try read.bytes(of: "y", as: .float16)
                == [Float16(65504), .infinity].flatMap { bits in withUnsafeBytes(of: bits.bitPattern) { Array($0) } })
    }

    /// Tensors that are no weights of a model, in a file that has no config.json.
    @Test func anyTensorsKeepTheirTypes() throws {
        let source = directory.path + "/source.safetensors"
        let tensors: [(String, SafeTensorsType, [Int], [UInt8])] = [
            ("flags", .bool, [3], [0, 1, 1]), ("ids", .i64, [2, 1], Array(0..<16)), ("f8", .f8E4M3, [4], [0x38, 0xB8, 0x7F, 0x01]),
            ("f64", .f64, [1], [0, 0, 0, 0, 0, 0, 0xF8, 0x3F]), ("half", .f16, [2], [0, 0x3C, 0, 0xC0]), ("single", .f32, [1], [0, 0, 0x80, 0x3F]),
        ]
        let file = try SafeTensorsWriter(creating: source, tensors: tensors.map { .init(name: $0.0, type: $0.1, shape: $0.2) })
        while let next = file.next { try file.append(try #require(tensors.first { $0.0 == next.name }).3) }
        try file.finish()
        let opened = try Checkpoint(opening: source)
        for layout in [CheckpointWriter.Layout.safetensors, .packed] {
            let writer = CheckpointWriter(config: opened.config, companions: [], type: nil, layout: layout)
            try writer.create(path, from: opened, overwrite: true)
            #expect(directory.names(in: "out") == ["model.safetensors"])
            let read = try Checkpoint(opening: path, anyModel: true)
            #expect(try read.fingerprint() == opened.fingerprint())
            for (name, type, shape, bytes) in tensors {
                let tensor = try #require(read.tensor(named: name))
                #expect(tensor.shape == shape && tensor.storedType == type)
                var found = [UInt8](repeating: 0, count: bytes.count)
                try found.withUnsafeMutableBytes { try read.readStored(name, rows: 0..<tensor.rowCount, into: $0) }
                #expect(found == bytes, "\(name)")
            }
        }
        // Numbers are read up; what is no number is copied all the same.
        let cast = CheckpointWriter(config: opened.config, companions: [], type: .float32, layout: .safetensors)
        try cast.create(path, from: opened, overwrite: true)
        let read = try Checkpoint(opening: path, anyModel: true)
        #expect(read.tensors.map { $0.storage } == ["F32", "F32", "BOOL", "F32", "I64", "F32"])
        func floats(_ name: String) throws -> [Float] {
            let bytes = try read.bytes(of: name, as: .float32)
            return stride(from: 0, to: bytes.count, by: 4).map { at in bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: Float.self) }
            }
        }
        let eights = try floats("f8")
        #expect(eights[0] == 1 && eights[1] == -1 && eights[2].isNaN && eights[3] == 0x1p-9)
        #expect(try floats("f64") == [1.5])
        #expect(throws: CheckpointError.self) { try Checkpoint(opening: path) }
    }

    @Test func notEnoughSpaceIsToldBeforeTheFirstByte() throws {
        // More than any file system has: an empty tensor of another shape costs nothing, so the plan is made of many blocks.
        struct Huge: TensorProvider {
            let tensors = (0..<8).map { TensorInfo(name: "w\($0)", shape: [1 << 50], storage: "F32", type: .float32) }
            func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
                throw CheckpointError(path: "huge", message: "was read")
            }
        }
        let error = #expect(throws: CheckpointError.self) { try writer(.float32).create(path, from: Huge()) }
        #expect(error?.message.contains("are free here") == true, "\(error as Any)")
        #expect(directory.contents.isEmpty)
    }
}
