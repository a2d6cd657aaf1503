public import JSON

/// One message of a conversation.
public struct PromptMessage: Sendable, Equatable {
    /// `system`, `user` or `assistant`.
    public var role: String
    /// What was said.
    public var content: String

    /// A message.
    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }
}

/// What a completion answers: plain text, or a conversation for the chat template.
public enum Prompt: Sendable, Equatable {
    /// Goes to the model as it is.
    case text(String)
    /// Goes through the chat template.
    case messages([PromptMessage])

    /// As a dataset writes it: text, or a list of {role, content}.
    public var json: JSONValue {
        switch self {
        case .text(let text): .string(text)
        case .messages(let messages):
            .array(messages.map { .object(JSONObject([("role", .string($0.role)), ("content", .string($0.content))])) })
        }
    }

    /// Reads what a dataset writes; throws what is wrong with it, in words.
    init(_ json: JSONValue) throws(RecordProblem) {
        switch json {
        case .string(let text):
            guard !text.isEmpty else { throw RecordProblem(words: "is empty") }
            self = .text(text)
        case .array(let items):
            guard !items.isEmpty else { throw RecordProblem(words: "is an empty list") }
            var messages: [PromptMessage] = []
            for (index, item) in items.enumerated() {
                guard let role = item["role"]?.string, !role.isEmpty, let content = item["content"]?.string else {
                    throw RecordProblem(words: "has message \(index + 1) without text in \"role\" and \"content\"")
                }
                messages.append(PromptMessage(role: role, content: content))
            }
            self = .messages(messages)
        default: throw RecordProblem(words: "is \(json.kind), expected text or a list of {role, content}")
        }
    }
}

/// What is wrong with a record, before the file and line are known.
struct RecordProblem: Error {
    let words: String
}

extension JSONValue {
    /// What kind of value this is, for errors.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a truth value"
        case .integer, .number: "a number"
        case .string: "text"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// The prompts of a JSONL file, with the other columns kept for the rewards.
public struct PromptDataset: Sendable {
    /// One line of the file.
    public struct Row: Sendable {
        /// What the completions answer.
        public var prompt: Prompt
        /// Every other column.
        public var columns: JSONObject
        /// The line of the file, from 1; nil for a row made by hand.
        public var line: Int?

        /// A row made by hand.
        public init(prompt: Prompt, columns: JSONObject = JSONObject(), line: Int? = nil) {
            self.prompt = prompt
            self.columns = columns
            self.line = line
        }
    }

    /// The rows in the order of the file.
    public let rows: [Row]
    private let path: String?

    /// The columns that some row has beside the prompt.
    public var columnNames: Set<String> { Set(rows.flatMap { $0.columns.members.map(\.key) }) }

    /// A dataset made by hand.
    public init(rows: [Row]) {
        self.rows = rows
        path = nil
    }

    /// Reads a file of one JSON object a line; blank lines are skipped.
    ///
    /// `systemPrompt` goes before conversations that begin without a system message. Throws a `FileError` or `JSONError` with file and line: a
    /// line that is no object or longer than `lineLimit` bytes, a row without a prompt or with an empty one, a file without rows.
    public init(path: String, promptColumn: String = "prompt", systemPrompt: String? = nil, lineLimit: Int = 1 << 20) throws {
        var reader = try LineReader(path: path, limit: lineLimit)
        var rows: [Row] = []
        while let line = try reader.next() {
            if line.isBlank { continue }
            let object = try line.object(path: path)
            guard let value = object[promptColumn] else {
                let columns = object.members.map { "\"\($0.key)\"" }.prefix(16).joined(separator: ", ")
                throw FileError(
                    path: path, line: line.number,
                    message: "no column \"\(promptColumn)\", found \(columns.isEmpty ? "none" : columns); name it with dataset_prompt_column")
            }
            do {
                let prompt = try Prompt(value).with(systemPrompt: systemPrompt)
                rows.append(Row(prompt: prompt, columns: object.without(promptColumn), line: line.number))
            } catch {
                throw FileError(path: path, line: line.number, message: "the prompt in column \"\(promptColumn)\" \(error.words)")
            }
        }
        guard !rows.isEmpty else { throw FileError(path: path, message: "the file has no rows, expected one JSON object a line") }
        self.rows = rows
        self.path = path
    }

    /// What is wrong with a row, told with its file and line.
    func failure(row: Int, _ error: some Error) -> FileError {
        FileError(path: path ?? "dataset", line: rows[row].line ?? row + 1, message: "\(error)")
    }
}

extension Prompt {
    /// The same conversation behind a system message, unless it begins with one; text stays as it is.
    public func with(systemPrompt: String?) -> Prompt {
        guard let systemPrompt, case .messages(let messages) = self, messages.first?.role != "system" else { return self }
        return .messages([PromptMessage(role: "system", content: systemPrompt)] + messages)
    }
}

extension JSONObject {
    fileprivate func without(_ key: String) -> JSONObject {
        var rest = self
        rest[key] = nil
        return rest
    }
}

extension LineReader.Line {
    /// The JSON object of this line; errors name the file and the line in it.
    func object(path: String) throws -> JSONObject {
        let value: JSONValue
        do {
            value = try JSONValue.parse(bytes, source: path)
        } catch {
            throw FileError(path: path, line: number, message: "not valid JSON: \(error.message) (column \(error.column))")
        }
        guard let object = value.object else {
            throw FileError(path: path, line: number, message: "found \(value.kind), expected a JSON object")
        }
        return object
    }
}
