import Checkpoints
import Foundation
import JSON
import SafeTensors
import Testing

/// Weights stored as integers: compressed-tensors both ways, GPTQ and AWQ read. The packers of these tests are written from the formats' definitions, apart from
/// the code under test; transformers loads what we write in scripts/oracles/formats_parity.py.
@Suite struct IntegerTests {
    let directory: TemporaryDirectory
    var path: String { directory.path + "/out" }

    init() throws { directory = try TemporaryDirectory() }

    private func model() -> MemoryProvider {
        MemoryProvider([
            ("model.embed_tokens.weight", [11, 64], normal(704, deviation: 0.02, seed: 1)),
            ("model.layers.0.mlp.up_proj.weight", [40, 64], normal(2560, deviation: 0.02, seed: 2)),
            ("model.layers.0.mlp.down_proj.weight", [64, 128], normal(8192, deviation: 0.02, seed: 3)),
            ("model.layers.0.self_attn.q_proj.bias", [64], normal(64, deviation: 1, seed: 4)),
        ])
    }

    private func writer(_ bits: Int, _ group: Int? = nil) -> CheckpointWriter {
        CheckpointWriter(config: config, companions: companions, type: nil, layout: .integers(IntegerQuantization(bits: bits, groupSize: group)))
    }

    @Test(arguments: [(4, nil, 64, 0.13), (4, 32, 32, 0.115), (8, nil, nil, 0.009), (8, 32, 32, 0.007)] as [(Int, Int?, Int?, Double)])
    func writtenAndReadBack(_ bits: Int, _ asked: Int?, _ group: Int?, _ most: Double) throws {
        try writer(bits, asked).create(path, from: model())
        let file = try SafeTensorsFile(opening: path + "/model.safetensors")
        let up = "model.layers.0.mlp.up_proj.weight"
        #expect(file.tensor(named: up + "_packed")?.shape == [40, 64 * bits / 32] && file.tensor(named: up + "_packed")?.type == .i32)
        #expect(file.tensor(named: up + "_scale")?.shape == [40, group.map { 64 / $0 } ?? 1] && file.tensor(named: up + "_scale")?.type == .bf16)
        #expect(file.tensor(named: up) == nil && file.tensor(named: "model.embed_tokens.weight")?.type == .bf16)
        let settings = try #require(try JSONValue.parse(contentsOf: path + "/config.json")["quantization_config"])
        #expect(settings["quant_method"]?.string == "compressed-tensors" && settings["format"]?.string == "pack-quantized")
        let weights = settings["config_groups"]?["group_0"]?["weights"]
        #expect(
            weights?["num_bits"]?.int == bits && weights?["group_size"]?.int == group
                && weights?["strategy"]?.string == (group == nil ? "channel" : "group"))

        let read = try Checkpoint(opening: path)
        #expect(read.config["quantization_config"] == nil && read.tensors.map(\.name) == model().tensors.map(\.name))
        let difference = try model().difference(of: up, from: read, as: .float32)
        print("int\(bits), group \(group ?? 64): relative error \(difference.relativeError)")
        #expect(difference.relativeError < most)
        #expect(try model().difference(of: "model.embed_tokens.weight", from: read, as: .bfloat16).changed == 0)
        // Row by row the same as all at once, and the definition of the format: (q - 2^(bits-1)) * scale.
        let all = try floats(read.bytes(of: up, as: .float32))
        for row in [0, 7, 39] { #expect(try floats(read.bytes(of: up, as: .float32, rows: row..<row + 1)) == Array(all[row * 64..<row * 64 + 64])) }
        let packed = bytes(file, up + "_packed"), scales = bytes(file, up + "_scale")
        for index in [0, 1, 63, 64, 1000, 2559] {
            let q = bits == 8 ? Int(packed[index]) - 128 : Int(packed[index / 2] >> (index % 2 * 4) & 15) - 8
            let scale = index / 64 * (group.map { 64 / $0 } ?? 1) + index % 64 / (group ?? 64)
            let bits = UInt32(scales[2 * scale]) | UInt32(scales[2 * scale + 1]) << 8
            #expect(all[index] == Float(q) * Float(bitPattern: bits << 16))
        }
        // What was quantised once is written as plain numbers, and again as a plan says.
        try CheckpointWriter(config: read.config, companions: [], type: .bfloat16, layout: .safetensors).create(directory.path + "/plain", from: read)
        #expect(try Checkpoint(opening: directory.path + "/plain").config["quantization_config"] == nil)
    }

    @Test func groupsThatDoNotFitAreRefused() throws {
        let error = #expect(throws: CheckpointError.self) { try writer(4, 48).create(path, from: model()) }
        #expect(error?.message.contains("do not divide into groups of 48") == true, "\(error as Any)")
        let odd = MemoryProvider([("a.q_proj.weight", [4, 24], normal(96, deviation: 1, seed: 1))])
        #expect(throws: CheckpointError.self) { try writer(4).create(path, from: odd) }
        #expect(throws: CheckpointError.self) { try writer(4).create(path, from: MemoryProvider([("a", [2], [1, 2])])) }
        let broken = MemoryProvider([("a.q_proj.weight", [1, 32], [Float](repeating: .nan, count: 32))])
        let finite = #expect(throws: CheckpointError.self) { try writer(4).create(path, from: broken) }
        #expect(finite?.message.contains("infinite, NaN") == true)
        #expect(directory.contents.isEmpty)
    }

    // MARK: GPTQ and AWQ

    private func write(_ tensors: [(name: String, type: SafeTensorsType, shape: [Int], bytes: [UInt8])], _ settings: JSONValue) throws {
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let text: JSONValue = ["model_type": "qwen2", "quantization_config": settings]
        try directory.write(Array(text.serialized().utf8), to: "out/config.json")
        let file = try SafeTensorsWriter(
            creating: path + "/model.safetensors", tensors: tensors.map { .init(name: $0.name, type: $0.type, shape: $0.shape) })
        while let next = file.next { try file.append(try #require(tensors.first { $0.name == next.name }).bytes) }
        try file.finish()
    }

    private func words(_ words: [UInt32]) -> [UInt8] { words.flatMap { word in withUnsafeBytes(of: word.littleEndian) { Array($0) } } }
    private func halves(_ numbers: [Float]) -> [UInt8] { numbers.flatMap { number in withUnsafeBytes(of: Float16(number).bitPattern) { Array($0) } } }

    /// 16 inputs, 8 outputs, two groups of 8: integers, zeros and scales that are all different.
    private let q = (0..<16).map { input in (0..<8).map { output in (input * 5 + output * 3) % 16 } }
    private let zero = (0..<2).map { group in (0..<8).map { output in (group * 7 + output) % 15 + 1 } }
    private let scale: [[Float]] = (0..<2).map { group in (0..<8).map { output in Float(group * 8 + output + 1) / 64 } }

    private func expected(_ group: (Int) -> Int) -> [Float] {
        (0..<8).flatMap { output in (0..<16).map { input in scale[group(input)][output] * Float(q[input][output] - zero[group(input)][output]) } }
    }

    @Test(arguments: [("gptq", false), ("gptq_v2", false), ("gptq", true)]) func gptqIsRead(_ version: String, _ reordered: Bool) throws {
        let less = version == "gptq" ? 1 : 0
        let group = { (input: Int) in reordered ? (input * 3) % 2 : input / 8 }
        let qweight = (0..<2).flatMap { part in
            (0..<8).map { output in (0..<8).reduce(UInt32(0)) { $0 | UInt32(q[part * 8 + $1][output]) << UInt32(4 * $1) } }
        }
        let qzeros = (0..<2).map { g in (0..<8).reduce(UInt32(0)) { $0 | UInt32(zero[g][$1] - less) << UInt32(4 * $1) } }
        try write(
            [
                ("a.qweight", .i32, [2, 8], words(qweight)), ("a.qzeros", .i32, [2, 1], words(qzeros)),
                ("a.scales", .f16, [2, 8], halves(scale.flatMap { $0 })),
                ("a.g_idx", .i32, [16], words((0..<16).map { UInt32(group($0)) })), ("b.bias", .f32, [1], words([0x3F80_0000])),
            ], ["quant_method": "gptq", "bits": 4, "group_size": 8, "checkpoint_format": .string(version)])
        let read = try Checkpoint(opening: path)
        #expect(read.tensors.map { "\($0.name) \($0.shape)" } == ["a.weight [8, 16]", "b.bias [1]"])
        #expect(try floats(read.bytes(of: "a.weight", as: .float32)) == expected(group))
        #expect(try floats(read.bytes(of: "a.weight", as: .float32, rows: 3..<5)) == Array(expected(group)[48..<80]))
    }

    @Test func awqIsRead() throws {
        let order = [0, 2, 4, 6, 1, 3, 5, 7]
        func pack(_ values: [Int]) -> UInt32 { (0..<8).reduce(UInt32(0)) { $0 | UInt32(values[order[$1]]) << UInt32(4 * $1) } }
        try write(
            [
                ("a.qweight", .i32, [16, 1], words(q.map(pack))), ("a.qzeros", .i32, [2, 1], words(zero.map(pack))),
                ("a.scales", .f16, [2, 8], halves(scale.flatMap { $0 })),
            ], ["quant_method": "awq", "bits": 4, "version": "gemm", "zero_point": true])
        let read = try Checkpoint(opening: path)
        #expect(try floats(read.bytes(of: "a.weight", as: .float32)) == expected { $0 / 8 })
    }

    /// compressed-tensors with zero points: integers packed along a row, zeros along the rows.
    @Test func asymmetricCompressedTensorsAreRead() throws {
        let packed = (0..<8).flatMap { output in
            (0..<2).map { part in (0..<8).reduce(UInt32(0)) { $0 | UInt32(q[part * 8 + $1][output]) << UInt32(4 * $1) } }
        }
        let zeros = (0..<2).map { group in (0..<8).reduce(UInt32(0)) { $0 | UInt32(zero[group][$1]) << UInt32(4 * $1) } }
        let shape = [8, 16].flatMap { number in withUnsafeBytes(of: Int64(number).littleEndian) { Array($0) } }
        func settings(_ format: String) -> JSONValue {
            [
                "quant_method": "compressed-tensors", "format": .string(format),
                "config_groups": ["group_0": ["weights": ["num_bits": 4, "symmetric": false, "group_size": 8, "strategy": "group"]]],
            ]
        }
        let tensors: [(name: String, type: SafeTensorsType, shape: [Int], bytes: [UInt8])] = [
            ("a.weight_packed", .i32, [8, 2], words(packed)), ("a.weight_zero_point", .i32, [1, 2], words(zeros)),
            ("a.weight_scale", .f16, [8, 2], halves((0..<8).flatMap { output in (0..<2).map { scale[$0][output] } })),
            ("a.weight_shape", .i64, [2], shape),
        ]
        try write(tensors, settings("pack-quantized"))
        let read = try Checkpoint(opening: path)
        #expect(read.tensors.map { "\($0.name) \($0.shape)" } == ["a.weight [8, 16]"])
        #expect(try floats(read.bytes(of: "a.weight", as: .float32)) == expected { $0 / 8 })
        #expect(try floats(read.bytes(of: "a.weight", as: .float32, rows: 3..<5)) == Array(expected { $0 / 8 }[48..<80]))
        try write(tensors.filter { $0.name != "a.weight_zero_point" }, settings("pack-quantized"))
        let error = #expect(throws: CheckpointError.self) { try Checkpoint(opening: path) }
        #expect(error?.description.contains(#"tensor "a.weight_zero_point": is missing"#) == true)
    }

    @Test func brokenPartsAreNamed() throws {
        let settings: JSONValue = ["quant_method": "gptq", "bits": 4]
        func refusal() -> String {
            do {
                _ = try Checkpoint(opening: path)
                return "accepted"
            } catch { return "\(error)" }
        }
        try write([("a.qweight", .i32, [2, 8], words([UInt32](repeating: 0, count: 16)))], settings)
        #expect(refusal().contains(#"tensor "a.scales": is missing"#))
        let scales = [UInt8](repeating: 0, count: 32)
        try write(
            [
                ("a.qweight", .i32, [2, 8], words([UInt32](repeating: 0, count: 16))), ("a.scales", .f16, [2, 8], scales),
                ("a.qzeros", .i32, [1, 1], words([0])),
            ], settings)
        #expect(refusal().contains("expected I32 [2, 1]"))
        try write(
            [
                ("a.qweight", .i32, [2, 8], words([UInt32](repeating: 0, count: 16))), ("a.scales", .f16, [2, 8], scales),
                ("a.qzeros", .i32, [2, 1], words([0, 0])),
                ("a.g_idx", .i32, [16], words([UInt32](repeating: 2, count: 16))),
            ], settings)
        #expect(refusal().contains("names a group that is none"))
        try write([("a.weight", .f32, [1], words([0]))], ["quant_method": "gptq", "bits": 3])
        #expect(refusal().contains("4 and 8 are read"))
        // A method that is not read: the tensors are there as they are, but nothing takes them for weights.
        try write([("a.weight", .u8, [1], [0])], ["quant_method": "bitsandbytes"])
        let read = try Checkpoint(opening: path)
        #expect(read.config["quantization_config"] != nil && read.tensor(named: "a.weight")?.isNumeric == false)
        #expect(throws: CheckpointError.self) {
            try CheckpointWriter(config: read.config, companions: [], type: .bfloat16, layout: .safetensors).create(directory.path + "/x", from: read)
        }
    }
}

/// Bytes as FP32 numbers.
func floats(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 4).map { at in bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: Float.self) } }
}

/// The bytes of a tensor.
func bytes(_ file: SafeTensorsFile, _ name: String) -> [UInt8] { file.tensor(named: name).map { file.withBytes(of: $0) { Array($0) } } ?? [] }
