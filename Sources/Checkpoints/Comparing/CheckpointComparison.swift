public import JSON

/// How two checkpoints differ.
public struct CheckpointComparison: Sendable {
    /// Names of tensors that only one side has.
    public let onlyLeft, onlyRight: [String]
    /// Tensors that have another shape on each side, and the shapes.
    public let reshaped: [(name: String, left: [Int], right: [Int])]
    /// Tensors that are stored in another type on each side, and the types; how many they are is a difference of the files, not of the weights.
    public let restored: [(name: String, left: String, right: String)]
    /// The tensors that both have in one shape, sorted by name.
    public let tensors: [TensorDifference]
    /// Keys of config.json whose values differ, those a writer sets for the type left out.
    public let configuration: [(key: String, left: JSONValue?, right: JSONValue?)]
    /// Companions that differ or that only one side has.
    public let companions: [String]

    /// Whether nothing differs but how the tensors are stored.
    public var isEqual: Bool {
        onlyLeft.isEmpty && onlyRight.isEmpty && reshaped.isEmpty && configuration.isEmpty && companions.isEmpty
            && tensors.allSatisfy { $0.changed == 0 }
    }

    /// Compares everything. `progress` is told the elements compared and in all.
    ///
    /// Numbers are compared in the type that both sides have, and in FP32 where they have different ones.
    public init(_ left: Checkpoint, _ right: Checkpoint, progress: (Int, Int) -> Void = { _, _ in }) throws(CheckpointError) {
        let pairs = left.tensors.compactMap { tensor in right.tensor(named: tensor.name).map { (tensor, $0) } }
        onlyLeft = left.tensors.map(\.name).filter { right.tensor(named: $0) == nil }
        onlyRight = right.tensors.map(\.name).filter { left.tensor(named: $0) == nil }
        reshaped = pairs.filter { $0.shape != $1.shape }.map { ($0.name, $0.shape, $1.shape) }
        restored = pairs.filter { $0.storage != $1.storage }.map { ($0.name, $0.storage, $1.storage) }
        let same = pairs.filter { $0.shape == $1.shape }
        let total = same.reduce(0) { $0 + $1.0.count }
        var tensors: [TensorDifference] = []
        var done = 0
        for (a, b) in same {
            tensors.append(try left.difference(of: a.name, from: right, as: a.type == b.type ? a.type ?? .float32 : .float32))
            done += a.count
            progress(done, total)
        }
        self.tensors = tensors
        configuration = Self.configuration(left.config, right.config)
        var companions: [String] = []
        for name in CheckpointFormat.companionNames where try left.companion(name) != right.companion(name) { companions.append(name) }
        self.companions = companions
    }

    private static func configuration(_ left: JSONValue, _ right: JSONValue) -> [(key: String, left: JSONValue?, right: JSONValue?)] {
        var keys: [String] = []
        for (key, _) in (left.object?.members ?? []) + (right.object?.members ?? []) where !keys.contains(key) { keys.append(key) }
        let ignored = ["torch_dtype", "dtype", "transformers_version", "_name_or_path"]
        return keys.filter { !ignored.contains($0) && left[$0] != right[$0] }.map { ($0, left[$0], right[$0]) }
    }
}
