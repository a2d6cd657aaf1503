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

/// The prompts of a dataset, with the other columns kept for the rewards.
public struct PromptDataset: Sendable {
    /// One row.
    public struct Row: Sendable {
        /// What the completions answer.
        public var prompt: Prompt
        /// Every other column.
        public var columns: JSONObject
        /// What the model may call, each a JSON schema (TRL's column `tools`); nil for none.
        public var tools: [JSONValue]? { columns["tools"]?.array }
        /// The line of the file, from 1; nil for a row made by hand.
        public var line: Int?
        /// What it was read from.
        var record: DatasetRecord?

        /// A row made by hand.
        public init(prompt: Prompt, columns: JSONObject = JSONObject(), line: Int? = nil) {
            self.prompt = prompt
            self.columns = columns
            self.line = line
        }
    }

    /// The rows in the order of the file.
    public let rows: [Row]

    /// The columns that some row has beside the prompt.
    public var columnNames: Set<String> { Set(rows.flatMap { $0.columns.members.map(\.key) }) }

    /// A dataset made by hand.
    public init(rows: [Row]) {
        self.rows = rows
    }

    /// Reads a file of rows (JSON Lines, a JSON list, CSV; Parquet and Arrow through Python) or the local copy of a Hugging Face dataset.
    ///
    /// `systemPrompt` goes before conversations that begin without a system message; `name` and `split` choose among a directory's data. Throws a
    /// `FileError` or `JSONError` with file and line: a row that cannot be read or is longer than `lineLimit` bytes, a row without a prompt or with an
    /// empty one, a dataset without rows.
    public init(
        path: String, promptColumn: String = "prompt", systemPrompt: String? = nil, name: String? = nil, split: String = "train",
        lineLimit: Int = 1 << 20
    ) throws {
        let files = DatasetDirectory.exists(path) ? try DatasetDirectory.files(path, configuration: name, split: split) : [path]
        var rows: [Row] = []
        for file in files {
            for record in try DatasetFile.records(file, lineLimit: lineLimit) {
                guard let value = record.columns[promptColumn] else {
                    let columns = record.columns.members.map { "\"\($0.key)\"" }.prefix(16).joined(separator: ", ")
                    throw record.failure(
                        "no column \"\(promptColumn)\", found \(columns.isEmpty ? "none" : columns); name it with dataset_prompt_column")
                }
                do {
                    let prompt = try Prompt(value).with(systemPrompt: systemPrompt)
                    var row = Row(prompt: prompt, columns: record.columns.without(promptColumn), line: record.line)
                    row.record = record
                    rows.append(row)
                } catch {
                    throw record.failure("the prompt in column \"\(promptColumn)\" \(error.words)")
                }
            }
        }
        guard !rows.isEmpty else { throw FileError(path: path, message: "the file has no rows, expected one JSON object a line") }
        self.rows = rows
    }

    /// The dataset that a configuration names, or with `heldOut` the one that it is evaluated on: `eval_dataset_name`, or the split
    /// `dataset_test_split` of a directory; nil where there is none.
    public init?(_ configuration: GRPOConfiguration, heldOut: Bool = false) throws {
        if !heldOut, !configuration.mixture.parts.isEmpty {
            self.init(rows: try configuration.mixture.rows(configuration))
            return
        }
        let isWanted = configuration.evaluationStrategy != .never || configuration.evaluatesOnStart
        let ofDirectory = configuration.dataset.flatMap { isWanted && DatasetDirectory.exists($0) ? $0 : nil }
        guard let path = heldOut ? configuration.evaluationDataset ?? ofDirectory : configuration.dataset else { return nil }
        try self.init(
            path: path, promptColumn: configuration.promptColumn, systemPrompt: configuration.systemPrompt, name: configuration.datasetConfiguration,
            split: heldOut ? configuration.testSplit : configuration.trainSplit)
    }

    /// What is wrong with a row, told with its file and line.
    func failure(row: Int, _ error: some Error) -> FileError {
        rows[row].record?.failure("\(error)") ?? FileError(path: "dataset", line: rows[row].line ?? row + 1, message: "\(error)")
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
