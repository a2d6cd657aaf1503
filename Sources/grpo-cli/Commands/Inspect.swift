import ArgumentParser
import Checkpoints
import Foundation
import GRPO
import JSON
import Qwen2
import SafeTensors

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what is in a checkpoint, of any model.")

    @Argument(help: "A checkpoint directory, a LoRA adapter's, a .gguf or .safetensors file, or an export of ours.")
    var path: String

    @Flag(help: "Read every number: range, mean, standard deviation, NaN, zero rows, bits of information in an exponent.")
    var stats = false

    @Flag(help: "A JSON object: format, config, and every tensor with shape and storage.")
    var json = false

    func run() throws {
        let checkpoint = try Checkpoint(lookingAt: path)
        for warning in checkpoint.warnings { Terminal.write("warning: \(path): \(warning)\n") }
        let statistics = stats ? try Self.statistics(checkpoint) : [:]
        if json { try printJSON(members(checkpoint, statistics)) } else { try text(checkpoint, statistics) }
    }

    private static func statistics(_ checkpoint: Checkpoint) throws -> [String: TensorStatistics] {
        var terminal = Terminal()
        let started = ContinuousClock.now
        let total = checkpoint.tensors.reduce(0) { $0 + $1.count }
        var found: [String: TensorStatistics] = [:]
        var done = 0
        for tensor in checkpoint.tensors {
            if tensor.isNumeric { found[tensor.name] = try checkpoint.statistics(of: tensor.name) }
            done += tensor.count
            terminal.update(Terminal.progress(done, total, since: started))
        }
        terminal.clear()
        return found
    }

    // MARK: Text

    private func text(_ checkpoint: Checkpoint, _ statistics: [String: TensorStatistics]) throws {
        let count = checkpoint.tensors.reduce(0) { $0 + $1.count }
        try StandardOutput.line("\(path): \(checkpoint.format.rawValue), \(checkpoint.tensors.count) tensors, \(count) weights")
        if checkpoint.config.object?.members.isEmpty == false { try model(checkpoint) }
        if LoRAAdapter.isAdapter(path) { try adapter() }
        var storages: [(name: String, tensors: Int, weights: Int)] = []
        for tensor in checkpoint.tensors {
            if let place = storages.firstIndex(where: { $0.name == tensor.storage }) {
                storages[place].tensors += 1
                storages[place].weights += tensor.count
            } else {
                storages.append((tensor.storage, 1, tensor.count))
            }
        }
        for storage in storages { try StandardOutput.line("  \(storage.name): \(storage.tensors) tensors, \(storage.weights) weights") }
        try StandardOutput.line("files: \(checkpoint.companionNames.isEmpty ? "none" : checkpoint.companionNames.joined(separator: ", "))")
        let tree = TensorTree.lines(checkpoint.tensors) { tensor in
            ["\(tensor.shape.map(String.init).joined(separator: " x "))  \(tensor.storage)"] + (statistics[tensor.name].map { [line($0)] } ?? [])
        }
        for line in tree { try StandardOutput.line("  \(line)") }
        if stats { try StandardOutput.line(summary(checkpoint, statistics)) }
    }

    private func model(_ checkpoint: Checkpoint) throws {
        switch Result(catching: { try Qwen2Configuration(checkpoint.config, path: path) }) {
        case .success(let shape):
            try StandardOutput.line(
                "\(shape.family.modelType): \(shape.layerCount) layers, hidden \(shape.hiddenSize), intermediate \(shape.intermediateSize), \(shape.headCount) heads "
                    + "(\(shape.keyValueHeadCount) key/value) of \(shape.headSize), vocabulary \(shape.vocabularySize), context \(shape.contextLength), "
                    + (shape.tiesEmbeddings ? "tied embeddings" : "separate head"))
        case .failure(let error):
            try StandardOutput.line("not a model this program runs: \(error)")
        }
    }

    private func adapter() throws {
        let adapter = try LoRAAdapter(opening: path), settings = adapter.settings
        try StandardOutput.line(
            "LoRA adapter of \(try adapter.basePath): rank \(settings.rank), alpha \(String(format: "%g", settings.alpha))\(settings.isRankStabilized ? ", rsLoRA" : ""), on "
                + settings.targets.joined(separator: ", "))
    }

    private func line(_ found: TensorStatistics) -> String {
        let range = found.range.map { String(format: "%.6g to %.6g", $0.lowerBound, $0.upperBound) } ?? "no finite number"
        var text = String(
            format: "%@, mean %.3g, deviation %.4g, exponents %.2f bits", range, found.mean, found.deviation, found.exponentEntropy)
        for (count, what) in [(found.nans, "NaN"), (found.infinities, "infinite"), (found.zeroRows, "rows of zeros")] where count > 0 {
            text += ", \(count) \(what)"
        }
        return text
    }

    /// What all numbers together say: how small the lossless export will be.
    private func summary(_ checkpoint: Checkpoint, _ statistics: [String: TensorStatistics]) -> String {
        var plain = 0.0
        var packed = 0.0
        for tensor in checkpoint.tensors {
            let bits = Double(tensor.storedType?.bitCount ?? 16)
            plain += bits * Double(tensor.count) / 8
            guard let found = statistics[tensor.name], [16, 32].contains(bits), tensor.storedType != .i32 else {
                packed += bits * Double(tensor.count) / 8
                continue
            }
            // FP16 shares the byte of its exponent with three bits of its mantissa, which are as good as random.
            packed += (bits - 8 + min(8, found.exponentEntropy + (tensor.storedType == .f16 ? 3 : 0))) * Double(tensor.count) / 8
        }
        let nonfinite = statistics.values.reduce(0) { $0 + $1.nans + $1.infinities }
        return String(
            format: "packed it would take about %@, %.1f %% of %@; %d numbers are NaN or infinite", Terminal.bytes(Int(packed)),
            100 * packed / max(1, plain), Terminal.bytes(Int(plain)), nonfinite)
    }

    // MARK: JSON

    private func members(_ checkpoint: Checkpoint, _ statistics: [String: TensorStatistics]) -> [(key: String, value: JSONValue)] {
        let tensors = checkpoint.tensors.map { tensor in
            var object = JSONObject([
                ("name", .string(tensor.name)), ("shape", .array(tensor.shape.map { .integer(Int64($0)) })), ("storage", .string(tensor.storage)),
            ])
            if let found = statistics[tensor.name] {
                object["least"] = found.range.map { .number(Double($0.lowerBound)) } ?? .null
                object["most"] = found.range.map { .number(Double($0.upperBound)) } ?? .null
                for (key, value) in [("mean", found.mean), ("deviation", found.deviation), ("exponent_entropy", found.exponentEntropy)] {
                    object[key] = .number(value)
                }
                for (key, value) in [("nan", found.nans), ("infinite", found.infinities), ("zeros", found.zeros), ("zero_rows", found.zeroRows)] {
                    object[key] = .integer(Int64(value))
                }
            }
            return JSONValue.object(object)
        }
        return [
            ("path", .string(path)), ("format", .string("\(checkpoint.format.rawValue)")), ("config", checkpoint.config),
            ("files", .array(checkpoint.companionNames.map { .string($0) })), ("tensors", .array(tensors)),
        ]
    }
}

extension Checkpoint {
    /// Opens what can be looked at: any model's weights, and an adapter's.
    convenience init(lookingAt path: String) throws {
        try self.init(opening: LoRAAdapter.isAdapter(path) ? path + "/adapter_model.safetensors" : path, anyModel: true)
    }
}
