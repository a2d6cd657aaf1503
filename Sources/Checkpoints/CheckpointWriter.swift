public import JSON
internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Writes a checkpoint as Hugging Face lays it out: companions, model.safetensors (plain or packed), config.json.
///
/// Tensors are streamed: a few MB of rows are in memory at a time. The same input gives the same bytes.
public struct CheckpointWriter {
    /// How the weights are stored.
    public enum Layout: Sendable {
        /// As they are.
        case safetensors
        /// Losslessly compressed; BF16 only.
        case packed
    }

    private let config: JSONValue
    private let companions: [(name: String, bytes: [UInt8])]
    private let type: ElementType
    private let layout: Layout

    /// Elements that are read at a time, unless one row has more.
    private static let block = 1 << 20

    /// A writer of that configuration and those companions; every tensor is written as `type`.
    ///
    /// config.json gets `type` under `torch_dtype` and, for transformers 5, `dtype`.
    public init(config: JSONValue, companions: [(name: String, bytes: [UInt8])], type: ElementType, layout: Layout) {
        var object = config.object ?? JSONObject()
        object["torch_dtype"] = .string(type.rawValue)
        object["dtype"] = .string(type.rawValue)
        self.config = .object(object)
        self.companions = companions
        self.type = type
        self.layout = layout
    }

    /// Writes a new directory: everything into `DIRECTORY.partial`, each file synced, then one rename. A directory with its final name is whole.
    ///
    /// An existing directory is refused, unless `overwrite`, which replaces a checkpoint: a directory of plain files, config.json among them.
    /// `progress` is told the bytes of weights done and in all. On failure nothing is left.
    public func create(
        _ directory: String, from tensors: some TensorProvider, overwrite: Bool = false, progress: (Int, Int) -> Void = { _, _ in }
    ) throws(CheckpointError) {
        try checkType(directory)
        var target = directory
        while target.utf8.count > 1, target.utf8.last == UInt8(ascii: "/") { target.removeLast() }
        var status = stat()
        let exists = lstat(target, &status) == 0
        if exists {
            guard overwrite else {
                throw CheckpointError(path: directory, message: "it exists already; choose another name or allow it to be overwritten (--force)")
            }
            guard let files = CheckpointDirectory.plainFiles(of: target), files.contains("config.json") else {
                throw CheckpointError(
                    path: directory, message: "it exists and is not a directory that holds only a checkpoint; remove it yourself if you mean to")
            }
        }
        let partial = target + ".partial"
        CheckpointDirectory.remove(partial)
        guard mkdir(partial, 0o755) == 0 else { throw CheckpointError(path: directory, doing: "cannot create", errno: errno) }
        do throws(CheckpointError) {
            try write(into: partial, from: tensors, progress: progress)
            try CheckpointDirectory.rename(partial, to: target, replacing: exists)
        } catch {
            CheckpointDirectory.remove(partial)
            throw error
        }
    }

    /// Writes into an existing directory, file by file, each under a temporary name, synced, renamed.
    public func write(into directory: String, from tensors: some TensorProvider, progress: (Int, Int) -> Void = { _, _ in }) throws(CheckpointError) {
        try checkType(directory)
        for (name, bytes) in companions {
            guard CheckpointFormat.companionNames.contains(name) else {
                throw CheckpointError(path: directory, message: "\"\(name)\" is not the name of a file that goes with a checkpoint")
            }
            try Self.write(bytes, to: directory + "/" + name)
        }
        try writeWeights(to: directory + "/model.safetensors", from: tensors, progress: progress)
        // An index of a checkpoint that was here before would contradict the new file.
        unlink(directory + "/model.safetensors.index.json")
        try Self.write(Array(config.serialized(pretty: true).utf8) + [UInt8(ascii: "\n")], to: directory + "/config.json")
    }

    private func checkType(_ directory: String) throws(CheckpointError) {
        guard layout == .safetensors || type == .bfloat16 else {
            throw CheckpointError(
                path: directory,
                message: "the packed layout holds bfloat16, not \(type.rawValue); write it as safetensors or in bfloat16 (--dtype bfloat16)")
        }
    }

    private func writeWeights(to path: String, from provider: some TensorProvider, progress: (Int, Int) -> Void) throws(CheckpointError) {
        let infos = provider.tensors
        let total = infos.reduce(0) { $0 + $1.count } * type.byteCount
        let file: SafeTensorsWriter
        do {
            file = try SafeTensorsWriter(creating: path, tensors: try planned(infos, path: path), metadata: metadata(infos))
        } catch let error as SafeTensorsError {
            throw CheckpointError(error)
        } catch {
            throw CheckpointError(path: path, message: "\(error)")
        }
        let packer = layout == .packed ? try PackedWriter(into: file, path: path) : nil
        var done = 0
        progress(0, total)
        while let next = file.next {
            guard let info = infos.tensor(named: next.name) else {
                throw CheckpointError(path: path, tensor: next.name, message: "tensors are not sorted by name")
            }
            let rowBytes = info.rowLength * type.byteCount
            // An empty tensor may claim any number of empty rows.
            let rowCount = rowBytes > 0 ? info.rowCount : 0
            let step = max(1, Self.block / max(1, info.rowLength))
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(step, rowCount) * rowBytes, alignment: 64)
            defer { buffer.deallocate() }
            for start in stride(from: 0, to: rowCount, by: step) {
                let rows = start..<min(start + step, rowCount)
                let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(rows.count * rowBytes)])
                try provider.read(info.name, rows: rows, as: type, into: part)
                if let packer { try packer.append(UnsafeRawBufferPointer(part)) } else { try Self.append(UnsafeRawBufferPointer(part), to: file) }
                done += part.count
                progress(done, total)
            }
            try packer?.endBlob()
        }
        do { try file.finish() } catch { throw CheckpointError(error) }
    }

    private func planned(_ infos: [TensorInfo], path: String) throws(CheckpointError) -> [SafeTensorsWriter.Tensor] {
        guard let storedType = SafeTensorsType(rawValue: type.safeTensorsName) else {
            throw CheckpointError(path: path, message: "unknown element type")
        }
        return infos.map { info in
            switch layout {
            case .safetensors: SafeTensorsWriter.Tensor(name: info.name, type: storedType, shape: info.shape)
            case .packed: SafeTensorsWriter.Tensor(blob: info.name, atMost: PackedWriter.bound(info.count))
            }
        }
    }

    private func metadata(_ infos: [TensorInfo]) -> [(key: String, value: String)] {
        layout == .packed ? [PackedLayout(infos.map { PackedLayout.Entry(name: $0.name, shape: $0.shape) }).metadata] : []
    }

    private static func append(_ bytes: UnsafeRawBufferPointer, to file: SafeTensorsWriter) throws(CheckpointError) {
        do { try file.append(bytes) } catch { throw CheckpointError(error) }
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(CheckpointError) {
        do {
            let file = try AtomicFile(creating: path)
            try file.write(bytes)
            try file.commit()
        } catch {
            throw CheckpointError(error)
        }
    }
}
