public import JSON
internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Writes a checkpoint as Hugging Face lays it out: companions, model.safetensors (or several files and their index), config.json.
///
/// Tensors are streamed: a few MB of rows are in memory at a time. The same input gives the same bytes.
public struct CheckpointWriter {
    /// How the weights are stored.
    public enum Layout: Sendable {
        /// As they are.
        case safetensors
        /// Losslessly compressed.
        case packed
        /// What they change in a base, without loss.
        case delta(Checkpoint)
        /// Linear layers as integers with a scale a group (compressed-tensors).
        case integers(IntegerQuantization)
    }

    let config: JSONValue
    let companions: [(name: String, bytes: [UInt8])]
    let type: ElementType?
    let layout: Layout
    let maxShardSize: Int
    let saturating: Bool

    /// A writer of that configuration and those companions.
    ///
    /// - Parameters:
    ///   - type: the type of every number; nil keeps each tensor's own, unless some are stored in blocks or as integers: then it is BF16 for all. config.json gets
    ///     it under `torch_dtype` and, for transformers 5, `dtype`.
    ///   - layout: how the weights are stored.
    ///   - maxShardSize: the most bytes of tensors in one file, unless one tensor has more; files are then named as transformers does.
    ///   - saturating: whether numbers beyond FP16's range become 65504 instead of an error.
    public init(
        config: JSONValue, companions: [(name: String, bytes: [UInt8])], type: ElementType?, layout: Layout, maxShardSize: Int = .max,
        saturating: Bool = false
    ) {
        self.companions = companions
        self.type = type
        self.layout = layout
        self.maxShardSize = maxShardSize
        self.saturating = saturating
        self.config = config
    }

    /// What `create` or `write` would write. Throws what they would find out before the first byte.
    ///
    /// For a delta this reads the whole base, whose fingerprint it records. `directory` is where the export will be.
    public func plan(for tensors: some TensorProvider, at directory: String) throws(CheckpointError) -> ExportPlan {
        try weights(of: tensors, at: directory).summary(of: self)
    }

    /// Which tensors become what in which file of the directory.
    func weights(of tensors: some TensorProvider, at directory: String) throws(CheckpointError) -> WeightsPlan {
        try WeightsPlan(self, tensors: tensors.tensors, directory: Self.withoutSlash(directory))
    }

    /// Writes a new directory: everything into `DIRECTORY.partial`, each file synced, then one rename. A directory with its final name is whole.
    ///
    /// An existing directory is refused, unless `overwrite`, which replaces a checkpoint: a directory of plain files, weights or config.json among
    /// them. `progress` is told the bytes of weights read and in all. On failure nothing is left.
    public func create(
        _ directory: String, from tensors: some TensorProvider, overwrite: Bool = false, progress: (Int, Int) -> Void = { _, _ in }
    ) throws(CheckpointError) {
        let weights = try weights(of: tensors, at: directory)
        try create(directory, weights, weights.summary(of: self), from: tensors, overwrite: overwrite, progress: progress)
    }

    /// The same of what was planned.
    func create(
        _ directory: String, _ weights: WeightsPlan, _ plan: ExportPlan, from tensors: some TensorProvider, overwrite: Bool,
        progress: (Int, Int) -> Void
    ) throws(CheckpointError) {
        let (target, exists) = try check(directory, plan, overwrite: overwrite)
        let partial = target + ".partial"
        CheckpointDirectory.remove(partial)
        guard mkdir(partial, 0o755) == 0 else { throw CheckpointError(path: directory, doing: "cannot create", errno: errno) }
        do throws(CheckpointError) {
            try write(weights, into: partial, from: tensors, progress: progress)
            try CheckpointDirectory.rename(partial, to: target, replacing: exists)
        } catch {
            CheckpointDirectory.remove(partial)
            throw error
        }
    }

    /// Throws what `create` would refuse before the first byte; where it writes, and whether something is there.
    func check(_ directory: String, _ plan: ExportPlan, overwrite: Bool) throws(CheckpointError) -> (target: String, exists: Bool) {
        let target = Self.withoutSlash(directory)
        let exists = try CheckpointDirectory.checkReplaceable(target, overwrite: overwrite)
        try plan.checkSpace(at: target)
        return (target, exists)
    }

    /// Writes into an existing directory, file by file, each under a temporary name, synced, renamed.
    public func write(into directory: String, from tensors: some TensorProvider, progress: (Int, Int) -> Void = { _, _ in }) throws(CheckpointError) {
        try write(try weights(of: tensors, at: directory), into: directory, from: tensors, progress: progress)
    }

    private func write(
        _ plan: WeightsPlan, into directory: String, from tensors: some TensorProvider, progress: (Int, Int) -> Void
    ) throws(CheckpointError) {
        for (name, bytes) in companions {
            guard CheckpointFormat.companionNames.contains(name) else {
                throw CheckpointError(path: directory, message: "\"\(name)\" is not the name of a file that goes with a checkpoint")
            }
            try Self.write(bytes, to: directory + "/" + name)
        }
        var streaming = WeightsStream(tensors, saturating: saturating, total: plan.sourceBytes)
        progress(0, plan.sourceBytes)
        for shard in plan.shards { try streaming.write(shard, to: directory + "/" + shard.name, progress: progress) }
        try streaming.finish(directory)
        if let index = plan.index {
            try Self.write(index, to: directory + "/model.safetensors.index.json")
        } else {
            // An index of a checkpoint that was here before would contradict the new file.
            unlink(directory + "/model.safetensors.index.json")
        }
        if let config = plan.config { try Self.write(config, to: directory + "/config.json") }
    }

    private static func withoutSlash(_ directory: String) -> String {
        var target = directory
        while target.utf8.count > 1, target.utf8.last == UInt8(ascii: "/") { target.removeLast() }
        return target
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(CheckpointError) {
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            let file = try AtomicFile(creating: path)
            try file.write(bytes)
            try file.commit()
        }
    }
}
