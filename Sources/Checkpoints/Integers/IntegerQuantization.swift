internal import JSON
internal import SafeTensors

/// Weights of linear layers as integers of 4 or 8 bits with a BF16 scale a group, in compressed-tensors' `pack-quantized` format, which transformers and
/// vLLM load as it is. Everything else (embedding, head, norms, biases) stays in the element type.
public struct IntegerQuantization: Sendable {
    /// 4 or 8.
    public let bits: Int
    /// Weights that share a scale; nil chooses: of 4 bits the largest of 128, 64 and 32 that divides every row, of 8 bits the whole row.
    public let groupSize: Int?
    /// What the scales are searched with; all columns matter alike without it.
    public let importance: ImportanceMatrix?

    /// Integers of that many bits, 4 or 8.
    public init(bits: Int, groupSize: Int? = nil, importance: ImportanceMatrix? = nil) {
        self.bits = bits
        self.groupSize = groupSize
        self.importance = importance
    }

    /// What a weight becomes: the integers, their scales, and the shape of the whole.
    enum Part: CaseIterable {
        case packed, scale, shape

        var suffix: String {
            switch self {
            case .packed: "_packed"
            case .scale: "_scale"
            case .shape: "_shape"
            }
        }
    }
}

extension IntegerQuantization {
    /// The quantisation of one checkpoint.
    struct Scheme {
        private let bits: Int
        /// nil: one scale a row.
        private let group: Int?
        /// Linear layers that stay as they are, because their rows do not divide into groups.
        private let ignored: [String]
        private let importance: ImportanceMatrix?

        init(_ quantization: IntegerQuantization, for tensors: [TensorInfo], path: String) throws(CheckpointError) {
            let bits = quantization.bits
            guard bits == 4 || bits == 8 else { throw CheckpointError(path: path, message: "integers of \(bits) bits; 4 and 8 can be written") }
            let linear = tensors.filter { Self.isLinear($0) }
            guard !linear.isEmpty else {
                throw CheckpointError(path: path, message: "there is no weight of a linear layer (*_proj.weight) to quantise")
            }
            let packable = linear.filter { $0.rowLength * bits % 32 == 0 }
            if let group = quantization.groupSize {
                guard group > 0, group % 8 == 0, let misfit = packable.first(where: { $0.rowLength % group != 0 }) ?? packable.first else {
                    throw CheckpointError(path: path, message: "a group size of \(group); expected a multiple of 8")
                }
                guard misfit.rowLength % group == 0 else {
                    throw CheckpointError(
                        path: path, tensor: misfit.name,
                        message: "rows of \(misfit.rowLength) do not divide into groups of \(group); try --group-size 64 or 32")
                }
                self.group = group
            } else if bits == 4 {
                guard let group = [128, 64, 32].first(where: { group in packable.allSatisfy { $0.rowLength % group == 0 } }) else {
                    throw CheckpointError(path: path, message: "no group of 128, 64 or 32 divides every row; give --group-size, or use int8")
                }
                self.group = group
            } else {
                group = nil
            }
            self.bits = bits
            importance = quantization.importance
            ignored = linear.filter { info in !packable.contains { $0.name == info.name } }.map { String($0.name.dropLast(".weight".utf8.count)) }
        }

        /// The projections of attention and MLP: every matrix that all families of decoders name so.
        private static func isLinear(_ info: TensorInfo) -> Bool {
            info.shape.count == 2 && info.isNumeric && info.name.hasSuffix("_proj.weight") && info.count > 0
        }

        func quantizes(_ info: TensorInfo) -> Bool { Self.isLinear(info) && info.rowLength * bits % 32 == 0 }

        /// The tensors that a weight becomes.
        func items(_ info: TensorInfo) throws(CheckpointError) -> [WeightsPlan.Item] {
            let group = self.group ?? info.rowLength
            return Part.allCases.map { part in
                let name = info.name + part.suffix
                let target: SafeTensorsWriter.Tensor
                switch part {
                case .packed: target = .init(name: name, type: .i32, shape: [info.rowCount, info.rowLength * bits / 32])
                case .scale: target = .init(name: name, type: .bf16, shape: [info.rowCount, info.rowLength / group])
                case .shape: target = .init(name: name, type: .i64, shape: [2])
                }
                return WeightsPlan.Item(
                    source: info, target: target, storing: .integers(part, bits: bits, group: group, importance: importance?.columns(of: info)),
                    sourceBytes: part == .shape ? 0 : info.count * 2)
            }
        }

        /// `quantization_config` of config.json.
        var configuration: JSONValue {
            let weights: JSONValue = [
                "num_bits": .integer(Int64(bits)), "type": "int", "symmetric": true, "strategy": group == nil ? "channel" : "group",
                "group_size": group.map { .integer(Int64($0)) } ?? .null, "dynamic": false, "actorder": .null, "block_structure": .null,
                "observer": "minmax",
            ]
            return [
                "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
                "ignore": .array((["lm_head"] + ignored).map { .string($0) }), "kv_cache_scheme": .null,
                "config_groups": [
                    "group_0": ["targets": ["Linear"], "input_activations": .null, "output_activations": .null, "weights": weights]
                ],
            ]
        }

        var notes: [String] {
            let scales = group.map { "a scale for \($0) weights" } ?? "a scale a row"
            let kept =
                ignored.isEmpty
                ? "" : "; \(ignored.count) layers whose rows cannot be packed stay as they are: \(ignored.prefix(3).joined(separator: ", "))"
            return ["int\(bits), \(scales); the embedding stays as it is (a .gguf file quantises it as well)\(kept)"]
        }
    }
}
