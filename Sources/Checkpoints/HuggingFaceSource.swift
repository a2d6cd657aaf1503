internal import JSON
internal import SafeTensors

/// A directory as Hugging Face lays it out: config.json, companions, and model.safetensors or the files that its index names.
struct HuggingFaceSource: CheckpointSource {
    let format: CheckpointFormat
    let config: JSONValue
    let tensors: [TensorInfo]
    let companionNames: [String]
    private let directory: ModelDirectory
    /// Where each of `tensors` lies.
    private let places: [Place]

    /// A tensor's bytes: as they are in a file, or packed.
    private enum Place: Sendable {
        case plain(SafeTensorsFile, SafeTensor)
        case packed(PackedReader)
    }

    private static let configLimit = 1 << 20
    private static let companionLimit = 64 << 20

    init(opening path: String) throws(CheckpointError) {
        do {
            self.directory = try ModelDirectory(path)
            guard let configPath = try directory.member("config.json") else {
                throw CheckpointError(path: path, message: "there is no config.json here; expected a Hugging Face checkpoint directory")
            }
            self.config = try Self.config(configPath)
            var names: [String] = []
            for name in CheckpointFormat.companionNames where try directory.member(name) != nil { names.append(name) }
            self.companionNames = names
            var found: [(info: TensorInfo, place: Place)] = []
            for file in try Self.files(of: directory) { found += try Self.places(in: file) }
            found.sort { TensorInfo.precedes($0.info.name, $1.info.name) }
            self.tensors = found.map(\.info)
            self.places = found.map(\.place)
            let isPacked = found.contains { if case .packed = $0.place { true } else { false } }
            self.format = isPacked ? .packed : .huggingFace
        } catch let error as SafeTensorsError {
            throw CheckpointError(error)
        } catch let error as CheckpointError {
            throw error
        } catch {
            throw CheckpointError(path: path, message: "\(error)")
        }
    }

    func read(_ tensor: TensorInfo, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let index = tensors.index(ofTensor: tensor.name) else {
            throw CheckpointError(path: directory.path, tensor: tensor.name, message: "there is no such tensor")
        }
        switch places[index] {
        case .packed(let reader):
            try reader.read(rows.lowerBound * tensor.rowLength..<rows.upperBound * tensor.rowLength, as: type, into: buffer)
        case .plain(let file, let place):
            guard let stored = tensor.type else {
                throw CheckpointError(
                    path: file.path, tensor: tensor.name,
                    message: "stored as \(tensor.storage), which cannot be read as weights here; expected F32, F16 or BF16")
            }
            let size = tensor.rowLength * stored.byteCount
            try file.withPresentBytes(of: place) { bytes throws(CheckpointError) in
                let part = UnsafeRawBufferPointer(rebasing: bytes[rows.lowerBound * size..<rows.upperBound * size])
                try ElementConversion.convert(part, from: stored, to: type, into: buffer, of: tensor.name, path: file.path)
            }
        }
    }

    func companion(_ name: String) throws(CheckpointError) -> [UInt8] {
        let path = directory.path + "/" + name
        do {
            return try BoundedFile.read(path, limit: Self.companionLimit)
        } catch {
            throw CheckpointError(path: path, message: error.detail)
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
    private static func files(of directory: ModelDirectory) throws -> [SafeTensorsFile] {
        let single = try directory.member("model.safetensors")
        guard let indexPath = try directory.member("model.safetensors.index.json") else {
            guard let single else {
                for pickle in ["pytorch_model.bin", "pytorch_model.bin.index.json"] where try directory.member(pickle) != nil {
                    throw CheckpointError(
                        path: directory.path,
                        message: "the weights are a pickle (\(pickle)), which can run code and is not loaded; convert it to model.safetensors")
                }
                throw CheckpointError(path: directory.path, message: "there is neither model.safetensors nor model.safetensors.index.json here")
            }
            return [try SafeTensorsFile(opening: single)]
        }
        let index = try SafeTensorsIndex(opening: indexPath)
        if single != nil, index.shards != ["model.safetensors"] {
            throw CheckpointError(
                path: directory.path, message: "model.safetensors and an index that names other files are both here; remove the one that is stale")
        }
        return try index.open()
    }

    private static func places(in file: SafeTensorsFile) throws -> [(info: TensorInfo, place: Place)] {
        let layout = try PackedLayout(metadataOf: file)
        return try file.tensors.map { tensor in
            guard let entry = layout?.entry(of: tensor.name) else {
                let type = ElementType(safeTensorsName: tensor.type.rawValue)
                return (TensorInfo(name: tensor.name, shape: tensor.shape, storage: tensor.type.rawValue, type: type), .plain(file, tensor))
            }
            let info = TensorInfo(name: tensor.name, shape: entry.shape, storage: "packed BF16", type: .bfloat16)
            return (info, .packed(try PackedReader(of: tensor, in: file, count: info.count)))
        }
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
}
