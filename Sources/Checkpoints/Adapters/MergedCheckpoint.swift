public import JSON
internal import SafeTensors

/// A checkpoint with a LoRA adapter merged into its weights: in FP32, rounded once.
public struct MergedCheckpoint: CheckpointView {
    /// The base, as the caller named it.
    public let path: String
    /// The base's, with what the adapter changes: untied embeddings, another vocabulary.
    public let config: JSONValue
    /// The base's, and those that only the adapter has.
    public let tensors: [TensorInfo]
    private let base: Checkpoint
    private let adapter: LoRAAdapter

    /// Opens the adapter in a directory. Throws when it is not for this model: a weight it changes is missing or has another shape.
    public init(_ base: Checkpoint, adapter directory: String) throws(CheckpointError) {
        let adapter = try LoRAAdapter(opening: directory)
        for (name, update) in adapter.updates {
            guard let tensor = base.tensor(named: name) else {
                throw CheckpointError(
                    path: directory, tensor: name, message: "the model \(base.path) has no such weight: the adapter is for another one")
            }
            let shape = [update.b.count / update.rank, update.a.count / update.rank]
            guard tensor.shape == shape else {
                throw CheckpointError(
                    path: directory, tensor: name, message: "the adapter is for a weight of \(shape), the model's is \(tensor.shape)")
            }
        }
        var config = base.config.object ?? JSONObject()
        var tensors = base.tensors.filter { adapter.replacements[$0.name] == nil }.map { tensor in
            // A merged weight has numbers of its own; blocks and integers cannot hold them.
            guard adapter.updates[tensor.name] != nil, tensor.type == nil else { return tensor }
            return TensorInfo(name: tensor.name, shape: tensor.shape, storage: "BF16", type: .bfloat16)
        }
        for (name, tensor) in adapter.replacements {
            let original = base.tensor(named: name)
            if let original {
                // A resized vocabulary is a whole new matrix.
                guard original.shape.dropFirst() == tensor.shape.dropFirst() else {
                    throw CheckpointError(path: directory, tensor: name, message: "has shape \(tensor.shape), the model's has \(original.shape)")
                }
            } else if name != "lm_head.weight" {
                throw CheckpointError(
                    path: directory, tensor: name, message: "the model \(base.path) has no such weight: the adapter is for another one")
            }
            let type = original?.type ?? base.tensor(named: "model.embed_tokens.weight")?.type ?? tensor.type
            tensors.append(TensorInfo(name: name, shape: tensor.shape, storage: type?.safeTensorsName ?? tensor.storage, type: type))
            if name == "model.embed_tokens.weight" { config["vocab_size"] = .integer(Int64(tensor.rowCount)) }
        }
        // A head or an embedding that was trained on its own is no longer the other one.
        if base.config["tie_word_embeddings"]?.bool == true {
            let changes = { (name: String) in adapter.replacements[name] != nil || adapter.updates[name] != nil }
            let hasHead = tensors.contains { $0.name == "lm_head.weight" }
            if changes("lm_head.weight") && hasHead { config["tie_word_embeddings"] = false }
        }
        path = base.path
        self.config = .object(config)
        self.tensors = tensors.sorted { TensorInfo.precedes($0.name, $1.name) }
        self.base = base
        self.adapter = adapter
    }

    /// The base's.
    public var companionNames: [String] { base.companionNames }

    /// The base's.
    public func companion(_ name: String) throws(CheckpointError) -> [UInt8]? { try base.companion(name) }

    /// Rows of the merged tensor in its type.
    public func readStored(_ name: String, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard adapter.updates[name] != nil || adapter.replacements[name] != nil else { return try base.readStored(name, rows: rows, into: buffer) }
        guard let type = tensors.tensor(named: name)?.type else {
            throw CheckpointError(path: path, tensor: name, message: "there is no such tensor")
        }
        try read(name, rows: rows, as: type, into: buffer)
    }

    /// Rows of the merged tensor.
    public func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        if adapter.replacements[name] != nil { return try adapter.read(name, rows: rows, as: type, into: buffer) }
        guard let update = adapter.updates[name], let tensor = tensors.tensor(named: name) else {
            return try base.read(name, rows: rows, as: type, into: buffer)
        }
        let width = tensor.rowLength
        let sums = UnsafeMutableBufferPointer<Float>.allocate(capacity: rows.count * width)
        defer { sums.deallocate() }
        try base.read(name, rows: rows, as: .float32, into: UnsafeMutableRawBufferPointer(sums))
        guard let out = sums.baseAddress else { return }
        update.a.withUnsafeBufferPointer { a in
            guard let a = a.baseAddress else { return }
            for row in rows {
                let target = out + (row - rows.lowerBound) * width
                for k in 0..<update.rank {
                    let factor = update.scale * update.b[row * update.rank + k]
                    let source = a + k * width
                    for column in 0..<width { target[column] += factor * source[column] }
                }
            }
        }
        try ElementConversion.convert(
            UnsafeRawBufferPointer(UnsafeMutableRawBufferPointer(sums)), from: .f32, to: type, into: buffer, of: name, path: path)
    }
}
