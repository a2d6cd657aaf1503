import Foundation

/// A directory that goes when this value does.
final class TemporaryDirectory {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("grpo-tests-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file in it and gives its path.
    func file(_ name: String, _ text: String) throws -> String {
        let path = "\(path)/\(name)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    var contents: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() } }
}

/// The description of what a closure throws; "" when it does not.
func failure(of body: () throws -> Void) -> String {
    do {
        try body()
        return ""
    } catch {
        return "\(error)"
    }
}
