internal import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A row of a dataset's file as it stands there.
struct DatasetRecord {
    let file: String
    /// The line it begins on, from 1, in files that have lines.
    let line: Int?
    /// Its place in the file, from 1.
    let number: Int
    let columns: JSONObject

    func failure(_ message: String) -> FileError {
        line.map { FileError(path: file, line: $0, message: message) } ?? FileError(path: file, message: "row \(number): \(message)")
    }
}

/// Files of rows, by the ends of their names: .jsonl, .json, .csv, .parquet and .arrow; anything else is read as JSON Lines.
enum DatasetFile {
    static let endings = ["jsonl", "ndjson", "json", "csv", "parquet", "arrow"]

    /// The end of a name, lower case.
    static func ending(_ path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        return name.split(separator: ".").dropFirst().last.map { $0.lowercased() } ?? ""
    }

    /// Every row of a file.
    /// - Parameter lineLimit: bytes that a row may have in a file of text.
    static func records(_ path: String, lineLimit: Int) throws -> [DatasetRecord] {
        switch ending(path) {
        case "csv": try CommaSeparated.records(path, limit: lineLimit)
        case "parquet", "arrow": try PythonTable.records(path)
        case "json" where try isList(path): try list(path)
        default: try lines(path, lineLimit: lineLimit)
        }
    }

    private static func lines(_ path: String, lineLimit: Int) throws -> [DatasetRecord] {
        var reader = try LineReader(path: path, limit: lineLimit)
        var records: [DatasetRecord] = []
        while let line = try reader.next() {
            if line.isBlank { continue }
            records.append(DatasetRecord(file: path, line: line.number, number: records.count + 1, columns: try line.object(path: path)))
        }
        return records
    }

    /// Whether the first character of a file that says anything begins a list.
    private static func isList(_ path: String) throws -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw WholeFile.failure(path, "cannot open") }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = max(0, read(file, &bytes, bytes.count))
        return bytes.prefix(count).first { !" \t\r\n".utf8.contains($0) } == UInt8(ascii: "[")
    }

    private static func list(_ path: String) throws -> [DatasetRecord] {
        let json: JSONValue
        do { json = try JSONValue.parse(contentsOf: path) } catch { throw FileError(path: path, message: "not valid JSON: \(error)") }
        return try (json.array ?? []).enumerated().map { index, item in
            guard let object = item.object else {
                throw FileError(path: path, message: "row \(index + 1): found \(item.kind), expected a JSON object")
            }
            return DatasetRecord(file: path, line: nil, number: index + 1, columns: object)
        }
    }
}
