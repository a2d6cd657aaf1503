internal import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// `completions/`: every rollout of a run, a file a step that generated, whole as soon as it has its name.
public struct CompletionsLog: Sendable {
    /// The directory.
    public let directory: String

    /// A log in `directory`, which is made when missing (its parent must exist).
    public init(directory: String) throws(FileError) {
        self.directory = directory
        try WholeFile.makeDirectory(directory)
    }

    /// Writes a step's rollouts as `step-000123.jsonl`.
    public func write(_ rollouts: [Rollout], step: Int) throws(FileError) {
        let lines = rollouts.map { JSONValue.object($0.json).serialized() + "\n" }.joined()
        try WholeFile.write(Array(lines.utf8), to: "\(directory)/\(Self.name(of: step))")
    }

    /// The files of a directory of recorded rollouts, in the order of their steps; unfinished ones and other names are passed over.
    public static func files(in directory: String) throws(FileError) -> [(step: Int, path: String)] {
        guard let stream = opendir(directory) else { throw WholeFile.failure(directory, "cannot open this directory") }
        defer { closedir(stream) }
        var files: [(step: Int, path: String)] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name.hasPrefix("step-"), name.hasSuffix(".jsonl"), let step = Int(name.dropFirst(5).dropLast(6)), step >= 0 else { continue }
            files.append((step, "\(directory)/\(name)"))
        }
        guard !files.isEmpty else {
            throw FileError(path: directory, message: "found no recorded rollouts, expected files named \(name(of: 1))")
        }
        return files.sorted { ($0.step, $0.path) < ($1.step, $1.path) }
    }

    private static func name(of step: Int) -> String {
        let digits = String(step)
        return "step-" + String(repeating: "0", count: max(0, 6 - digits.count)) + digits + ".jsonl"
    }
}
