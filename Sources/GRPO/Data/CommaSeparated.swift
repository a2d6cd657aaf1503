internal import JSON

/// CSV as RFC 4180 has it, with a first row of names: fields between commas, in quotes where they hold commas, quotes (doubled) or newlines.
///
/// A column whose fields are all numbers or truth values has those, as in the `datasets` library; an empty field is null.
enum CommaSeparated {
    private struct Row {
        let line: Int
        var fields: [Field] = []
    }

    private struct Field {
        var bytes: [UInt8] = []
        var isQuoted = false
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    /// Every row behind the names; no field may be longer than `limit` bytes.
    static func records(_ path: String, limit: Int) throws -> [DatasetRecord] {
        let rows = try rows(path, limit: limit)
        guard let names = rows.first?.fields.map(\.text) else { return [] }
        guard Set(names).count == names.count, !names.contains("") else {
            throw FileError(path: path, line: 1, message: "two columns have the same name, or one has none; the first row names the columns")
        }
        for row in rows where row.fields.count != names.count {
            throw FileError(path: path, line: row.line, message: "has \(row.fields.count) fields, expected \(names.count), as the first row")
        }
        let rest = rows.dropFirst()
        let kinds = names.indices.map { column in Kind(rest.map { $0.fields[column] }.filter { !$0.isQuoted && !$0.bytes.isEmpty }.map(\.text)) }
        return rest.enumerated().map { index, row in
            let members = zip(names, zip(kinds, row.fields)).map { name, item in (key: name, value: item.0.value(item.1)) }
            return DatasetRecord(file: path, line: row.line, number: index + 1, columns: JSONObject(members))
        }
    }

    /// What the fields of a column are.
    private enum Kind {
        case integers, numbers, truths, text

        init(_ fields: [String]) {
            if fields.isEmpty {
                self = .text
            } else if fields.allSatisfy({ Int64($0).map(String.init) == $0 }) {
                self = .integers
            } else if fields.allSatisfy({
                Double(raw: .scalar($0, quoted: false)) != nil && !($0.hasPrefix("0") && $0.count > 1 && !$0.hasPrefix("0."))
            }) {
                self = .numbers
            } else {
                self = fields.allSatisfy { ["true", "false", "True", "False"].contains($0) } ? .truths : .text
            }
        }

        func value(_ field: Field) -> JSONValue {
            if field.bytes.isEmpty { return field.isQuoted ? .string("") : .null }
            let text = field.text
            if field.isQuoted { return .string(text) }
            return switch self {
            case .integers: .integer(Int64(text) ?? 0)
            case .numbers: .number(Double(text) ?? 0)
            case .truths: .bool(text.lowercased() == "true")
            case .text: .string(text)
            }
        }
    }

    private static func rows(_ path: String, limit: Int) throws -> [Row] {
        var reader = try LineReader(path: path, limit: limit)
        var rows: [Row] = []
        var row: Row?
        var field = Field()
        var isInQuotes = false
        while let line = try reader.next() {
            var bytes = line.bytes[...]
            if line.number == 1, bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
            if row == nil {
                if bytes.isEmpty || bytes.elementsEqual([0x0D]) { continue }
                row = Row(line: line.number)
            }
            var place = bytes.startIndex
            while place < bytes.endIndex {
                let byte = bytes[place]
                place += 1
                if isInQuotes {
                    guard byte == UInt8(ascii: "\"") else {
                        field.bytes.append(byte)
                        continue
                    }
                    if place < bytes.endIndex, bytes[place] == UInt8(ascii: "\"") {
                        field.bytes.append(byte)
                        place += 1
                    } else {
                        isInQuotes = false
                    }
                } else if byte == 0x0D, place == bytes.endIndex {
                    // The end of the line, as Windows writes it.
                } else if byte == UInt8(ascii: ",") {
                    row?.fields.append(field)
                    field = Field()
                } else if byte == UInt8(ascii: "\""), field.bytes.isEmpty, !field.isQuoted {
                    (isInQuotes, field.isQuoted) = (true, true)
                } else {
                    guard !field.isQuoted else {
                        throw FileError(
                            path: path, line: line.number, message: "found text behind a closing quote, expected a comma; quotes inside are doubled")
                    }
                    field.bytes.append(byte)
                }
            }
            if isInQuotes {
                field.bytes.append(0x0A)
                guard field.bytes.count <= limit else {
                    throw FileError(path: path, line: row?.line ?? 1, message: "a field is longer than \(limit) bytes: is a closing quote missing?")
                }
            } else if var finished = row {
                finished.fields.append(field)
                rows.append(finished)
                (row, field) = (nil, Field())
            }
        }
        if let row { throw FileError(path: path, line: row.line, message: "the closing quote of a field is missing") }
        return rows
    }
}
