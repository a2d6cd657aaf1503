import Checkpoints
import Foundation
import JSON
import SafeTensors
import Testing

@Suite struct DeltaTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try write(model(), .safetensors, to: "base")
    }

    private func path(_ name: String) -> String { directory.path + "/" + name }

    /// A matrix of several chunks, a vector, an empty tensor; `changed` of a thousand weights differ from the base.
    private func model(changed: Int = 0, head: Bool = false) -> MemoryProvider {
        var weights = normal(300_000, deviation: 0.02, seed: 4)
        for index in stride(from: 0, to: weights.count, by: changed > 0 ? 1000 / changed : weights.count) where changed > 0 { weights[index] *= 1.01 }
        return MemoryProvider(
            [("w", [1000, 300], weights), ("norm", [7], normal(7, deviation: 1, seed: 5)), ("empty", [0, 3], [])]
                + (head ? [("head", [4, 2], normal(8, deviation: 1, seed: 6))] : []))
    }

    private func write(_ provider: some TensorProvider, _ layout: CheckpointWriter.Layout, to name: String, type: ElementType? = .bfloat16) throws {
        try CheckpointWriter(config: config, companions: companions, type: type, layout: layout).create(path(name), from: provider, overwrite: true)
    }

    private func delta(_ provider: some TensorProvider, base: String = "base", to name: String = "delta", type: ElementType? = .bfloat16) throws {
        try write(provider, .delta(Checkpoint(opening: path(base))), to: name, type: type)
    }

    @Test(arguments: [ElementType.bfloat16, .float16, .float32]) func restoredBitForBit(_ type: ElementType) throws {
        try write(model(), .safetensors, to: "base", type: type)
        for changed in [0, 1, 20, 1000] {
            try write(model(changed: changed, head: true), .safetensors, to: "tuned", type: type)
            try delta(Checkpoint(opening: path("tuned")), type: nil)
            let opened = try Checkpoint(opening: path("delta"))
            #expect(opened.format == .delta && opened.tensor(named: "w")?.storage == "delta \(type.safeTensorsName)")
            #expect(opened.tensor(named: "head")?.storage == "packed \(type.safeTensorsName)")
            try write(opened, .safetensors, to: "back", type: nil)
            for name in ["model.safetensors", "config.json"] { #expect(try directory.bytes("back/\(name)") == directory.bytes("tuned/\(name)")) }
            let rows = 873..<876  // across two chunks
            #expect(
                try opened.bytes(of: "w", as: .float32, rows: rows) == Checkpoint(opening: path("tuned")).bytes(of: "w", as: .float32, rows: rows))
        }
    }

    @Test func whatDoesNotChangeTakesNothing() throws {
        try delta(model())
        #expect(try directory.bytes("delta/model.safetensors").count < 1000)
        // 2 % of the weights by one or two steps: far below a tenth.
        try delta(model(changed: 20))
        let sizes = try (directory.bytes("delta/model.safetensors").count, directory.bytes("base/model.safetensors").count)
        print("delta: \(sizes.0) of \(sizes.1) bytes")
        #expect(sizes.0 < sizes.1 / 20)
    }

    @Test func theBaseIsFoundFromWhereTheDeltaIs() throws {
        try delta(model(changed: 5))
        let file = try SafeTensorsFile(opening: path("delta/model.safetensors"))
        let metadata = try JSONValue.parse(Array(try #require(file.metadata("delta")).utf8), source: "metadata")
        #expect(metadata["base"]?["path"]?.string == "../base")
        #expect(metadata["base"]?["xxh64"]?.string == Checkpoint.hexadecimal(try Checkpoint(opening: path("base")).fingerprint()))
        // Both moved together, and the base alone moved and given.
        try FileManager.default.createDirectory(atPath: path("moved"), withIntermediateDirectories: false)
        for name in ["base", "delta"] { try FileManager.default.moveItem(atPath: path(name), toPath: path("moved/\(name)")) }
        let here = try Checkpoint(opening: path("moved/delta")).fingerprint()
        try FileManager.default.moveItem(atPath: path("moved/base"), toPath: path("elsewhere"))
        let error = #expect(throws: CheckpointError.self) { try Checkpoint(opening: path("moved/delta")) }
        #expect(error?.message.contains("its base") == true && error?.message.contains("--base BASE") == true, "\(error as Any)")
        #expect(try Checkpoint(opening: path("moved/delta"), base: Checkpoint(opening: path("elsewhere"))).fingerprint() == here)
    }

    @Test func aDeltaIsNoBase() throws {
        try delta(model(changed: 5))
        let error = #expect(throws: CheckpointError.self) { try delta(model(changed: 1), base: "delta", to: "second") }
        #expect(error?.message.contains("is a delta itself; restore it first") == true, "\(error as Any)")
    }

    @Test func anotherBaseIsRefused() throws {
        try delta(model(changed: 5))
        try write(model(changed: 1), .safetensors, to: "base")
        let opened = try Checkpoint(opening: path("delta"))
        let error = #expect(throws: CheckpointError.self) { try opened.bytes(of: "w", as: .bfloat16) }
        #expect(error?.message.contains("is not the one this was made from") == true)
        try write(MemoryProvider([("w", [300, 1000], normal(300_000, deviation: 1, seed: 1))]), .safetensors, to: "base")
        #expect(throws: CheckpointError.self) { try Checkpoint(opening: path("delta")) }
    }

    @Test func aDeltaIsNoBaseAndNotItsOwn() throws {
        try delta(model(changed: 5))
        try delta(model(changed: 5), to: "other")
        try FileManager.default.removeItem(atPath: path("base"))
        try FileManager.default.moveItem(atPath: path("other"), toPath: path("base"))
        let error = #expect(throws: CheckpointError.self) { try Checkpoint(opening: path("delta")) }
        #expect(error?.message.contains("delta itself") == true, "\(error as Any)")
    }

    @Test func aFlippedByteNeverGivesOtherWeights() throws {
        let small = MemoryProvider([("w", [10, 30], normal(300, deviation: 1, seed: 9))])
        try write(small, .safetensors, to: "base")
        try delta(MemoryProvider([("w", [10, 30], normal(300, deviation: 1, seed: 9).map { $0 * 1.004 })]))
        let valid = try directory.bytes("delta/model.safetensors")
        let weights = try Checkpoint(opening: path("delta")).bytes(of: "w", as: .bfloat16)
        for index in 0..<valid.count {
            for flip in [UInt8(0x01), 0x80] {
                var bytes = valid
                bytes[index] ^= flip
                try directory.write(bytes, to: "delta/model.safetensors")
                if let read = try? Checkpoint(opening: path("delta")).bytes(of: "w", as: .bfloat16), read.count == weights.count {
                    #expect(read == weights)
                }
            }
        }
        for count in 0..<valid.count {
            try directory.write(Array(valid.prefix(count)), to: "delta/model.safetensors")
            #expect(throws: CheckpointError.self) { try Checkpoint(opening: path("delta")).bytes(of: "w", as: .bfloat16) }
        }
    }
}
