#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The lines of a regular file, one after the other, none longer than a limit: the memory used does not grow with the file.
struct LineReader: ~Copyable {
    /// One line without its newline, and its number from 1.
    struct Line {
        let number: Int
        let bytes: [UInt8]

        /// Nothing but spaces, tabs and carriage returns.
        var isBlank: Bool { bytes.allSatisfy { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D } }
    }

    private let path: String
    private let limit: Int
    private let file: Int32
    private var buffer: [UInt8] = []
    private var start = 0
    private var number = 0
    private var isAtEnd = false

    /// Opens a file; a line of more than `limit` bytes is refused when it is met.
    init(path: String, limit: Int) throws(FileError) {
        // Non-blocking, so that a named pipe cannot hold us; regular files do not care.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw FileError(path: path, message: "cannot open: \(String(cString: strerror(errno)))") }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(file)
            throw FileError(path: path, message: "found something that is not a regular file, expected a file of text lines")
        }
        self.path = path
        self.limit = limit
        self.file = file
    }

    deinit { close(file) }

    /// The next line; nil at the end. A last line without a newline counts, an empty rest does not.
    mutating func next() throws(FileError) -> Line? {
        var searched = start
        while true {
            if let newline = buffer[searched...].firstIndex(of: 0x0A) { return try line(endingAt: newline, next: newline + 1) }
            searched = buffer.count
            guard searched - start <= limit else { throw tooLong() }
            if isAtEnd { return start < buffer.count ? try line(endingAt: buffer.count, next: buffer.count) : nil }
            if start > 0 {
                buffer.removeSubrange(..<start)
                searched -= start
                start = 0
            }
            try fill()
        }
    }

    private mutating func line(endingAt end: Int, next: Int) throws(FileError) -> Line {
        guard end - start <= limit else { throw tooLong() }
        number += 1
        let line = Line(number: number, bytes: Array(buffer[start..<end]))
        start = next
        return line
    }

    private func tooLong() -> FileError {
        FileError(path: path, line: number + 1, message: "the line is longer than the \(limit) bytes allowed")
    }

    private mutating func fill() throws(FileError) {
        let chunk = 1 << 16
        var got = 0
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: chunk) { destination, count in
            repeat { got = read(file, destination.baseAddress, chunk) } while got < 0 && errno == EINTR
            failure = got < 0 ? errno : 0
            count = max(got, 0)
        }
        guard got >= 0 else { throw FileError(path: path, message: "cannot read: \(String(cString: strerror(failure)))") }
        isAtEnd = got == 0
        buffer += bytes
    }
}

/// A whole regular file of UTF-8 text of at most `limit` bytes.
func readText(_ path: String, limit: Int) throws(FileError) -> String {
    var reader = try LineReader(path: path, limit: limit)
    var bytes: [UInt8] = []
    while let line = try reader.next() {
        bytes += line.bytes
        bytes.append(0x0A)
        guard bytes.count <= limit + 1 else { throw FileError(path: path, message: "the file is longer than the \(limit) bytes allowed") }
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
        throw FileError(path: path, message: "the file is not valid UTF-8; save it as UTF-8")
    }
    return text
}
