/// Why a text is not the JSON it should be, and where.
public struct JSONError: Error, Sendable, CustomStringConvertible {
    /// The file or other source, as the caller named it.
    public let source: String
    /// Bytes before the error; nil when the source could not be read at all.
    public let offset: Int?
    /// The line, from 1.
    public let line: Int
    /// The column, from 1, counted in Unicode scalars.
    public let column: Int
    /// What is wrong.
    public let message: String

    /// `source:line:column: message`, on one line.
    public var description: String {
        offset == nil ? "\(source): \(message)" : "\(source):\(line):\(column): \(message)"
    }

    /// The message with its place, for an error that names the source itself.
    public var detail: String {
        offset == nil ? message : "line \(line), column \(column): \(message)"
    }

    /// An error of the whole source, without a place in it.
    init(source: String, message: String) {
        self.source = source
        self.offset = nil
        self.line = 0
        self.column = 0
        self.message = message
    }

    /// An error at a byte of the text.
    init(source: String, text: UnsafeRawBufferPointer, offset: Int, message: String) {
        var line = 1
        var column = 1
        for byte in text.prefix(offset) {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        self.source = source
        self.offset = offset
        self.line = line
        self.column = column
        self.message = message
    }
}
