import Checkpoints
import Foundation
import JSON
import SafeTensors
import Testing

/// Opening directories, and what must not be opened.
@Suite struct CheckpointTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func create(_ name: String, type: ElementType, layout: CheckpointWriter.Layout = .safetensors) throws -> Checkpoint {
        try CheckpointWriter(config: config, companions: companions, type: type, layout: layout).create(
            directory.path + "/" + name, from: smallModel())
        return try Checkpoint(opening: directory.path + "/" + name)
    }

    private func refuse(_ name: String, saying words: String, _ location: SourceLocation = #_sourceLocation) {
        do throws(CheckpointError) {
            _ = try Checkpoint(opening: directory.path + "/" + name)
            Issue.record("accepted", sourceLocation: location)
        } catch {
            #expect(error.description.contains(words), "\(error)", sourceLocation: location)
            #expect(!error.description.contains("\n"), sourceLocation: location)
        }
    }

    @Test(arguments: ElementType.allCases) func whatIsWrittenIsReadInEveryType(_ stored: ElementType) throws {
        // FP16 cannot hold infinity's neighbours: the small model's values all fit.
        let model = smallModel()
        let checkpoint = try create("model", type: stored)
        #expect(checkpoint.format == .huggingFace)
        #expect(checkpoint.tensors.map(\.name) == ["a.empty", "b.scalar", "model.embed_tokens.weight", "model.norm.weight"])
        #expect(checkpoint.tensor(named: "model.embed_tokens.weight")?.shape == [37, 8])
        #expect(checkpoint.tensor(named: "model.embed_tokens.weight")?.type == stored)
        for tensor in model.tensors {
            // The numbers as stored, then converted: the bytes of a direct conversion by other code.
            let numbers = (model.values[tensor.name] ?? []).map { value -> Float in
                switch stored {
                case .float32: value
                case .bfloat16: Float(bitPattern: UInt32(bfloat16(value)) << 16)
                case .float16: Float(Float16(value))
                }
            }
            for type in ElementType.allCases where !(type == .float16 && stored == .bfloat16 && tensor.name == "model.norm.weight") {
                let expected = try MemoryProvider([(tensor.name, tensor.shape, numbers)]).bytes(of: tensor.name, as: type)
                #expect(try checkpoint.bytes(of: tensor.name, as: type) == expected, "\(tensor.name) as \(type)")
            }
        }
    }

    @Test(arguments: [("safetensors", CheckpointWriter.Layout.safetensors), ("packed", .packed)])
    func aFileCutShortWhileOpenIsAnError(_ name: String, _ layout: CheckpointWriter.Layout) throws {
        let checkpoint = try create(name, type: .bfloat16, layout: layout)
        try #require(truncate(directory.path + "/" + name + "/model.safetensors", 8) == 0)
        #expect {
            try checkpoint.bytes(of: "model.embed_tokens.weight", as: .float32)
        } throws: {
            "\($0)".contains("has 8 bytes, it had")
        }
    }

    @Test func rowsAreReadAlone() throws {
        for layout in [CheckpointWriter.Layout.safetensors, .packed] {
            let checkpoint = try create("\(layout)", type: .bfloat16, layout: layout)
            let name = "model.embed_tokens.weight"
            let whole = try checkpoint.bytes(of: name, as: .bfloat16)
            for rows in [0..<0, 0..<1, 5..<9, 36..<37, 37..<37] {
                #expect(try checkpoint.bytes(of: name, as: .bfloat16, rows: rows) == Array(whole[rows.lowerBound * 16..<rows.upperBound * 16]))
            }
        }
    }

    @Test func requestsAreChecked() throws {
        let checkpoint = try create("model", type: .bfloat16)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 16)
        defer { buffer.deallocate() }
        let name = "model.embed_tokens.weight"
        try checkpoint.read(name, rows: 0..<1, as: .bfloat16, into: buffer)
        #expect(throws: CheckpointError.self) { try checkpoint.read("x", rows: 0..<1, as: .bfloat16, into: buffer) }
        #expect(throws: CheckpointError.self) { try checkpoint.read(name, rows: 37..<38, as: .bfloat16, into: buffer) }
        #expect(throws: CheckpointError.self) { try checkpoint.read(name, rows: -1..<0, as: .bfloat16, into: buffer) }
        #expect(throws: CheckpointError.self) { try checkpoint.read(name, rows: 0..<1, as: .float32, into: buffer) }
    }

    @Test func valuesBeyondHalfPrecisionAreRefused() throws {
        let provider = MemoryProvider([("w", [2], [1, 70000])])
        try CheckpointWriter(config: config, companions: [], type: .bfloat16, layout: .safetensors).create(directory.path + "/big", from: provider)
        let checkpoint = try Checkpoint(opening: directory.path + "/big")
        let error = #expect(throws: CheckpointError.self) { try checkpoint.bytes(of: "w", as: .float16) }
        #expect(error?.message.contains("1 values beyond 65504") == true)
    }

    @Test func companionsAndConfigAreGiven() throws {
        let checkpoint = try create("model", type: .bfloat16)
        #expect(checkpoint.companionNames == ["tokenizer.json", "chat_template.jinja"])
        #expect(try checkpoint.companion("tokenizer.json") == Array("{}".utf8))
        #expect(try checkpoint.companion("merges.txt") == nil)
        #expect(try checkpoint.companion("../x") == nil)
        #expect(checkpoint.config["hidden_size"] == 8)
        #expect(checkpoint.config["dtype"] == "bfloat16")
        #expect(checkpoint.config["torch_dtype"] == "bfloat16")
    }

    @Test func shardsAreOneCheckpoint() throws {
        let plain = try create("model", type: .bfloat16)
        let path = directory.path + "/model"
        var map: [(key: String, value: JSONValue)] = []
        for (index, tensor) in plain.tensors.enumerated() {
            let shard = "model-0000\(index % 2 + 1)-of-00002.safetensors"
            map.append((tensor.name, .string(shard)))
        }
        for shard in 1...2 {
            let tensors = plain.tensors.enumerated().filter { $0.offset % 2 == shard - 1 }.map(\.element)
            let writer = try SafeTensorsWriter(
                creating: path + "/model-0000\(shard)-of-00002.safetensors",
                tensors: tensors.map { .init(name: $0.name, type: .bf16, shape: $0.shape) })
            while let next = writer.next { try writer.append(plain.bytes(of: next.name, as: .bfloat16)) }
            try writer.finish()
        }
        let index: JSONValue = ["metadata": ["total_size": 1], "weight_map": .object(JSONObject(map))]
        try directory.write(Array(index.serialized().utf8), to: "model/model.safetensors.index.json")
        refuse("model", saying: "stale")
        try FileManager.default.removeItem(atPath: path + "/model.safetensors")
        let sharded = try Checkpoint(opening: path)
        #expect(sharded.tensors == plain.tensors)
        let bytes = plain.tensors.reduce(0) { $0 + $1.count * 2 }
        #expect(sharded.warnings == ["model.safetensors.index.json: total_size is 1, but the tensors have \(bytes) bytes"])
        for tensor in plain.tensors {
            #expect(try sharded.bytes(of: tensor.name, as: .bfloat16) == plain.bytes(of: tensor.name, as: .bfloat16))
        }
        // Writing one file into the same directory takes the index away.
        try CheckpointWriter(config: config, companions: [], type: .bfloat16, layout: .safetensors).write(into: path, from: sharded)
        #expect(!directory.names(in: "model").contains("model.safetensors.index.json"))
        for layout in [CheckpointWriter.Layout.safetensors, .packed] {
            let writer = CheckpointWriter(config: config, companions: [], type: .bfloat16, layout: layout, maxShardSize: 100)
            try writer.create(directory.path + "/shards", from: plain, overwrite: true)
            #expect(try Checkpoint(opening: directory.path + "/shards").warnings.isEmpty)
        }
        #expect(try Checkpoint(opening: path).tensors == plain.tensors)
    }

    @Test func badDirectoriesAreRefused() throws {
        refuse("missing", saying: "No such file")
        refuse("", saying: "no config.json")
        _ = try create("model", type: .bfloat16)
        try directory.write(Array("[]".utf8), to: "model/config.json")
        refuse("model", saying: "not a JSON object")
        try directory.write(Array("{\n\"a\":}".utf8), to: "model/config.json")
        refuse("model", saying: "config.json: line 2, column 5: expected a value")
        try directory.write(Array("{}".utf8) + [UInt8](repeating: 0x20, count: 1 << 20), to: "model/config.json")
        refuse("model", saying: "more than the 1048576 allowed")
        try directory.write(Array("{}".utf8), to: "model/config.json")
        try directory.write(Array("version https://git-lfs".utf8), to: "model/model.safetensors")
        refuse("model", saying: "git lfs pull")
        try FileManager.default.removeItem(atPath: directory.path + "/model/model.safetensors")
        refuse("model", saying: "neither model.safetensors nor")
    }

    @Test func linksThatLeaveTheDirectoryAreRefused() throws {
        _ = try create("model", type: .bfloat16)
        try directory.write(Array("secret".utf8), to: "secret")
        unlink(directory.path + "/model/tokenizer.json")
        try FileManager.default.createSymbolicLink(atPath: directory.path + "/model/tokenizer.json", withDestinationPath: "../secret")
        refuse("model", saying: "leaves the directory")
    }

    @Test func typesThatAreNoWeightsCanBeListedButNotRead() throws {
        _ = try create("model", type: .bfloat16)
        let writer = try SafeTensorsWriter(
            creating: directory.path + "/model/model.safetensors", tensors: [.init(name: "ids", type: .i64, shape: [1])])
        try writer.append([UInt8](repeating: 0, count: 8))
        try writer.finish()
        let checkpoint = try Checkpoint(opening: directory.path + "/model")
        #expect(checkpoint.tensors == [TensorInfo(name: "ids", shape: [1], storage: "I64", type: nil, storedType: .i64)])
        let error = #expect(throws: CheckpointError.self) { try checkpoint.bytes(of: "ids", as: .float32) }
        #expect(error?.message.contains("stored as I64") == true)
    }
}
