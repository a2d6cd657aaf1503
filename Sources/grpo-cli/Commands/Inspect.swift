import ArgumentParser
import Checkpoints
import GRPO
import JSON
import Qwen2

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show what is in a checkpoint.")

    @Argument(help: "A checkpoint directory, a .gguf file or a packed export.")
    var path: String

    @Flag(help: "A JSON object: format, config, and every tensor with shape and storage.")
    var json = false

    func run() throws {
        let checkpoint = try Checkpoint(opening: path)
        if json {
            let tensors = checkpoint.tensors.map { tensor in
                JSONValue.object(
                    JSONObject([
                        ("name", .string(tensor.name)), ("shape", .array(tensor.shape.map { .integer(Int64($0)) })),
                        ("storage", .string(tensor.storage)),
                    ]))
            }
            try printJSON([
                ("path", .string(path)), ("format", .string("\(checkpoint.format.rawValue)")), ("config", checkpoint.config),
                ("files", .array(checkpoint.companionNames.map { .string($0) })), ("tensors", .array(tensors)),
            ])
            return
        }
        let count = checkpoint.tensors.reduce(0) { $0 + $1.count }
        try StandardOutput.line("\(path): \(checkpoint.format.rawValue), \(checkpoint.tensors.count) tensors, \(count) weights")
        switch Result(catching: { try Qwen2Configuration(checkpoint.config, path: path) }) {
        case .success(let shape):
            try StandardOutput.line(
                "qwen2: \(shape.layerCount) layers, hidden \(shape.hiddenSize), intermediate \(shape.intermediateSize), \(shape.headCount) heads "
                    + "(\(shape.keyValueHeadCount) key/value) of \(shape.headSize), vocabulary \(shape.vocabularySize), context \(shape.contextLength), "
                    + (shape.tiesEmbeddings ? "tied embeddings" : "separate head"))
        case .failure(let error):
            try StandardOutput.line("not a model this program runs: \(error)")
        }
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
        for tensor in checkpoint.tensors {
            try StandardOutput.line("  \(tensor.name)  \(tensor.shape.map(String.init).joined(separator: " x "))  \(tensor.storage)")
        }
    }
}
