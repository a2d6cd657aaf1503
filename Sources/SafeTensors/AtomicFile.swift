#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A file that appears under its name only when it is whole: written as `NAME.partial`, synced, renamed, the directory synced.
///
/// Whatever ends it before `commit` (an error, or letting go of it) removes the partial file.
package final class AtomicFile {
    /// The final name.
    package let path: String
    private let partial: String
    /// -1 once the file is closed.
    private var file: Int32

    /// Creates `PATH.partial`, in place of one that an interrupted run may have left.
    package init(creating path: String) throws(SafeTensorsError) {
        self.path = path
        self.partial = path + ".partial"
        unlink(partial)
        // A new file or none: a link that stands there is not followed.
        self.file = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw SafeTensorsError(path: partial, doing: "cannot create", errno: errno) }
    }

    deinit { discard() }

    /// Appends bytes.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(SafeTensorsError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = Self.write(file, rest)
            guard count >= 0 else { throw failure("cannot write") }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Appends bytes.
    package func write(_ bytes: [UInt8]) throws(SafeTensorsError) {
        let result = bytes.withUnsafeBytes { buffer in Result { () throws(SafeTensorsError) in try write(buffer) } }
        try result.get()
    }

    /// Goes back to the beginning, to overwrite what was reserved there.
    package func rewind() throws(SafeTensorsError) {
        guard lseek(file, 0, SEEK_SET) == 0 else { throw failure("cannot seek") }
    }

    /// Makes the file durable and gives it its name.
    package func commit() throws(SafeTensorsError) {
        guard fsync(file) == 0 else { throw failure("cannot sync") }
        let closed = close(file)
        file = -1
        guard closed == 0, rename(partial, path) == 0 else {
            let code = errno
            unlink(partial)
            throw SafeTensorsError(path: path, doing: closed == 0 ? "cannot rename" : "cannot close", errno: code)
        }
        try Self.syncDirectory(of: path)
    }

    /// Makes a new name in a directory durable.
    package static func syncDirectory(of path: String) throws(SafeTensorsError) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw SafeTensorsError(path: directory, doing: "cannot open", errno: errno) }
        defer { close(handle) }
        guard fsync(handle) == 0 else { throw SafeTensorsError(path: directory, doing: "cannot sync", errno: errno) }
    }

    private func failure(_ what: String) -> SafeTensorsError {
        let error = SafeTensorsError(path: path, doing: what, errno: errno)
        discard()
        return error
    }

    private func discard() {
        guard file >= 0 else { return }
        close(file)
        file = -1
        unlink(partial)
    }

    /// `write(2)`, again when a signal interrupts it; outside the methods so that the name is the system's.
    private static func write(_ file: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let count = systemWrite(file, bytes.baseAddress, bytes.count)
            if count >= 0 || errno != EINTR { return count }
        }
    }
}

private func systemWrite(_ file: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int { write(file, bytes, count) }
