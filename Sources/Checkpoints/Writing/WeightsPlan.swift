internal import JSON
internal import SafeTensors

/// Which tensors of a source become which tensors of which file.
struct WeightsPlan {
    /// One tensor of a file, and what it is made from.
    struct Item {
        let source: TensorInfo
        let target: SafeTensorsWriter.Tensor
        let storing: Storing
        /// Bytes of the source that are read for it, in the type that it is stored in.
        let sourceBytes: Int
    }

    /// How a tensor of the source becomes a tensor of a file.
    enum Storing {
        case plain(SafeTensorsType)
        case packed(SafeTensorsType)
        case delta(SafeTensorsType, base: Checkpoint)
        case integers(IntegerQuantization.Part, bits: Int, group: Int, importance: [Float]?)
    }

    /// One file.
    struct Shard {
        var name: String
        var items: [Item] = []
        var metadata: [(key: String, value: String)] = []
    }

    private(set) var shards: [Shard]
    /// model.safetensors.index.json, if there are several files.
    private(set) var index: [UInt8]?
    /// config.json, if there is one.
    let config: [UInt8]?
    let sourceBytes: Int
    private let notes: [String]

    /// Decides on every tensor. `directory` is where the export will be.
    init(_ writer: CheckpointWriter, tensors: [TensorInfo], directory: String) throws(CheckpointError) {
        var config = writer.config.object ?? JSONObject()
        if config["quantization_config"].map({ !$0.isNull }) == true, writer.needsNumbers(of: tensors) {
            throw CheckpointError(
                path: directory,
                message:
                    "the weights are quantised in a way that is not read here (`quantization_config` in config.json); use the checkpoint they were made from"
            )
        }
        // Where some tensors have to be decoded, all numbers get the one type that a model would have.
        let type = writer.type ?? (tensors.contains { $0.storedType == nil } ? .bfloat16 : nil)
        var groups: [[Item]] = []
        switch writer.layout {
        case .safetensors:
            for info in tensors { groups.append([try Self.plain(info, type, directory)]) }
            notes = []
        case .packed:
            for info in tensors { groups.append([try Self.packed(info, type, directory)]) }
            notes = []
        case .delta(let base):
            guard base.format != .delta else {
                throw CheckpointError(
                    path: base.path, message: "the base is a delta itself; restore it first: grpo-cli convert DELTA OUT --to safetensors")
            }
            for info in tensors { groups.append([try Self.delta(info, type, base, directory)]) }
            let other = groups.joined().filter { if case .delta = $0.storing { false } else { true } }.map(\.source.name)
            notes =
                other.isEmpty
                ? []
                : [
                    "\(other.count) tensors are not in the base, or in another shape or type, and are stored whole: \(other.prefix(3).joined(separator: ", "))\(other.count > 3 ? ", ..." : "")"
                ]
        case .integers(let quantization):
            guard writer.config.object?.members.isEmpty == false else {
                throw CheckpointError(
                    path: directory, message: "the source has no config.json, without which nothing can tell what its integers mean")
            }
            let scheme = try IntegerQuantization.Scheme(quantization, for: tensors, path: directory)
            for info in tensors {
                if scheme.quantizes(info) {
                    groups.append(try scheme.items(info))
                } else {
                    groups.append([try Self.plain(info, writer.type ?? .bfloat16, directory)])
                }
            }
            config["quantization_config"] = scheme.configuration
            notes = scheme.notes
        }
        shards = Self.shards(groups, limit: writer.maxShardSize)
        sourceBytes = shards.reduce(0) { $0 + $1.items.reduce(0) { $0 + $1.sourceBytes } }
        if let type = Self.commonType(groups) {
            config["torch_dtype"] = .string(type.rawValue)
            config["dtype"] = .string(type.rawValue)
        }
        let hasConfig = writer.config.object?.members.isEmpty == false
        self.config = hasConfig ? Array(JSONValue.object(config).serialized(pretty: true).utf8) + [UInt8(ascii: "\n")] : nil
        try addMetadata(writer.layout, directory)
        index = shards.count > 1 ? Self.index(shards) : nil
    }

    /// The plan for people.
    func summary(of writer: CheckpointWriter) throws(CheckpointError) -> ExportPlan {
        var files: [ExportPlan.File] = []
        var isBound = false
        for shard in shards {
            let size = try CheckpointError.wrapping { () throws(SafeTensorsError) in
                try SafeTensorsWriter.fileSize(of: shard.items.map(\.target), metadata: shard.metadata, path: shard.name)
            }
            let tensors = shard.items.map { item in
                var storage = item.target.type.rawValue
                switch item.storing {
                case .plain, .integers: break
                case .packed(let type): (storage, isBound) = ("packed \(type.rawValue)", true)
                case .delta(let type, _): (storage, isBound) = ("delta \(type.rawValue)", true)
                }
                let isBlob = storage != item.target.type.rawValue
                return ExportPlan.Tensor(
                    name: item.target.name, shape: isBlob ? item.source.shape : item.target.shape, storage: storage, byteCount: item.target.byteCount)
            }
            files.append(ExportPlan.File(name: shard.name, byteCount: size, tensors: tensors))
        }
        let other = writer.companions.reduce((config?.count ?? 0) + (index?.count ?? 0)) { $0 + $1.bytes.count }
        return ExportPlan(files: files, otherBytes: other, isBound: isBound, notes: notes)
    }

    // MARK: One tensor

    private static func plain(_ info: TensorInfo, _ type: ElementType?, _ path: String) throws(CheckpointError) -> Item {
        let stored = try storedType(of: info, type, path)
        return Item(
            source: info, target: .init(name: info.name, type: stored, shape: info.shape), storing: .plain(stored),
            sourceBytes: info.count * stored.bitCount / 8)
    }

    private static func packed(_ info: TensorInfo, _ type: ElementType?, _ path: String) throws(CheckpointError) -> Item {
        let stored = try storedType(of: info, type, path)
        guard BlobEntries.holds(stored) else { return try plain(info, type, path) }
        return Item(
            source: info, target: .init(blob: info.name, atMost: PackedEncoder.bound(info.count, stored)), storing: .packed(stored),
            sourceBytes: info.count * stored.bitCount / 8)
    }

    private static func delta(_ info: TensorInfo, _ type: ElementType?, _ base: Checkpoint, _ path: String) throws(CheckpointError) -> Item {
        let stored = try storedType(of: info, type, path)
        guard BlobEntries.holds(stored), let original = base.tensor(named: info.name), original.shape == info.shape, original.storedType == stored
        else { return try packed(info, type, path) }
        return Item(
            source: info, target: .init(blob: info.name, atMost: DeltaEncoder.bound(info.count, stored)), storing: .delta(stored, base: base),
            sourceBytes: info.count * stored.bitCount / 8)
    }

    /// The type a tensor is stored in: `type` for numbers; its own, or BF16 for blocks, if that is nil.
    private static func storedType(of info: TensorInfo, _ type: ElementType?, _ path: String) throws(CheckpointError) -> SafeTensorsType {
        if let type, info.isNumeric, let stored = SafeTensorsType(rawValue: type.safeTensorsName) { return stored }
        guard let stored = info.storedType else { return .bf16 }
        guard info.storedRowBytes != nil else {
            throw CheckpointError(path: path, tensor: info.name, message: "its rows of \(info.rowLength) \(stored.rawValue) end within a byte")
        }
        return stored
    }

    /// The one type of all numbers; nil when there are several or none.
    private static func commonType(_ groups: [[Item]]) -> ElementType? {
        var found: ElementType?
        for item in groups.joined() where item.source.isNumeric {
            let stored: SafeTensorsType
            switch item.storing {
            case .plain(let type), .packed(let type), .delta(let type, _): stored = type
            case .integers: continue
            }
            guard let type = ElementType(safeTensorsName: stored.rawValue), found == nil || found == type else { return nil }
            found = type
        }
        return found
    }

    // MARK: Files

    /// Tensors in the order of their names fill one file after the other, as transformers does; those made from one source stay together.
    private static func shards(_ groups: [[Item]], limit: Int) -> [Shard] {
        var shards = [Shard(name: "model.safetensors")]
        var size = 0
        for group in groups {
            let bytes = group.reduce(0) { $0 + ($1.target.isBlob ? $1.sourceBytes : $1.target.byteCount) }
            if size > 0, size + bytes > limit {
                shards.append(Shard(name: ""))
                size = 0
            }
            shards[shards.count - 1].items += group
            size += bytes
        }
        if shards.count > 1 {
            func number(_ value: Int) -> String { String(repeating: "0", count: max(0, 5 - "\(value)".utf8.count)) + "\(value)" }
            for place in shards.indices { shards[place].name = "model-\(number(place + 1))-of-\(number(shards.count)).safetensors" }
        }
        return shards
    }

    private static func index(_ shards: [Shard]) -> [UInt8] {
        let places = shards.flatMap { shard in shard.items.map { (key: $0.target.name, value: JSONValue.string(shard.name)) } }
        let items = shards.flatMap(\.items)
        let index: JSONValue = [
            "metadata": [
                "total_parameters": .integer(Int64(items.reduce(0) { $0 + ($1.target.isBlob ? $1.source.count : $1.target.shape.reduce(1, *)) })),
                "total_size": .integer(Int64(items.reduce(0) { $0 + ($1.target.isBlob ? $1.sourceBytes : $1.target.byteCount) })),
            ],
            "weight_map": .object(JSONObject(places.sorted { TensorInfo.precedes($0.key, $1.key) })),
        ]
        return Array(index.serialized(pretty: true).utf8) + [UInt8(ascii: "\n")]
    }

    /// The lists of blobs.
    private mutating func addMetadata(_ layout: CheckpointWriter.Layout, _ directory: String) throws(CheckpointError) {
        var fingerprint: UInt64?
        for place in shards.indices {
            var packed: [BlobEntries.Entry] = []
            var delta: [BlobEntries.Entry] = []
            for item in shards[place].items {
                switch item.storing {
                case .packed(let type): packed.append(.init(name: item.source.name, type: type, shape: item.source.shape))
                case .delta(let type, _): delta.append(.init(name: item.source.name, type: type, shape: item.source.shape))
                case .plain, .integers: break
                }
            }
            if !packed.isEmpty { shards[place].metadata.append(PackedLayout(BlobEntries(packed)).metadata) }
            if case .packed = layout, packed.isEmpty { shards[place].metadata.append(PackedLayout(BlobEntries([])).metadata) }
            if case .delta(let base) = layout {
                if fingerprint == nil { fingerprint = try base.fingerprint() }
                let path = RelativePath.path(from: directory, to: base.path)
                shards[place].metadata.append(DeltaLayout.metadata(BlobEntries(delta), basePath: path, fingerprint: fingerprint ?? 0))
            }
        }
    }
}

extension CheckpointWriter {
    /// Whether any tensor is to be read as numbers rather than copied.
    fileprivate func needsNumbers(of tensors: [TensorInfo]) -> Bool {
        if case .integers = layout { return true }
        return type.map { type in tensors.contains { $0.type != type } } ?? false
    }
}
