import Checkpoints
import Foundation
import JSON
import SafeTensors
import Testing

/// LoRA adapters as PEFT saves them. PEFT's own merge is compared in scripts/oracles/formats_parity.py.
@Suite struct AdapterTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        let model = MemoryProvider([
            ("model.layers.0.q_proj.weight", [3, 4], (0..<12).map { Float($0) }),
            ("model.layers.0.k_proj.weight", [2, 4], [Float](repeating: 1, count: 8)),
            ("model.embed_tokens.weight", [5, 4], (0..<20).map { Float($0) }),
        ])
        let config: JSONValue = ["model_type": "qwen2", "tie_word_embeddings": true, "vocab_size": 5]
        try CheckpointWriter(config: config, companions: companions, type: .float32, layout: .safetensors).create(
            directory.path + "/base", from: model)
    }

    private func adapter(_ changes: [(String, JSONValue)] = [], _ tensors: [(name: String, shape: [Int], values: [Float])]) throws -> MergedCheckpoint
    {
        try? FileManager.default.createDirectory(atPath: directory.path + "/adapter", withIntermediateDirectories: true)
        var settings = JSONObject([
            ("peft_type", "LORA"), ("r", 2), ("lora_alpha", 6), ("use_dora", false), ("bias", "none"), ("fan_in_fan_out", false), ("unheard_of", "x"),
        ])
        for (key, value) in changes { settings[key] = value }
        try directory.write(Array(JSONValue.object(settings).serialized().utf8), to: "adapter/adapter_config.json")
        let provider = MemoryProvider(tensors.map { ("base_model.model." + $0.name, $0.shape, $0.values) })
        let file = try SafeTensorsWriter(
            creating: directory.path + "/adapter/adapter_model.safetensors",
            tensors: provider.tensors.map { .init(name: $0.name, type: .f32, shape: $0.shape) })
        while let next = file.next { try file.append(try provider.bytes(of: next.name, as: .float32)) }
        try file.finish()
        return try MergedCheckpoint(try Checkpoint(opening: directory.path + "/base"), adapter: directory.path + "/adapter")
    }

    private let a: (name: String, shape: [Int], values: [Float]) = ("model.layers.0.q_proj.lora_A.weight", [2, 4], [1, 0, 0, 0, 0, 1, 0, 0])
    private let b: (name: String, shape: [Int], values: [Float]) = ("model.layers.0.q_proj.lora_B.weight", [3, 2], [1, 2, 3, 4, 5, 6])

    private func merged(_ changes: [(String, JSONValue)] = []) throws -> [Float] {
        floats(try adapter(changes, [a, b]).bytes(of: "model.layers.0.q_proj.weight", as: .float32))
    }

    @Test func theScaledProductIsAdded() throws {
        // scale = alpha / r = 3; A picks the first two columns.
        #expect(try merged() == [3, 7, 2, 3, 13, 17, 6, 7, 23, 27, 10, 11])
        #expect(try abs(merged([("use_rslora", true)])[0] - 6 / Float(2).squareRoot()) < 1e-6)
        #expect(try merged([("alpha_pattern", ["layers.0.q_proj": 2])])[0] == 1)
        #expect(try merged([("alpha_pattern", ["^layers.0.q_proj": 2, "k_proj": 2])])[0] == 3)
        #expect(try merged([("r", 8), ("rank_pattern", ["q_proj": 2])])[0] == 3)
        let rest = try adapter([], [a, b]).bytes(of: "model.layers.0.k_proj.weight", as: .float32)
        #expect(floats(rest) == [Float](repeating: 1, count: 8))
        // Rounded once, and row by row the same.
        let checkpoint = try adapter([], [a, b])
        #expect(try floats(checkpoint.bytes(of: "model.layers.0.q_proj.weight", as: .float32, rows: 1..<2)) == [13, 17, 6, 7])
    }

    @Test func aTrainedHeadUntiesTheModel() throws {
        let checkpoint = try adapter([("modules_to_save", ["lm_head"])], [a, b, ("lm_head.weight", [5, 4], [Float](repeating: 9, count: 20))])
        #expect(checkpoint.config["tie_word_embeddings"]?.bool == false)
        #expect(checkpoint.tensors.map(\.name).contains("lm_head.weight"))
        #expect(try floats(checkpoint.bytes(of: "lm_head.weight", as: .float32)) == [Float](repeating: 9, count: 20))
        let resized = try adapter([], [("model.embed_tokens.weight", [7, 4], [Float](repeating: 2, count: 28))])
        #expect(resized.config["vocab_size"]?.int == 7 && resized.config["tie_word_embeddings"]?.bool == true)
    }

    @Test(
        arguments: [
            ("peft_type", "IA3", "only LORA"), ("use_dora", true, "`use_dora`: true"), ("fan_in_fan_out", true, "fan_in_fan_out"),
            ("bias", "all", "`bias`"),
            ("r", 3, "not of rank 3"), ("r", 0, "not of rank 0"), ("lora_alpha", 0, "lora_alpha is 0"),
            ("layer_replication", [[0, 1]], "layer_replication"),
            ("rank_pattern", ["q_proj|k_proj": 2], "rank_pattern"), ("target_parameters", ["x"], "target_parameters"),
        ] as [(String, JSONValue, String)]) func whatIsNotPlainLoRAIsRefused(_ key: String, _ value: JSONValue, _ words: String) throws
    {
        let error = #expect(throws: CheckpointError.self) { try adapter([(key, value)], [a, b]) }
        #expect(error?.description.contains(words) == true, "\(error as Any)")
    }

    @Test func tensorsThatDoNotFitAreRefused() throws {
        func refusal(_ tensors: [(name: String, shape: [Int], values: [Float])]) -> String {
            do {
                _ = try adapter([], tensors)
                return "accepted"
            } catch { return "\(error)" }
        }
        #expect(refusal([a]).contains("lora_B.weight that goes with it"))
        #expect(refusal([b]).contains("lora_A.weight that goes with it"))
        #expect(refusal([]).contains("empty"))
        #expect(refusal([(a.name, [0, 4], []), (b.name, [3, 0], [])]).contains("not of rank"))
        #expect(refusal([(a.name, [2, 3], [1, 0, 0, 0, 0, 1]), b]).contains("for a weight of [3, 3]"))
        #expect(refusal([("model.x.lora_A.weight", [2, 4], a.values), ("model.x.lora_B.weight", [3, 2], b.values)]).contains("for another one"))
        #expect(refusal([a, b, ("model.layers.0.q_proj.lora_magnitude_vector", [3], [1, 1, 1])]).contains("not merged here"))
        #expect(refusal([(a.name, [2, 4], [.nan, 0, 0, 0, 0, 1, 0, 0]), b]).contains("NaN"))
    }
}
