/// Why a template cannot be read or rendered, and where in it.
public struct JinjaError: Error, Sendable, CustomStringConvertible {
    /// What is wrong.
    public let message: String
    /// The line of the template, from 1; nil if the error belongs to no place in it.
    public private(set) var line: Int?
    /// The column, from 1, counted in Unicode scalars.
    public private(set) var column: Int?
    /// Scalars of the template before the error, once the node that failed is known.
    var offset: Int?

    init(_ message: String, at offset: Int? = nil) {
        self.message = message
        self.offset = offset
    }

    /// `line 3, column 7: message`, on one line and of bounded length: a template chooses what it raises.
    public var description: String {
        var text = ""
        for scalar in message.unicodeScalars.prefix(1000) {
            // Control characters, line separators and what turns the writing direction stay out of terminals and logs.
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: text += scalar.jsonEscape
            default: text.unicodeScalars.append(scalar)
            }
        }
        guard let line, let column else { return text }
        return "line \(line), column \(column): \(text)"
    }

    /// The same error at this offset, unless a node further in has said where already.
    func located(at offset: Int) -> JinjaError {
        var error = self
        error.offset = self.offset ?? offset
        return error
    }

    /// The same error with its line and column in this source.
    func located(in source: [Unicode.Scalar]) -> JinjaError {
        guard let offset, line == nil else { return self }
        var error = self
        let before = source.prefix(offset)
        error.line = 1 + before.reduce(0) { $1 == "\n" ? $0 + 1 : $0 }
        error.column = 1 + offset - (before.lastIndex(of: "\n").map { $0 + 1 } ?? 0)
        return error
    }
}
