/// A format and its options: what `convert`, and a training run at its end, write of a checkpoint.
public struct ExportRequest: Sendable {
    /// How a checkpoint is stored.
    public enum Format: String, CaseIterable, Sendable {
        case safetensors, packed, delta, int8, int4, gguf
    }

    /// How it is stored.
    public var format: Format
    /// The types of a GGUF file's tensors.
    public var recipe: GGUFRecipe
    /// The type of every number in `safetensors`, `packed` and `delta`; nil keeps each tensor's own.
    public var type: ElementType?
    /// What a delta is the difference from.
    public var base: Checkpoint?
    /// Weights that share a scale in `int8` and `int4`; nil is what the shapes allow.
    public var groupSize: Int?
    /// What scales are searched for by.
    public var importance: ImportanceMatrix?
    /// The most bytes of tensors in a file.
    public var maxShardSize = Int.max
    /// Whether numbers beyond FP16's range become 65504 instead of an error.
    public var saturates = false
    /// Whether a GGUF tensor whose rows do not divide into its type's blocks may have another type.
    public var allowsFallback = false

    /// A format without options; a GGUF file is BF16 unless a recipe is named.
    public init(_ format: Format, recipe: GGUFRecipe = .bf16) {
        self.format = format
        self.recipe = recipe
    }

    /// The request of one word: a format's name, or `gguf:` and a recipe's; nil if it is neither.
    public init?(named name: String) {
        let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let format = Format(rawValue: parts[0]) else { return nil }
        self.init(format)
        guard parts.count > 1 else { return }
        guard format == .gguf, let recipe = GGUFRecipe(parts[1]) else { return nil }
        self.recipe = recipe
    }

    /// What `init(named:)` takes, for errors and help.
    public static var expected: String {
        Format.allCases.map(\.rawValue).joined(separator: ", ") + " or gguf:TYPE with one of " + GGUFRecipe.names.joined(separator: ", ")
    }

    /// The export of a checkpoint to a directory or, of GGUF, a file.
    /// - Throws: what is found wrong without writing.
    public func export(_ checkpoint: some CheckpointView, to destination: String) throws(CheckpointError) -> any CheckpointExport {
        let layout: CheckpointWriter.Layout
        switch format {
        case .gguf:
            return try GGUFExport(checkpoint, to: destination, recipe: recipe, allowingFallback: allowsFallback, importance: importance)
        case .safetensors: layout = .safetensors
        case .packed: layout = .packed
        case .delta:
            guard let base else { throw CheckpointError(path: destination, message: "a delta needs the checkpoint to take the difference from") }
            layout = .delta(base)
        case .int8, .int4:
            layout = .integers(IntegerQuantization(bits: format == .int8 ? 8 : 4, groupSize: groupSize, importance: importance))
        }
        return try DirectoryExport(
            checkpoint, to: destination, type: type, layout: layout, maxShardSize: maxShardSize, saturating: saturates)
    }
}
