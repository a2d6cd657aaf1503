#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Why a safetensors file cannot be read or written.
public struct SafeTensorsError: Error, Sendable, CustomStringConvertible {
    /// The file or directory.
    public let path: String
    /// The tensor it is about, if it is about one.
    public let tensor: String?
    /// What was found, what was expected and what to do.
    public let message: String

    init(path: String, tensor: String? = nil, message: String) {
        self.path = path
        self.tensor = tensor
        self.message = message
    }

    /// An error of the operating system, from `errno`.
    init(path: String, doing what: String, errno code: Int32) {
        self.init(path: path, message: "\(what): \(String(cString: strerror(code)))")
    }

    /// `path: tensor "name": message`, on one line.
    public var description: String {
        let line = tensor.map { "\(path): tensor \"\($0)\": \(message)" } ?? "\(path): \(message)"
        return String(String.UnicodeScalarView(line.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 }))
    }
}
