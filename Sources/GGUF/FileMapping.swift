#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// An open file and a read-only view of it. Metadata is read through the view; tensors are read with `pread`, so that a file cut short while
/// open is an error instead of a signal, and reading half a gigabyte does not make the process look half a gigabyte large.
final class FileMapping: @unchecked Sendable {
    // Sendable: both stored properties are constant, the mapped pages are never written, and pread keeps no position.
    let bytes: UnsafeRawBufferPointer
    private let descriptor: Int32

    init(path: String) throws(GGUFError) {
        func failure(_ message: String) -> GGUFError { GGUFError(path: path, place: "", message: message) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)  // without blocking: a FIFO must not hang us
        guard descriptor >= 0 else { throw failure("cannot be opened (\(String(cString: strerror(errno))))") }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw failure("not a regular file; a GGUF file was expected")
        }
        let size = Int(status.st_size)
        guard size > 0 else {
            close(descriptor)
            throw failure("the file is empty; a GGUF file was expected (a download that failed?)")
        }
        guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw failure("cannot be mapped into memory (\(reason))")
        }
        self.descriptor = descriptor
        bytes = UnsafeRawBufferPointer(start: start, count: size)
    }

    deinit {
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), bytes.count)
        close(descriptor)
    }

    /// Fills `buffer` from the file at `offset`; nil on success, otherwise what went wrong.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) -> String? {
        var done = 0
        while done < buffer.count {
            let got = pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset + done))
            if got > 0 {
                done += got
            } else if got == 0 {
                return "the file ends at byte \(offset + done); it was \(bytes.count) bytes when it was opened"
            } else if errno != EINTR {
                return "cannot be read at byte \(offset + done) (\(String(cString: strerror(errno))))"
            }
        }
        return nil
    }
}
