import Checkpoints
import Foundation
import JSON
import SafeTensors
import Testing

@Suite struct PackedTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ provider: some TensorProvider, _ layout: CheckpointWriter.Layout, to name: String) throws {
        try CheckpointWriter(config: config, companions: companions, type: .bfloat16, layout: layout).create(
            directory.path + "/" + name, from: provider)
    }

    /// Plain to packed to plain: the same bytes, and every file is what it says.
    private func roundTrip(_ provider: some TensorProvider) throws -> (plain: Int, packed: Int) {
        try write(provider, .safetensors, to: "plain")
        try write(Checkpoint(opening: directory.path + "/plain"), .packed, to: "packed")
        let packed = try Checkpoint(opening: directory.path + "/packed")
        #expect(packed.format == .packed)
        #expect(packed.tensors.allSatisfy { $0.storage == "packed BF16" && $0.type == .bfloat16 })
        try write(packed, .safetensors, to: "again")
        for name in ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"] {
            #expect(try directory.bytes("again/" + name) == directory.bytes("plain/" + name), "\(name)")
        }
        return (try directory.bytes("plain/model.safetensors").count, try directory.bytes("packed/model.safetensors").count)
    }

    @Test func smallModelsRoundTrip() throws {
        _ = try roundTrip(smallModel())
    }

    @Test(.timeLimit(.minutes(1))) func emptyTensorsOfManyRowsRoundTrip() throws {
        _ = try roundTrip(MemoryProvider([("w", [1 << 50, 0], [])]))
    }

    /// As trained weights are: normal, of another deviation in each tensor; several chunks, the last one short.
    @Test func realisticWeightsTakeTwoThirds() throws {
        let provider = MemoryProvider(
            (0..<4).map { layer in
                ("layers.\(layer).weight", [700, 896], normal(700 * 896, deviation: 0.015 * Float(layer + 1), seed: UInt64(layer + 7)))
            })
        let sizes = try roundTrip(provider)
        let ratio = Double(sizes.packed) / Double(sizes.plain)
        print("packed: \(sizes.packed) of \(sizes.plain) bytes, \(ratio)")
        #expect(0.64 < ratio && ratio < 0.67)
    }

    @Test(arguments: [262_143, 262_144, 262_145, 524_288]) func sizesAroundAChunkRoundTrip(_ count: Int) throws {
        _ = try roundTrip(MemoryProvider([("w", [count], normal(count, deviation: 1, seed: 3))]))
    }

    @Test func everyBitPatternRoundTrips() throws {
        struct All: TensorProvider {
            let tensors = [TensorInfo(name: "w", shape: [256, 256], storage: "BF16", type: .bfloat16)]
            func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
                for index in 0..<rows.count * 256 {
                    buffer.storeBytes(of: UInt16(rows.lowerBound * 256 + index), toByteOffset: 2 * index, as: UInt16.self)
                }
            }
        }
        _ = try roundTrip(All())
    }

    @Test func rowsOfLaterChunksAreReadAlone() throws {
        let provider = MemoryProvider([("w", [1000, 700], normal(700_000, deviation: 1, seed: 5))])
        try write(provider, .packed, to: "packed")
        let packed = try Checkpoint(opening: directory.path + "/packed")
        for rows in [0..<1, 373..<376, 374..<375, 999..<1000, 300..<800] {
            #expect(try packed.bytes(of: "w", as: .bfloat16, rows: rows) == provider.bytes(of: "w", as: .bfloat16, rows: rows))
        }
        #expect(try packed.bytes(of: "w", as: .float32, rows: 374..<376).count == 5600)
    }

    /// Reads everything there is; nil when something refuses.
    private func contents(of name: String) -> [[UInt8]]? {
        guard let checkpoint = try? Checkpoint(opening: directory.path + "/" + name) else { return nil }
        var all: [[UInt8]] = []
        for tensor in checkpoint.tensors {
            guard let bytes = try? checkpoint.bytes(of: tensor.name, as: .bfloat16) else { return nil }
            all.append(Array(tensor.name.utf8) + bytes)
        }
        return all
    }

    @Test func aFlippedByteOfABlobNeverGivesOtherWeights() throws {
        try write(MemoryProvider([("w", [30, 20], normal(600, deviation: 1, seed: 9))]), .packed, to: "packed")
        let file = try SafeTensorsFile(opening: directory.path + "/packed/model.safetensors")
        let blob = try #require(file.tensor(named: "w")).fileRange
        let valid = try directory.bytes("packed/model.safetensors")
        let weights = try #require(contents(of: "packed"))
        var unnoticed = 0
        var wrong: [Int] = []
        for index in 0..<valid.count {
            for flip in [UInt8(0x01), 0x80, 0xFF] {
                var bytes = valid
                bytes[index] ^= flip
                try directory.write(bytes, to: "packed/model.safetensors")
                let read = contents(of: "packed")
                if blob.contains(index), let read {
                    unnoticed += 1
                    if read != weights { wrong.append(index) }
                }
            }
        }
        #expect(wrong.isEmpty)
        // zstd has an unused bit or two; everything else must be noticed.
        #expect(unnoticed <= 2)
    }

    @Test func everyTruncationIsNoticed() throws {
        try write(smallModel(), .packed, to: "packed")
        let valid = try directory.bytes("packed/model.safetensors")
        for count in 0..<valid.count {
            try directory.write(Array(valid.prefix(count)), to: "packed/model.safetensors")
            #expect(contents(of: "packed") == nil)
        }
    }

    // MARK: Lies

    /// A packed file of one blob of our making.
    private func forge(_ blob: [UInt8], layout: String) throws {
        try? FileManager.default.createDirectory(atPath: directory.path + "/forged", withIntermediateDirectories: true)
        try directory.write(Array("{}".utf8), to: "forged/config.json")
        let writer = try SafeTensorsWriter(
            creating: directory.path + "/forged/model.safetensors", tensors: [.init(name: "w", type: .u8, shape: [blob.count])],
            metadata: [("packed", layout)])
        try writer.append(blob)
        try writer.finish()
    }

    private func refuse(_ blob: [UInt8], layout: String, saying words: String, _ location: SourceLocation = #_sourceLocation) throws {
        try forge(blob, layout: layout)
        do {
            let checkpoint = try Checkpoint(opening: directory.path + "/forged")
            _ = try checkpoint.bytes(of: "w", as: .bfloat16)
            Issue.record("accepted", sourceLocation: location)
        } catch {
            #expect("\(error)".contains(words), "\(error)", sourceLocation: location)
        }
    }

    private func layout(shape: String) -> String { #"{"version":1,"chunk":262144,"tensors":{"w":{"dtype":"BF16","shape":\#(shape)}}}"# }

    @Test func liesOfTheMetadataAreRefused() throws {
        let blob = [UInt8](repeating: 0, count: 100)
        try refuse(blob, layout: "{", saying: "packed")
        try refuse(blob, layout: "{}", saying: "version missing")
        try refuse(blob, layout: #"{"version":2}"#, saying: "version 2, expected 1")
        try refuse(blob, layout: #"{"version":1,"chunk":1}"#, saying: "chunk 1")
        try refuse(blob, layout: #"{"version":1,"chunk":262144}"#, saying: "tensors is missing")
        try refuse(blob, layout: #"{"version":1,"chunk":262144,"tensors":{"x":{}}}"#, saying: "no such tensor")
        try refuse(blob, layout: #"{"version":1,"chunk":262144,"tensors":{"w":{"dtype":"I64","shape":[1]}}}"#, saying: "dtype")
        for shape in ["[1000]", "[-1]", "[4611686018427387904,4]", "null", "[1.5]", "[10,11]", "[1,1,1,1,1,1,1,1,1]"] {
            try refuse(blob, layout: layout(shape: shape), saying: "does not fit a blob")
        }
    }

    @Test func liesOfTheTableAreRefused() throws {
        try refuse([1, 2, 3], layout: layout(shape: "[3]"), saying: "does not fit a blob")
        // One chunk of four weights: a frame of `size` bytes, the mantissas, the table.
        func blob(frame: [UInt8], size: UInt32) -> [UInt8] {
            frame + [0, 0, 0, 0] + (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + [UInt8](repeating: 0, count: 8)
        }
        try refuse(blob(frame: [1, 2, 3], size: .max), layout: layout(shape: "[4]"), saying: "are left")
        try refuse(blob(frame: [1, 2, 3], size: 2), layout: layout(shape: "[4]"), saying: "between the last chunk and the table")
        try refuse(blob(frame: [1, 2, 3], size: 3), layout: layout(shape: "[4]"), saying: "not one zstd frame of 4 bytes")
        // A frame that says it holds 2^40 bytes, and one (a raw block) whose four bytes are sound but not what the checksum says.
        let bomb: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 1, 0, 0, 0x01, 0, 0]
        try refuse(blob(frame: bomb, size: UInt32(bomb.count)), layout: layout(shape: "[4]"), saying: "not one zstd frame of 4 bytes")
        let sound: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 4, 0x21, 0, 0, 1, 2, 3, 4]
        try refuse(blob(frame: sound, size: UInt32(sound.count)), layout: layout(shape: "[4]"), saying: "its checksum differs")
    }
}
