#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A regular file mapped into memory, read-only.
///
/// Sendable because the stored properties are constant and the mapping is only read. Another process that truncates the file in place takes
/// its pages away, which is why tensors are read with `pread`; every writer of this package renames a new file over the old one instead.
final class MappedFile: @unchecked Sendable {
    /// The bytes of the file; valid as long as this object.
    let bytes: UnsafeRawBufferPointer
    private let file: Int32

    init(_ path: String) throws(SafeTensorsError) {
        // Non-blocking, so that a named pipe cannot hold us; regular files do not care.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw SafeTensorsError(path: path, doing: "cannot open", errno: errno) }
        var mapped = false
        defer { if !mapped { close(file) } }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw SafeTensorsError(path: path, doing: "cannot inspect", errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SafeTensorsError(path: path, message: "not a regular file") }
        let size = Int(status.st_size)
        guard size > 0 else { throw SafeTensorsError(path: path, message: "the file is empty") }
        guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0), base != MAP_FAILED else {
            throw SafeTensorsError(path: path, doing: "cannot map \(size) bytes", errno: errno)
        }
        bytes = UnsafeRawBufferPointer(start: base, count: size)
        self.file = file
        mapped = true
    }

    /// The size of the file now, in bytes; nil if it cannot be told.
    var presentSize: Int? {
        var status = stat()
        return fstat(file, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Fills `buffer` from the file at `offset`; nil on success, otherwise what went wrong.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> String? {
        guard let start = buffer.baseAddress else { return nil }
        var done = 0
        while done < buffer.count {
            let got = pread(file, start + done, buffer.count - done, off_t(offset + done))
            if got == 0 { return "the file has \(presentSize ?? 0) bytes, it had \(bytes.count) when it was opened; is it still being written?" }
            if got < 0, errno != EINTR { return "cannot read at byte \(offset + done): \(String(cString: strerror(errno)))" }
            done += max(got, 0)
        }
        return nil
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count)
        close(file)
    }
}
