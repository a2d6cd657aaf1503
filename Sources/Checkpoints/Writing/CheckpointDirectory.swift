internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What a writer does to whole directories. Only directories of plain files are ever removed, never a tree.
enum CheckpointDirectory {
    /// The names in a directory; nil when it is none, or holds anything but regular files.
    static func plainFiles(of path: String) -> [String]? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, let handle = opendir(path) else { return nil }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) }
            if name == "." || name == ".." { continue }
            guard lstat(path + "/" + name, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
            names.append(name)
        }
        return names
    }

    /// Whether there is something at a path that may be replaced by a checkpoint; throws when there is something that may not.
    static func checkReplaceable(_ path: String, overwrite: Bool) throws(CheckpointError) -> Bool {
        var status = stat()
        guard lstat(path, &status) == 0 else { return false }
        guard overwrite else {
            throw CheckpointError(path: path, message: "it exists already; choose another name or allow it to be overwritten (--force)")
        }
        let files = plainFiles(of: path)
        guard let files, files.contains("config.json") || files.contains(where: { $0.hasPrefix("model") && $0.hasSuffix(".safetensors") }) else {
            throw CheckpointError(
                path: path, message: "it exists and is not a directory that holds only a checkpoint; remove it yourself if you mean to")
        }
        return true
    }

    /// Throws when there is something at a path that may not be replaced by a file.
    static func checkReplaceable(file path: String, overwrite: Bool) throws(CheckpointError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CheckpointError(path: path, message: "it exists and is not a regular file; name the file to write")
        }
        guard overwrite else {
            throw CheckpointError(path: path, message: "it exists already; choose another name or allow it to be overwritten (--force)")
        }
    }

    /// Removes a directory of plain files, if that is what it is.
    static func remove(_ path: String) {
        guard let names = plainFiles(of: path) else { return }
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }

    /// Gives a complete directory its final name and makes the name durable. A directory that has the name steps aside and is then removed.
    static func rename(_ partial: String, to target: String, replacing: Bool) throws(CheckpointError) {
        let old = target + ".replaced"
        if replacing {
            remove(old)
            guard systemRename(target, old) == 0 else { throw CheckpointError(path: target, doing: "cannot move aside", errno: errno) }
        }
        guard systemRename(partial, target) == 0 else {
            let code = errno
            if replacing { _ = systemRename(old, target) }
            throw CheckpointError(path: target, doing: "cannot rename", errno: code)
        }
        do { try AtomicFile.syncDirectory(of: target) } catch { throw CheckpointError(error) }
        if replacing { remove(old) }
    }
}

private func systemRename(_ old: String, _ new: String) -> Int32 { rename(old, new) }

extension CheckpointError {
    /// An error of the operating system, from `errno`.
    init(path: String, doing what: String, errno code: Int32) {
        self.init(path: path, message: "\(what): \(String(cString: strerror(code)))")
    }
}
