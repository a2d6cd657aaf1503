#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Directories of plain files that are whole or not there, and their removal; never a tree.
enum WholeDirectory {
    /// Has `write` fill `path.partial`, whose files are each synced, and renames it; what had the name before is removed, if it is such a directory.
    static func create(_ path: String, write: (_ partial: String) throws -> Void) throws {
        let partial = path + ".partial"
        try remove(partial)
        try WholeFile.makeDirectory(partial)
        do {
            try write(partial)
            try WholeFile.syncDirectory(of: partial + "/.")
            try remove(path)
            guard rename(partial, path) == 0 else { throw WholeFile.failure(path, "cannot rename the finished directory to this name") }
        } catch {
            try? remove(partial)
            throw error
        }
        try WholeFile.syncDirectory(of: path)
    }

    /// Removes a directory of plain files; nothing is there is fine, anything else is refused. It loses its name first, so that a kill leaves no half.
    static func remove(_ path: String) throws(FileError) {
        guard WholeFile.exists(path) else { return }
        let names = try names(in: path)
        var status = stat()
        for name in names {
            guard lstat("\(path)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
                throw FileError(path: path, message: "holds more than files (\(name)), so it is left alone: remove or rename it yourself")
            }
        }
        var doomed = path
        if !path.hasSuffix(".partial") {
            doomed = path + ".removed.partial"
            try remove(doomed)
            guard rename(path, doomed) == 0 else { throw WholeFile.failure(path, "cannot rename this directory") }
        }
        for name in names { unlink("\(doomed)/\(name)") }
        guard rmdir(doomed) == 0 else { throw WholeFile.failure(doomed, "cannot remove this directory") }
    }

    /// Removes what runs that were killed have left under temporary names that begin with `prefix`.
    static func removeLeftovers(in path: String, prefix: String) throws(FileError) {
        for name in try names(in: path) where name.hasPrefix(prefix) && name.hasSuffix(".partial") { try remove("\(path)/\(name)") }
    }

    /// The names in a directory, unsorted.
    static func names(in path: String) throws(FileError) -> [String] {
        guard let stream = opendir(path) else { throw WholeFile.failure(path, "cannot open this directory") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}
