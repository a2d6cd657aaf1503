import GRPO

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// Results, on standard output. Unlike `print` it fails when they cannot be written, so that no exit code 0 stands over a cut-off file.
enum StandardOutput {
    static func line(_ text: String) throws(FileError) { try write(text + "\n") }

    static func write(_ text: String) throws(FileError) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = Self.write(rest)
            if count < 0 && errno != EINTR {
                throw FileError(path: "standard output", message: "cannot write: \(String(cString: strerror(errno)))")
            }
            rest = rest.dropFirst(max(count, 0))
        }
    }

    private static func write(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.withUnsafeBytes { buffer in
            #if canImport(Glibc)
                Glibc.write(STDOUT_FILENO, buffer.baseAddress, buffer.count)
            #elseif canImport(Musl)
                Musl.write(STDOUT_FILENO, buffer.baseAddress, buffer.count)
            #else
                Darwin.write(STDOUT_FILENO, buffer.baseAddress, buffer.count)
            #endif
        }
    }
}
