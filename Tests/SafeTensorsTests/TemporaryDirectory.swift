import Foundation

/// A directory of a test's own, removed with it.
final class TemporaryDirectory {
    let path = NSTemporaryDirectory() + "safetensors-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        // A new file and not Data.write: that, and truncating a file that is there, take milliseconds, and some tests write thousands.
        unlink(path + "/" + name)
        let file = fopen(path + "/" + name, "w")
        defer { if let file { fclose(file) } }
        guard let file, fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw CocoaError(.fileWriteUnknown) }
        return path + "/" + name
    }

    var contents: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

/// A file: the length of the header, the header, the data.
func container(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
    let header = Array(header.utf8)
    let count = length ?? UInt64(header.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + header + (0..<data).map { UInt8(truncatingIfNeeded: $0) }
}
