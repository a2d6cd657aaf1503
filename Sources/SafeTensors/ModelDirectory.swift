#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A directory that holds a checkpoint, and the rule which of its members may be opened.
package struct ModelDirectory: Sendable {
    /// The directory, as the caller named it.
    package let path: String
    private let resolved: String

    /// Fails when there is no such directory.
    package init(_ path: String) throws(SafeTensorsError) {
        guard let resolved = Self.resolve(path) else {
            if errno == ENOENT {
                throw SafeTensorsError(path: path, message: "No such file or directory; give the path of a checkpoint that has been downloaded")
            }
            throw SafeTensorsError(path: path, doing: "cannot open", errno: errno)
        }
        self.path = path
        self.resolved = resolved
    }

    /// The path of a member; nil if there is none. A link may lead within the directory or, in the layout of the Hugging Face cache
    /// (`snapshots/REVISION/FILE -> ../../blobs/HASH`), to the blobs beside it; one that leads elsewhere is refused.
    package func member(_ name: String) throws(SafeTensorsError) -> String? {
        let member = path + "/" + name
        guard let target = Self.resolve(member) else {
            if errno == ENOENT { return nil }
            throw SafeTensorsError(path: member, doing: "cannot open", errno: errno)
        }
        guard isWithin(target, resolved) || blobs.map({ isWithin(target, $0) }) == true else {
            throw SafeTensorsError(path: member, message: "a link that leaves the directory (to \(target)); copy the file here")
        }
        return member
    }

    private var blobs: String? {
        let parts = resolved.split(separator: "/")
        guard parts.count >= 3, parts[parts.count - 2] == "snapshots" else { return nil }
        return "/" + parts.dropLast(2).joined(separator: "/") + "/blobs"
    }

    private func isWithin(_ target: String, _ directory: String) -> Bool {
        target.utf8.starts(with: (directory == "/" ? "/" : directory + "/").utf8)
    }

    private static func resolve(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
