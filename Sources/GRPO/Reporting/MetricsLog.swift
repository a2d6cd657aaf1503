public import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// `metrics.jsonl`: one object a logging step, each on the disk before the run goes on.
public struct MetricsLog: ~Copyable {
    private let path: String
    private let file: Int32

    /// Begins a new file at `path`, or with `appending` goes on with the one there; a last line that a crash cut off is removed.
    public init(path: String, appending: Bool = false) throws(FileError) {
        let file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (appending ? 0 : O_TRUNC), 0o644)
        guard file >= 0 else { throw WholeFile.failure(path, "cannot open") }
        do throws(FileError) {
            guard !appending || Self.removeCutLine(file) else { throw WholeFile.failure(path, "cannot remove its unfinished last line") }
            try WholeFile.syncDirectory(of: path)
        } catch {
            close(file)
            throw error
        }
        self.path = path
        self.file = file
    }

    /// Goes on with the file at `path` behind its lines up to a step; what a stopped run wrote after it is removed.
    init(path: String, throughStep step: Int) throws {
        if WholeFile.exists(path) {
            var reader = try LineReader(path: path, limit: 1 << 24)
            var kept: [UInt8] = []
            while let line = try reader.next() {
                guard let object = try? line.object(path: path), let found = object["step"]?.int, found <= step else { break }
                kept += line.bytes + [0x0A]
            }
            try WholeFile.write(kept, to: path)
        }
        try self.init(path: path, appending: true)
    }

    deinit { close(file) }

    /// Adds a line and waits until it is on the disk; one that does not fit on it is taken back.
    public func append(_ line: JSONObject) throws(FileError) {
        let end = lseek(file, 0, SEEK_END)
        do {
            try WholeFile.writeAll(Array(JSONValue.object(line).serialized().utf8) + [0x0A], to: file, path: path)
        } catch {
            _ = ftruncate(file, end)
            throw error
        }
        guard fsync(file) == 0 else { throw WholeFile.failure(path, "cannot sync") }
    }

    /// Cuts the file behind its last newline.
    private static func removeCutLine(_ file: Int32) -> Bool {
        var end = lseek(file, 0, SEEK_END)
        let size = end
        var byte: UInt8 = 0
        while end > 0 {
            guard pread(file, &byte, 1, end - 1) == 1 else { return false }
            if byte == 0x0A { break }
            end -= 1
        }
        return end == size || ftruncate(file, end) == 0
    }
}
