/// Why a tokenizer cannot be used: where in which file, what was found, what was expected.
public struct TokenizerError: Error, Sendable, CustomStringConvertible {
    /// The file, or whatever the caller named the source.
    public let source: String
    /// The place inside it, as a path of JSON keys such as `model.merges[5]`; empty for the file itself.
    public let location: String
    /// What is wrong and what to do.
    public let message: String

    /// One line: source, place, message.
    public var description: String { location.isEmpty ? "\(source): \(message)" : "\(source): \(location): \(message)" }
}
