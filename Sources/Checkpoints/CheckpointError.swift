/// Why a checkpoint cannot be read or written.
public struct CheckpointError: Error, Sendable, CustomStringConvertible {
    /// The file or directory.
    public let path: String
    /// The tensor it is about, if it is about one.
    public let tensor: String?
    /// What was found, what was expected and what to do.
    public let message: String

    /// An error about a path, perhaps about one tensor in it.
    public init(path: String, tensor: String? = nil, message: String) {
        self.path = path
        self.tensor = tensor
        self.message = message
    }

    /// `path: tensor "name": message`, on one line.
    public var description: String {
        let line = tensor.map { "\(path): tensor \"\($0)\": \(message)" } ?? "\(path): \(message)"
        return String(String.UnicodeScalarView(line.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
    }
}
