#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Writing files that are whole or not there: a temporary name, synced, renamed, the directory synced.
enum WholeFile {
    /// Writes `bytes` as `path`, replacing what was there; on any failure the old file stays and the partial one is removed.
    static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
        let partial = path + ".partial"
        let file = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure(partial, "cannot create") }
        do throws(FileError) {
            do throws(FileError) {
                try writeAll(bytes, to: file, path: partial)
                guard fsync(file) == 0 else { throw failure(partial, "cannot sync") }
            } catch {
                close(file)
                throw error
            }
            guard close(file) == 0 else { throw failure(partial, "cannot close") }
            guard rename(partial, path) == 0 else { throw failure(path, "cannot rename the finished file to this name") }
        } catch {
            unlink(partial)
            throw error
        }
        try syncDirectory(of: path)
    }

    /// Whether something has this name.
    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes a directory and those above it.
    static func makeDirectories(_ path: String) throws(FileError) {
        for (index, character) in path.utf8.enumerated() where character == UInt8(ascii: "/") && index > 0 {
            try makeDirectory(String(decoding: path.utf8.prefix(index), as: UTF8.self))
        }
        try makeDirectory(path)
    }

    /// Makes a directory whose parent exists; one that is there already is fine.
    static func makeDirectory(_ path: String) throws(FileError) {
        if mkdir(path, 0o755) == 0 { return try syncDirectory(of: path) }
        let reason = errno
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
        let words = reason == EEXIST ? "a file has this name" : String(cString: strerror(reason))
        throw FileError(path: path, message: "cannot make this directory: \(words)")
    }

    /// Writes everything to an open file, whatever `write` accepts at a time.
    static func writeAll(_ bytes: [UInt8], to file: Int32, path: String) throws(FileError) {
        let reason: Int32 = bytes.withUnsafeBytes { bytes in
            var done = 0
            while done < bytes.count {
                #if canImport(Glibc)
                    let count = Glibc.write(file, bytes.baseAddress! + done, bytes.count - done)
                #elseif canImport(Musl)
                    let count = Musl.write(file, bytes.baseAddress! + done, bytes.count - done)
                #else
                    let count = Darwin.write(file, bytes.baseAddress! + done, bytes.count - done)
                #endif
                if count < 0 && errno != EINTR { return errno }
                done += max(count, 0)
            }
            return 0
        }
        guard reason == 0 else { throw FileError(path: path, message: "cannot write: \(String(cString: strerror(reason)))") }
    }

    /// Makes a new name in a directory survive a loss of power.
    static func syncDirectory(of path: String) throws(FileError) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let file = open(directory, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(directory, "cannot open this directory") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw failure(directory, "cannot sync this directory") }
    }

    /// The error of the call that has just failed.
    static func failure(_ path: String, _ what: String) -> FileError {
        FileError(path: path, message: "\(what): \(String(cString: strerror(errno)))")
    }
}
