/// Why a GGUF file was refused, in one line: which file, where in it, what was found and what was expected.
public struct GGUFError: Error, Sendable, CustomStringConvertible {
    /// The file, as the caller named it.
    public let path: String
    /// Where: "byte 24", "key 'general.alignment'", "tensor 'output.weight'"; empty when it is the file as a whole.
    public let place: String
    /// What was found, what was expected, and what can be done.
    public let message: String

    /// `path: place: message`, on one line.
    public var description: String { ([path, place, message].filter { !$0.isEmpty }).joined(separator: ": ") }
}

/// A name out of an untrusted file, fit for one line of a message: at most 80 bytes, control characters and broken UTF-8 replaced.
func quoted(_ name: some Collection<UInt8>) -> String {
    let text = String(decoding: name.prefix(80), as: UTF8.self)
    let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : String($0) }
    return "'" + scalars.joined() + (name.count > 80 ? "..." : "") + "'"
}
