internal import JSON
internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A directory as Hugging Face lays it out (config.json, companions, model.safetensors or the files that its index names), or one
/// safetensors file on its own.
struct HuggingFaceSource: CheckpointSource {
    let format: CheckpointFormat
    let config: JSONValue
    let tensors: [TensorInfo]
    let companionNames: [String]
    let warnings: [String]
    private let path: String
    /// What reads each of `tensors`.
    private let readers: [any TensorReader]

    private static let configLimit = 1 << 20
    private static let companionLimit = 64 << 20

    /// Whether a path is a file that this source opens on its own.
    static func accepts(file path: String) -> Bool {
        var status = stat()
        return path.hasSuffix(".safetensors") && stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
    }

    /// One safetensors file: its tensors, an empty configuration, no companions.
    init(file path: String, base: Checkpoint?, allowingDelta: Bool) throws(CheckpointError) {
        do {
            let file = try SafeTensorsFile(opening: path)
            try self.init(
                path, config: .object(JSONObject()), companionNames: [], files: [file], totalSize: nil, base: base, allowingDelta: allowingDelta)
        } catch {
            throw CheckpointError(wrapping: error, path: path)
        }
    }

    /// A directory; without config.json only if `anyModel`.
    init(directory path: String, anyModel: Bool, base: Checkpoint?, allowingDelta: Bool) throws(CheckpointError) {
        do {
            let directory = try ModelDirectory(path)
            let configPath = try directory.member("config.json")
            guard configPath != nil || anyModel else {
                throw CheckpointError(path: path, message: "there is no config.json here; expected a Hugging Face checkpoint directory")
            }
            let config = try configPath.map(Self.config) ?? .object(JSONObject())
            let names = try CheckpointFormat.companionNames.filter { try directory.member($0) != nil }
            let (files, totalSize) = try Self.files(of: directory)
            try self.init(
                path, config: config, companionNames: names, files: files, totalSize: totalSize, base: base, allowingDelta: allowingDelta)
        } catch {
            throw CheckpointError(wrapping: error, path: path)
        }
    }

    private init(
        _ path: String, config: JSONValue, companionNames: [String], files: [SafeTensorsFile], totalSize: Int?, base: Checkpoint?,
        allowingDelta: Bool
    ) throws {
        let layouts = try files.map { try TensorLayouts(of: $0, base: base, allowingDelta: allowingDelta) }
        let (tensors, config) = try QuantizedWeights.dequantized(layouts.flatMap(\.tensors), config, path: path)
        let found = tensors.sorted { TensorInfo.precedes($0.info.name, $1.info.name) }
        if let (first, _) = zip(found, found.dropFirst()).first(where: { $0.info.name.utf8.elementsEqual($1.info.name.utf8) }) {
            throw CheckpointError(path: path, tensor: first.info.name, message: "is there twice: as it is, and quantised")
        }
        self.path = path
        self.config = config
        self.companionNames = companionNames
        self.tensors = found.map(\.info)
        self.readers = found.map(\.reader)
        let format: CheckpointFormat = layouts.contains { $0.delta != nil } ? .delta : layouts.contains { $0.packed != nil } ? .packed : .huggingFace
        self.format = format
        // The index of a packed export tells the bytes of the tensors, not those of what they are packed to.
        let size = files.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + $1.byteCount } }
        warnings =
            totalSize.map { $0 != size && format == .huggingFace } == true
            ? ["model.safetensors.index.json: total_size is \(totalSize ?? 0), but the tensors have \(size) bytes"] : []
    }

    func read(_ tensor: TensorInfo, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try reader(of: tensor).read(rows.lowerBound * tensor.rowLength..<rows.upperBound * tensor.rowLength, as: type, into: buffer)
    }

    func readStored(_ tensor: TensorInfo, elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try reader(of: tensor).readStored(elements, into: buffer)
    }

    private func reader(of tensor: TensorInfo) throws(CheckpointError) -> any TensorReader {
        guard let index = tensors.index(ofTensor: tensor.name) else {
            throw CheckpointError(path: path, tensor: tensor.name, message: "there is no such tensor")
        }
        return readers[index]
    }

    func companion(_ name: String) throws(CheckpointError) -> [UInt8] {
        do {
            return try BoundedFile.read(path + "/" + name, limit: Self.companionLimit)
        } catch {
            throw CheckpointError(path: path + "/" + name, message: error.detail)
        }
    }

    private static func config(_ path: String) throws(CheckpointError) -> JSONValue {
        let config: JSONValue
        do {
            config = try JSONValue.parse(contentsOf: path, limits: JSONLimits(bytes: configLimit))
        } catch {
            throw CheckpointError(path: path, message: error.detail)
        }
        guard config.object != nil else { throw CheckpointError(path: path, message: "not a JSON object") }
        return config
    }

    /// model.safetensors, or the files of the index; both only when the index names nothing else.
    private static func files(of directory: ModelDirectory) throws -> (files: [SafeTensorsFile], totalSize: Int?) {
        let single = try directory.member("model.safetensors")
        guard let indexPath = try directory.member("model.safetensors.index.json") else {
            guard let single else { throw try missing(directory) }
            return ([try SafeTensorsFile(opening: single)], nil)
        }
        let index = try SafeTensorsIndex(opening: indexPath)
        if single != nil, index.shards != ["model.safetensors"] {
            throw CheckpointError(
                path: directory.path, message: "model.safetensors and an index that names other files are both here; remove the one that is stale")
        }
        return (try index.open(), index.totalSize)
    }

    /// What is here instead of weights, and what to do about it.
    private static func missing(_ directory: ModelDirectory) throws -> CheckpointError {
        for pickle in ["pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.bin"] where try directory.member(pickle) != nil {
            return CheckpointError(
                path: directory.path,
                message:
                    "the weights are a pickle (\(pickle)), which can run code and is not loaded; convert it to model.safetensors where you trust it: "
                    + "AutoModelForCausalLM.from_pretrained(DIRECTORY).save_pretrained(NEW_DIRECTORY)")
        }
        if try directory.member("adapter_model.safetensors") != nil {
            return CheckpointError(
                path: directory.path,
                message: "this is an adapter, not a model; merge it: grpo-cli convert BASE OUT --to safetensors --merge-adapter \(directory.path)")
        }
        return CheckpointError(path: directory.path, message: "there is neither model.safetensors nor model.safetensors.index.json here")
    }
}

extension SafeTensorsFile {
    /// Gives `body` the bytes of a tensor, after a look whether the file still has them.
    func withPresentBytes<Result>(
        of tensor: SafeTensor, _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result
    ) throws(CheckpointError) -> Result {
        do {
            try checkSize()
        } catch {
            throw CheckpointError(error)
        }
        return try withBytes(of: tensor, body)
    }
}

extension CheckpointError {
    /// The same error of a file, told of the checkpoint.
    init(_ error: SafeTensorsError) {
        self.init(path: error.path, tensor: error.tensor, message: error.message)
    }

    /// Any error that opening or writing meets.
    init(wrapping error: any Error, path: String) {
        switch error {
        case let error as CheckpointError: self = error
        case let error as SafeTensorsError: self.init(error)
        default: self.init(path: path, message: "\(error)")
        }
    }
}
