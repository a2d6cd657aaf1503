/// Why a chat template cannot be used.
public struct ChatTemplateError: Error, Sendable, CustomStringConvertible {
    /// One line: what is wrong and what to do.
    public let description: String

    init(_ description: String) { self.description = description }
}
