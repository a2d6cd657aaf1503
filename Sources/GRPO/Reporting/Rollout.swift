public import JSON

/// One completion of a run, as `completions/` keeps it and `--replay` reads it back.
public struct Rollout: Sendable {
    /// The optimizer step for which it was generated, from 1.
    public var step: Int
    /// Which group of the generation batch it belongs to.
    public var group: Int
    /// What it answers; nil in recordings that leave it out.
    public var prompt: Prompt?
    /// The prompt's token ids.
    public var promptIDs: [Int32]
    /// The completion's token ids, the end token among them if one came.
    public var ids: [Int32]
    /// The sampler's log-prob of each id, natural log; nil in recordings that leave them out.
    public var logprobs: [Float]?
    /// The completion as text.
    public var text: String?
    /// `stop` when an end token or stop string came, `length` when `max_completion_length` did.
    public var finishReason: String?
    /// What each reward function said, by its name.
    public var rewards: [(name: String, value: Double?)]
    /// The weighted sum.
    public var reward: Double?
    /// The advantage it was trained with.
    public var advantage: Double?
    /// What reward functions wanted recorded (TRL's `log_extra`), by column.
    public var extra = JSONObject()

    /// A record; see the properties.
    public init(
        step: Int, group: Int, prompt: Prompt? = nil, promptIDs: [Int32], ids: [Int32], logprobs: [Float]? = nil, text: String? = nil,
        finishReason: String? = nil, rewards: [(name: String, value: Double?)], reward: Double? = nil, advantage: Double? = nil
    ) {
        self.step = step
        self.group = group
        self.prompt = prompt
        self.promptIDs = promptIDs
        self.ids = ids
        self.logprobs = logprobs
        self.text = text
        self.finishReason = finishReason
        self.rewards = rewards
        self.reward = reward
        self.advantage = advantage
    }

    /// The record as a line of `completions/step-000123.jsonl`; numbers are the shortest that read back as the same.
    public var json: JSONObject {
        func number(_ value: Double?) -> JSONValue { value.map { .number($0) } ?? .null }
        func numbers(_ ids: [Int32]) -> JSONValue { .array(ids.map { .integer(Int64($0)) }) }
        // The shortest text of a Float, not the many digits of the Double it is.
        let logprobs = logprobs.map { JSONValue.array($0.map { .number(Double(String($0)) ?? Double($0)) }) }
        var object = JSONObject([
            ("step", .integer(Int64(step))), ("group", .integer(Int64(group))), ("prompt", prompt?.json ?? .null), ("prompt_ids", numbers(promptIDs)),
            ("ids", numbers(ids)), ("logprobs", logprobs ?? .null), ("text", text.map { .string($0) } ?? .null),
            ("finish_reason", finishReason.map { .string($0) } ?? .null),
            ("rewards", .object(JSONObject(rewards.map { ($0.name, number($0.value)) }))), ("reward", number(reward)),
            ("advantage", number(advantage)),
        ])
        if !extra.members.isEmpty { object["extra"] = .object(extra) }
        return object
    }
}

extension Rollout {
    /// Reads a file of records, one JSON object a line. `prompt_ids`, `ids`, `group` and `rewards` are needed, the rest may be left out;
    /// `step` is for records that do not say theirs.
    ///
    /// Throws a `FileError` with the line and the key that is wrong.
    public static func read(contentsOf path: String, step: Int? = nil, lineLimit: Int = 16 << 20) throws -> [Rollout] {
        var reader = try LineReader(path: path, limit: lineLimit)
        var rollouts: [Rollout] = []
        while let line = try reader.next() {
            if line.isBlank { continue }
            do {
                rollouts.append(try Rollout(try line.object(path: path), step: step))
            } catch let problem as RecordProblem {
                throw FileError(path: path, line: line.number, message: problem.words)
            }
        }
        guard !rollouts.isEmpty else { throw FileError(path: path, message: "the file has no records, expected one JSON object a line") }
        return rollouts
    }

    private init(_ object: JSONObject, step: Int?) throws(RecordProblem) {
        func value(_ key: String) -> JSONValue? {
            if case .null? = object[key] { return nil }
            return object[key]
        }
        func fail(_ key: String, _ expected: String) -> RecordProblem {
            RecordProblem(words: "\"\(key)\": found \(value(key)?.kind ?? "nothing"), expected \(expected)")
        }
        func optional<T>(_ key: String, _ expected: String, _ read: (JSONValue) -> T?) throws(RecordProblem) -> T? {
            guard let found = value(key) else { return nil }
            guard let result = read(found) else { throw fail(key, expected) }
            return result
        }
        func required<T>(_ key: String, _ expected: String, _ read: (JSONValue) -> T?) throws(RecordProblem) -> T {
            guard let result = try optional(key, expected, read) else { throw fail(key, expected) }
            return result
        }
        func all<T>(_ json: JSONValue, _ read: (JSONValue) -> T?) -> [T]? {
            guard let items = json.array else { return nil }
            let values = items.compactMap(read)
            return values.count == items.count ? values : nil
        }
        func ids(_ json: JSONValue) -> [Int32]? {
            let ids = all(json) { $0.int.flatMap { Int32(exactly: $0) }.flatMap { $0 >= 0 ? $0 : nil } }
            return ids.flatMap { $0.isEmpty ? nil : $0 }
        }
        let idList = "a list of token ids that is not empty"
        guard let step = try optional("step", "a whole number", { $0.int }) ?? step else { throw fail("step", "a whole number") }
        self.step = step
        group = try required("group", "a whole number") { $0.int }
        promptIDs = try required("prompt_ids", idList, ids)
        self.ids = try required("ids", idList, ids)
        prompt = try value("prompt").map { json throws(RecordProblem) in try Prompt(json) }
        logprobs = try optional("logprobs", "a list of numbers") { all($0) { $0.double.map { Float($0) } } }
        if let logprobs, logprobs.count != self.ids.count {
            throw RecordProblem(words: "\"logprobs\": found \(logprobs.count) numbers, expected \(self.ids.count), one for each of \"ids\"")
        }
        text = try optional("text", "text") { $0.string }
        finishReason = try optional("finish_reason", "text") { $0.string }
        let members = try required("rewards", "an object of numbers by reward name") { $0.object }.members
        rewards = []
        for (name, value) in members {
            if case .null = value {
                rewards.append((name, nil))
            } else if let number = value.double {
                rewards.append((name, number))
            } else {
                throw RecordProblem(words: "\"rewards\": found \(value.kind) for \"\(name)\", expected a number or null")
            }
        }
        reward = try optional("reward", "a number") { $0.double }
        advantage = try optional("advantage", "a number") { $0.double }
    }
}
