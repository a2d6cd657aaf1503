public import JSON

/// Whatever a checkpoint was on disk: its configuration, the files beside the weights, and its tensors. Every export takes this.
public protocol CheckpointView: TensorProvider {
    /// The directory or file, as the caller named it.
    var path: String { get }
    /// config.json, an object; empty when there is none.
    var config: JSONValue { get }
    /// The files beside the weights that are there.
    var companionNames: [String] { get }
    /// The bytes of one of `companionNames`; nil for every other name.
    func companion(_ name: String) throws(CheckpointError) -> [UInt8]?
}

extension Checkpoint: CheckpointView {}

/// One way to write a checkpoint. What will be written is decided when it is made, and checked as far as it can be without writing.
public protocol CheckpointExport {
    /// What will be written.
    var plan: ExportPlan { get }
    /// Throws what `write` would refuse before the first byte: something that is there already, too little room, and what else the format may not have.
    func check(overwrite: Bool) throws(CheckpointError)
    /// Writes it; see `CheckpointWriter.create`. `progress` is told what is done, of what there is to do.
    func write(overwrite: Bool, progress: (Int, Int) -> Void) throws(CheckpointError)
}

/// A checkpoint as a directory of safetensors files.
public struct DirectoryExport<Source: CheckpointView>: CheckpointExport {
    /// The files of the directory.
    public let plan: ExportPlan
    private let source: Source
    private let directory: String
    private let writer: CheckpointWriter
    private let weights: WeightsPlan

    /// An export of a checkpoint, its companions read now; the parameters are those of `CheckpointWriter`.
    public init(
        _ source: Source, to directory: String, type: ElementType?, layout: CheckpointWriter.Layout, maxShardSize: Int = .max,
        saturating: Bool = false
    ) throws(CheckpointError) {
        self.source = source
        self.directory = directory
        var companions: [(name: String, bytes: [UInt8])] = []
        for name in source.companionNames {
            if let bytes = try source.companion(name) { companions.append((name, bytes)) }
        }
        writer = CheckpointWriter(
            config: source.config, companions: companions, type: type, layout: layout, maxShardSize: maxShardSize, saturating: saturating)
        weights = try writer.weights(of: source, at: directory)
        plan = try weights.summary(of: writer)
    }

    /// Whether the directory may be written.
    public func check(overwrite: Bool) throws(CheckpointError) { _ = try writer.check(directory, plan, overwrite: overwrite) }

    /// Writes the directory.
    public func write(overwrite: Bool, progress: (Int, Int) -> Void) throws(CheckpointError) {
        try writer.create(directory, weights, plan, from: source, overwrite: overwrite, progress: progress)
    }
}
