public import JSON
internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A LoRA adapter as PEFT saves it: adapter_config.json and adapter_model.safetensors. What it adds to a weight is scale B A.
public struct LoRAAdapter {
    /// What is added to one weight.
    public struct Update {
        /// `rank` rows of as many columns as the weight has, in FP32.
        public let a: [Float]
        /// As many rows as the weight has, of `rank` columns, in FP32.
        public let b: [Float]
        /// Rows of A and columns of B.
        public let rank: Int
        /// What B A is multiplied by.
        public let scale: Float
    }

    /// The directory, as the caller named it.
    public let path: String
    /// adapter_config.json.
    public let configuration: JSONValue
    /// By the name of the weight, `model.layers.0.self_attn.q_proj.weight`.
    public private(set) var updates: [String: Update] = [:]
    /// Tensors that were trained whole and take the place of the model's, by their names in the model.
    public private(set) var replacements: [String: TensorInfo] = [:]
    /// The names of `replacements` in the adapter.
    private var originals: [String: String] = [:]
    private let file: Checkpoint

    private static let prefix = "base_model.model."
    /// Settings that change what the adapter computes and are not done here, with the values that leave them off.
    private static let unsupported: [(key: String, off: [JSONValue])] = [
        ("use_dora", [false]), ("use_qalora", [false]), ("lora_bias", [false]), ("layer_replication", [.null]),
        ("target_parameters", [.null, .array([])]),
        ("trainable_token_indices", [.null]), ("alora_invocation_tokens", [.null]), ("arrow_config", [.null]), ("corda_config", [.null]),
        ("velora_config", [.null]), ("kasa_config", [.null]), ("bdlora_config", [.null]), ("fan_in_fan_out", [false]), ("bias", ["none"]),
    ]

    /// Whether a path is the directory of an adapter: it has an adapter_config.json and is no model.
    public static func isAdapter(_ path: String) -> Bool {
        access("\(path)/adapter_config.json", F_OK) == 0 && access("\(path)/config.json", F_OK) != 0
    }

    /// Reads the adapter in a directory.
    /// - Throws: `CheckpointError` for a kind of adapter that is not plain LoRA, and for tensors that are missing or do not fit each other.
    public init(opening path: String) throws(CheckpointError) {
        self.path = path
        let configuration: JSONValue
        do { configuration = try JSONValue.parse(contentsOf: path + "/adapter_config.json", limits: JSONLimits(bytes: 1 << 20)) } catch {
            throw CheckpointError(path: path + "/adapter_config.json", message: error.detail)
        }
        self.configuration = configuration
        func failure(_ message: String, tensor: String? = nil) -> CheckpointError { CheckpointError(path: path, tensor: tensor, message: message) }
        guard configuration["peft_type"]?.string == "LORA" else {
            throw failure("peft_type is \(configuration["peft_type"]?.serialized() ?? "missing"); only LORA adapters are merged")
        }
        let found = Self.unsupported.filter { setting in configuration[setting.key].map { !setting.off.contains($0) } ?? false }
        guard found.isEmpty else {
            throw failure(
                "adapter_config.json: \(found.map { "`\($0.key)`: \(configuration[$0.key]?.serialized() ?? "")" }.joined(separator: ", ")): this kind of LoRA is "
                    + "not merged here")
        }
        file = try Checkpoint(opening: path + "/adapter_model.safetensors")
        let ranks = try Pattern(configuration["rank_pattern"], "rank_pattern", path),
            alphas = try Pattern(configuration["alpha_pattern"], "alpha_pattern", path)
        for tensor in file.tensors {
            guard tensor.name.hasPrefix(Self.prefix) else { throw failure("expected a name that begins with \(Self.prefix)", tensor: tensor.name) }
            let name = String(tensor.name.dropFirst(Self.prefix.utf8.count))
            if name.hasSuffix(".lora_B.weight") {
                let a = tensor.name.replacingLast("lora_B", by: "lora_A")
                guard file.tensor(named: a) != nil else { throw failure("there is no \(a) that goes with it", tensor: tensor.name) }
                continue
            }
            guard name.hasSuffix(".lora_A.weight") else {
                guard !name.contains(".lora_") else { throw failure("this part of an adapter is not merged here", tensor: tensor.name) }
                let plain = name.replacingLast("modules_to_save.", by: "")
                replacements[plain] = tensor
                originals[plain] = tensor.name
                continue
            }
            let module = String(name.dropLast(".lora_A.weight".utf8.count))
            let bName = tensor.name.replacingLast("lora_A", by: "lora_B")
            guard let b = file.tensor(named: bName) else { throw failure("there is no \(bName) that goes with it", tensor: tensor.name) }
            let rank = ranks.value(of: module) ?? configuration["r"]?.double ?? 0
            guard tensor.shape.count == 2, b.shape.count == 2, tensor.shape[0] > 0, Double(tensor.shape[0]) == rank, b.shape[1] == tensor.shape[0]
            else {
                throw failure(
                    "lora_A \(tensor.shape) and lora_B \(b.shape) are not of rank \(Int(exactly: rank).map(String.init) ?? "\(rank)") (adapter_config.json)",
                    tensor: tensor.name)
            }
            let alpha = alphas.value(of: module) ?? configuration["lora_alpha"]?.double ?? 0
            let scale = alpha / (configuration["use_rslora"]?.bool == true ? rank.squareRoot() : rank)
            guard scale.isFinite, alpha > 0 else { throw failure("lora_alpha is \(alpha), expected a positive number", tensor: tensor.name) }
            updates[module + ".weight"] = Update(
                a: try Self.numbers(tensor, file), b: try Self.numbers(b, file), rank: tensor.shape[0], scale: Float(scale))
        }
        guard !updates.isEmpty || !replacements.isEmpty else { throw failure("the adapter is empty") }
    }

    /// The path of the model that the adapter is for, as adapter_config.json names it.
    /// - Throws: `CheckpointError` when it names none, or nothing has that name here.
    public var basePath: String {
        get throws(CheckpointError) {
            guard let base = configuration["base_model_name_or_path"]?.string, access(base, F_OK) == 0 else {
                throw CheckpointError(
                    path: path,
                    message:
                        "base_model_name_or_path in adapter_config.json is \(configuration["base_model_name_or_path"]?.serialized() ?? "missing"), expected "
                        + "the path of the model that the adapter is for: correct it")
            }
            return base
        }
    }

    /// The settings that all its layers share.
    public var settings: LoRASettings {
        var settings = LoRASettings()
        settings.rank = configuration["r"]?.int ?? settings.rank
        settings.alpha = configuration["lora_alpha"]?.double ?? settings.alpha
        settings.dropout = configuration["lora_dropout"]?.double ?? 0
        settings.isRankStabilized = configuration["use_rslora"]?.bool ?? false
        let targets = configuration["target_modules"]
        settings.targets = targets?.string.map { [$0] } ?? targets?.array?.compactMap(\.string).sorted { TensorInfo.precedes($0, $1) } ?? []
        return settings
    }

    /// Rows of a replacement.
    func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try file.read(originals[name] ?? name, rows: rows, as: type, into: buffer)
    }

    private static func numbers(_ tensor: TensorInfo, _ file: Checkpoint) throws(CheckpointError) -> [Float] {
        var numbers = [Float](repeating: 0, count: tensor.count)
        let result = numbers.withUnsafeMutableBytes { buffer in
            Result { () throws(CheckpointError) in try file.read(tensor.name, rows: 0..<tensor.rowCount, as: .float32, into: buffer) }
        }
        try result.get()
        guard numbers.allSatisfy(\.isFinite) else { throw CheckpointError(path: file.path, tensor: tensor.name, message: "holds NaN or infinity") }
        return numbers
    }

    /// `rank_pattern` or `alpha_pattern`: names of modules, or their ends, with a number each.
    private struct Pattern {
        private let entries: [(name: String, isWhole: Bool, value: Double)]

        init(_ value: JSONValue?, _ key: String, _ path: String) throws(CheckpointError) {
            var entries: [(name: String, isWhole: Bool, value: Double)] = []
            for (name, value) in value?.object?.members ?? [] {
                let plain = name.hasPrefix("^") ? String(name.dropFirst()) : name
                guard let number = value.double, number > 0, !plain.unicodeScalars.contains(where: { "\\[](){}*+?|^$".unicodeScalars.contains($0) })
                else {
                    throw CheckpointError(
                        path: path,
                        message: "adapter_config.json: \(key): \"\(name)\" is not the name of a module, or the end of one, with a positive number")
                }
                entries.append((plain, name.hasPrefix("^"), number))
            }
            self.entries = entries
        }

        /// PEFT takes the first entry that the end of a module's name matches.
        func value(of module: String) -> Double? {
            entries.first { module == $0.name || !$0.isWhole && module.hasSuffix("." + $0.name) }?.value
        }
    }
}

extension String {
    /// This string with the last occurrence of a part of it replaced.
    fileprivate func replacingLast(_ part: String, by other: String) -> String {
        guard let range = ranges(of: part).last else { return self }
        return replacingCharacters(in: range, with: other)
    }

    private func replacingCharacters(in range: Range<Index>, with other: String) -> String {
        self[..<range.lowerBound] + other + self[range.upperBound...]
    }
}
