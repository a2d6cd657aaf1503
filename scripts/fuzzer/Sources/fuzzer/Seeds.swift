import Checkpoints
import Foundation
import GGUF
import JSON
import SafeTensors

/// Good inputs to begin with, written anew each time: the library's own exports of models of a few kilobytes, and the tests' tokenizers.
enum Seeds {
    /// Where the seeds are, and what deltas are based on; in the working directory.
    static let directory = "seeds", base = "base"

    struct Failure: Error {
        let path: String
    }

    static func write(for target: Target) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        switch target {
        case .json: try documents()
        case .tokenizer: try tokenizers()
        case .safetensors: try plain()
        case .packed: for type in ElementType.allCases { try weights(of: export(.packed, type: type), "packed-\(type)") }
        case .delta: try deltas()
        case .integers: try integers()
        case .gguf: try ggufs()
        }
    }

    private static func save(_ bytes: [UInt8], _ name: String) throws {
        guard FileManager.default.createFile(atPath: "\(directory)/\(name)", contents: Data(bytes)) else { throw Failure(path: name) }
    }

    private static func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path))) }

    // MARK: JSON

    private static func documents() throws {
        let texts = [
            #"{"a": [1, -2.5e-3, true, false, null], "b": {"é\n\u00e9\ud83d\ude00": "日本\\\/\b\f"}, "c": 9223372036854775807}"#,
            #" [-0, -9223372036854775808, 1e308, 0.1, [], {}, "", [[[[]]]]] "#,
            #"{"model_type": "qwen2", "hidden_size": 896, "rope_theta": 1000000.0}"#, "\"\u{10FFFF}\u{7F}\"",
        ]
        for (index, text) in texts.enumerated() { try save(Array(text.utf8), "\(index)") }
    }

    /// Of the goldens that the script names.
    private static func tokenizers() throws {
        let goldens = ProcessInfo.processInfo.environment["GOLDENS"] ?? "Goldens"
        for name in ["qwen2-tiny", "gpt2-tiny"] { try save(bytes("\(goldens)/\(name).json"), name) }
        for name in ["families", "pipelines"] {
            let lines = try bytes("\(goldens)/\(name).golden.json").split(separator: UInt8(ascii: "\n"))
            for (index, line) in lines.enumerated() {
                guard let json = try JSONValue.parse(Array(line), source: name)["tokenizer"] else { continue }
                try save(Array(json.serialized().utf8), "\(name)-\(index)")
            }
        }
    }

    // MARK: Safetensors

    /// An export of the tests' small model; the path of its directory.
    private static func export(_ layout: CheckpointWriter.Layout, type: ElementType?, of model: MemoryProvider = smallModel()) throws -> String {
        let path = "export"
        try CheckpointWriter(config: config, companions: [], type: type, layout: layout).create(path, from: model, overwrite: true)
        return path
    }

    private static func weights(of export: String, _ name: String) throws { try save(bytes("\(export)/model.safetensors"), name) }

    /// One file of every type, and one as it is written.
    private static func plain() throws {
        try weights(of: export(.safetensors, type: .bfloat16), "bf16")
        let file = try SafeTensorsWriter(
            creating: "types", tensors: SafeTensorsType.allCases.map { .init(name: "\($0)", type: $0, shape: [2, 4]) }, metadata: [("é", "1")])
        while let next = file.next { try file.append([UInt8](repeating: 0x3C, count: next.byteCount)) }
        try file.finish()
        try save(bytes("types"), "types")
    }

    /// Weights of which every fifth moved, a tensor that did not, and one that the base has not.
    private static func deltas() throws {
        let (weights, norm) = (normal(300, deviation: 0.02, seed: 4), normal(7, deviation: 1, seed: 5))
        let original = MemoryProvider([("w", [30, 10], weights), ("norm", [7], norm)])
        try CheckpointWriter(config: config, companions: [], type: .bfloat16, layout: .safetensors).create(base, from: original, overwrite: true)
        let moved = weights.enumerated().map { $0.offset % 5 == 0 ? $0.element * 1.01 : $0.element }
        let tuned = MemoryProvider([("w", [30, 10], moved), ("norm", [7], norm), ("head", [4, 2], normal(8, deviation: 1, seed: 6))])
        try self.weights(of: export(.delta(Checkpoint(opening: base)), type: .bfloat16, of: tuned), "bf16")
    }

    // MARK: Integers

    private static func integers() throws {
        let model = MemoryProvider([
            ("embed", [3, 32], normal(96, deviation: 1, seed: 1)), ("layers.0.mlp.up_proj.weight", [8, 32], normal(256, deviation: 1, seed: 2)),
        ])
        for (bits, group) in [(4, 16), (8, nil), (8, 32)] as [(Int, Int?)] {
            let path = try export(.integers(IntegerQuantization(bits: bits, groupSize: group)), type: nil, of: model)
            try save(bytes(path + "/config.json") + [0] + bytes(path + "/model.safetensors"), "int\(bits)-\(group ?? 0)")
        }
        // 16 inputs, 8 outputs, two groups of 8, as GPTQ, AWQ and compressed-tensors with zero points lay them out.
        let scales: Part = ("a.scales", .f16, [2, 8])
        for version in ["gptq", "gptq_v2"] {
            try parts(
                [("a.qweight", .i32, [2, 8]), ("a.qzeros", .i32, [2, 1]), scales, ("a.g_idx", .i32, [16])],
                ["quant_method": "gptq", "bits": 4, "group_size": 8, "checkpoint_format": .string(version)], version)
        }
        try parts(
            [("a.qweight", .i32, [16, 1]), ("a.qzeros", .i32, [2, 1]), scales],
            ["quant_method": "awq", "bits": 4, "version": "gemm", "zero_point": true], "awq")
        try parts(
            [("a.weight_packed", .i32, [8, 2]), ("a.weight_zero_point", .i32, [1, 2]), ("a.weight_scale", .f16, [8, 2])],
            [
                "quant_method": "compressed-tensors", "format": "pack-quantized",
                "config_groups": ["group_0": ["weights": ["num_bits": 4, "symmetric": false, "group_size": 8, "strategy": "group"]]],
            ], "asymmetric")
    }

    private typealias Part = (name: String, type: SafeTensorsType, shape: [Int])

    /// Zeros in those tensors: it is their shapes that are checked.
    private static func parts(_ parts: [Part], _ settings: JSONValue, _ name: String) throws {
        let file = try SafeTensorsWriter(creating: "parts", tensors: parts.map { .init(name: $0.name, type: $0.type, shape: $0.shape) })
        while let next = file.next { try file.append([UInt8](repeating: 0, count: next.byteCount)) }
        try file.finish()
        let config: JSONValue = ["model_type": "qwen2", "quantization_config": settings]
        try save(Array(config.serialized().utf8) + [0] + bytes("parts"), name)
    }

    // MARK: GGUF

    private static func ggufs() throws {
        // A matrix of each type, one block wide.
        var file = GGUFBuilder()
        file.key("general.architecture", "qwen2")
        file.key("numbers", [Int32(1), -1])
        for type in GGMLType.allCases {
            file.tensor("\(type)", [UInt64(type.blockWeights), 1], type.rawValue, [UInt8](repeating: 0x3C, count: type.blockBytes))
        }
        try save(file.bytes, "types")
        for (family, type) in [("qwen2", "bf16"), ("qwen2", "q8_0"), ("qwen3", "q4_0"), ("llama", "iq4_nl"), ("llama", "q5_1")] {
            let model = TextModel(type: family, layers: 1, width: 32, inner: 32, vocabulary: 16)
            let checkpoint = try model.write(to: "model", companions: family == "llama" ? sentencePiece : TextModel.byteLevel)
            guard let recipe = GGUFRecipe(type) else { throw Failure(path: type) }
            try GGUFExport(checkpoint, to: "model.gguf", recipe: recipe).write(overwrite: true, progress: { _, _ in })
            try save(bytes("model.gguf"), "\(family)-\(type)")
        }
    }

    /// The files of a tokenizer of SentencePiece's kind.
    private static let sentencePiece: [(name: String, bytes: [UInt8])] = {
        let names = ["<unk>", "<s>", "</s>", "<0x0A>", "▁", "a", "b", "▁a", "ab", "▁ab"]
        let json: JSONValue = [
            "added_tokens": .array(names.prefix(3).enumerated().map { ["id": .integer(Int64($0)), "content": .string($1), "special": true] }),
            "normalizer": [
                "type": "Sequence",
                "normalizers": [["type": "Prepend", "prepend": "▁"], ["type": "Replace", "pattern": ["String": " "], "content": "▁"]],
            ],
            "decoder": [
                "type": "Sequence",
                "decoders": [
                    ["type": "Replace", "pattern": ["String": "▁"], "content": " "], ["type": "ByteFallback"], ["type": "Fuse"],
                    ["type": "Strip", "content": " ", "start": 1, "stop": 0],
                ],
            ],
            "model": [
                "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                "vocab": .object(JSONObject(names.enumerated().map { ($1, .integer(Int64($0))) })),
                "merges": [["▁", "a"], ["a", "b"], ["▁a", "b"], ["▁", "ab"]],
            ],
        ]
        let settings: JSONValue = ["bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"]
        return [("tokenizer.json", Array(json.serialized().utf8)), ("tokenizer_config.json", Array(settings.serialized().utf8))]
    }()
}
