#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What an export will write: known, and checked, before the first byte.
public struct ExportPlan: Sendable {
    /// One tensor as it will be stored.
    public struct Tensor: Sendable {
        /// Its name in the file.
        public let name: String
        /// Its dimensions, outermost first.
        public let shape: [Int]
        /// How it is stored, for people: `BF16`, `Q5_0`, `packed BF16`.
        public let storage: String
        /// Its bytes; of what is compressed, at most.
        public let byteCount: Int
    }

    /// One file of weights.
    public struct File: Sendable {
        /// Its name, without a directory.
        public let name: String
        /// The size of the file in bytes; of what is compressed, at most.
        public let byteCount: Int
        /// Its tensors.
        public let tensors: [Tensor]
    }

    /// A tensor that cannot have the type its recipe gives it, and the type it gets instead.
    public struct Substitution: Sendable {
        /// Its name in the file.
        public let tensor: String
        /// The two types.
        public let wanted, used: String
        /// Why.
        public let reason: String
    }

    /// The files of weights.
    public let files: [File]
    /// Bytes of everything else: configuration, tokenizer, index.
    public let otherBytes: Int
    /// Whether `byteCount` is a bound, because something is compressed.
    public let isBound: Bool
    /// What the recipe could not have.
    public var substitutions: [Substitution] = []
    /// What else a reader should know, a line each.
    public var notes: [String] = []

    /// All bytes that will be written; at most, if `isBound`.
    public var byteCount: Int { files.reduce(otherBytes) { $0 + $1.byteCount } }

    /// Bytes that the file system of a path, or of the directory it will be in, has left; nil if it cannot be told.
    public static func freeBytes(at path: String) -> Int? {
        let parent = path.utf8.lastIndex(of: UInt8(ascii: "/")).map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        var status = statvfs()
        guard statvfs(parent, &status) == 0 else { return nil }
        let (bytes, overflowed) = Int(status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
        return overflowed ? nil : bytes
    }

    /// Refuses a plan that does not fit where it is to be written.
    func checkSpace(at path: String) throws(CheckpointError) {
        guard let free = Self.freeBytes(at: path), free < byteCount else { return }
        throw CheckpointError(path: path, message: "this takes \(isBound ? "up to " : "")\(byteCount) bytes, and \(free) are free here")
    }
}
