#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The one way in which this package reads a whole file into memory; JSON or not.
package enum BoundedFile {
    /// The bytes of a regular file of at most `limit` bytes.
    package static func read(_ path: String, limit: Int) throws(JSONError) -> [UInt8] {
        func failure(_ code: Int32) -> JSONError { JSONError(source: path, message: String(cString: strerror(code))) }
        // Non-blocking, so that a named pipe cannot hold us; regular files do not care.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw failure(errno) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw JSONError(source: path, message: "not a regular file") }
        guard status.st_size <= limit else {
            throw JSONError(source: path, message: "the file has \(status.st_size) bytes, more than the \(limit) allowed")
        }
        let size = Int(status.st_size)
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            useHugePages(buffer)
            while count < size {
                let got = pread(file, buffer.baseAddress! + count, size - count, off_t(count))
                if got < 0, errno == EINTR { continue }
                if got < 0 { code = errno }
                guard got > 0 else { return }
                count += got
            }
        }
        guard code == 0 else { throw failure(code) }
        guard bytes.count == size else { throw JSONError(source: path, message: "ended at byte \(bytes.count) of \(size) while it was read") }
        return bytes
    }

    /// A fault for every 4 KiB that is first written takes longer than reading them.
    private static func useHugePages(_ buffer: UnsafeMutableBufferPointer<UInt8>) {
        #if os(Linux)
            let page = 4096
            guard buffer.count >= 4 << 20, let base = buffer.baseAddress else { return }
            let start = UnsafeMutableRawPointer(base).alignedUp(toMultipleOf: page)
            madvise(start, buffer.count - page, MADV_HUGEPAGE)
        #endif
    }
}
