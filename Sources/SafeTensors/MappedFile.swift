#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A regular file mapped into memory, read-only.
///
/// Sendable because the mapping never changes between `init` and `deinit` and is only read. Another process that truncates the file in place
/// would take its pages away; every writer of this package renames a new file over the old one instead.
final class MappedFile: @unchecked Sendable {
    /// The bytes of the file; valid as long as this object.
    let bytes: UnsafeRawBufferPointer

    init(_ path: String) throws(SafeTensorsError) {
        // Non-blocking, so that a named pipe cannot hold us; regular files do not care.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw SafeTensorsError(path: path, doing: "cannot open", errno: errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw SafeTensorsError(path: path, doing: "cannot inspect", errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SafeTensorsError(path: path, message: "not a regular file") }
        guard status.st_size > 0 else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let size = Int(status.st_size)
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0), base != MAP_FAILED else {
            throw SafeTensorsError(path: path, doing: "cannot map \(size) bytes", errno: errno)
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }
}
