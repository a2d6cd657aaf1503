/// What is wrong with a file, and where in it.
public struct FileError: Error, Sendable, CustomStringConvertible {
    /// The file, as the caller named it.
    public let path: String
    /// The line, from 1, where one is to blame.
    public let line: Int?
    /// What was found, what was expected, what to do.
    public let message: String

    /// An error of a file, or of one of its lines.
    public init(path: String, line: Int? = nil, message: String) {
        self.path = path
        self.line = line
        self.message = message
    }

    /// `path:line: message`, on one line.
    public var description: String { line.map { "\(path):\($0): \(message)" } ?? "\(path): \(message)" }
}
