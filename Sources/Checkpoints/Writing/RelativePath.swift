#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How one place is reached from another, so that both can be moved together.
enum RelativePath {
    /// The path from a directory that may not exist yet (its parent does) to something that does; the latter's own path if it cannot be found.
    static func path(from directory: String, to target: String) -> String {
        guard let target = resolve(target), let parent = resolve(parent(of: directory)) else { return target }
        let from = parent.split(separator: "/") + [directory.split(separator: "/").last ?? ""]
        let to = target.split(separator: "/")
        let common = zip(from, to).prefix { $0 == $1 }.count
        return (Array(repeating: "..", count: from.count - common) + to[common...]).joined(separator: "/")
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func resolve(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
