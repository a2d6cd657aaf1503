internal import JSON
public import Qwen2
internal import Tokenizer

/// Rows whose log-probabilities are asked for: text, ids, or a prompt with its completion.
public struct ScoreRows: Sendable {
    /// The line of the file, from 1.
    public let line: Int
    private let content: Content

    private enum Content: Sendable {
        case text(String)
        case ids([Int32])
        case completion(Prompt, String)
    }

    /// Reads a JSONL file.
    /// - Throws: a `FileError` naming the line that is none of the three.
    public static func read(_ path: String, lineLimit: Int = 16 << 20) throws -> [ScoreRows] {
        var reader = try LineReader(path: path, limit: lineLimit)
        var rows: [ScoreRows] = []
        while let line = try reader.next() {
            if line.isBlank { continue }
            let object = try line.object(path: path)
            func fail(_ message: String) -> FileError { FileError(path: path, line: line.number, message: message) }
            if let text = object["text"]?.string {
                rows.append(ScoreRows(line: line.number, content: .text(text)))
            } else if let list = object["ids"]?.array {
                let ids = list.compactMap { $0.int.flatMap(Int32.init(exactly:)) }
                guard ids.count == list.count else { throw fail("\"ids\": expected a list of token ids") }
                rows.append(ScoreRows(line: line.number, content: .ids(ids)))
            } else if let prompt = object["prompt"], let completion = object["completion"]?.string {
                do throws(RecordProblem) {
                    rows.append(ScoreRows(line: line.number, content: .completion(try Prompt(prompt), completion)))
                } catch {
                    throw fail("\"prompt\" \(error.words)")
                }
            } else {
                throw fail("expected {\"text\"}, {\"ids\"} or {\"prompt\", \"completion\"}")
            }
        }
        guard !rows.isEmpty else { throw FileError(path: path, message: "the file has no rows, expected one JSON object a line") }
        return rows
    }

    /// The row for the model, and the ids that its output shows.
    /// - Throws: `PromptError` for fewer than two ids, ids the model does not have, or more than its context.
    public func group(_ model: TextModel) throws(PromptError) -> (group: TokenGroup, ids: [Int32]) {
        let group: TokenGroup
        let shown: [Int32]
        switch content {
        case .text(let text):
            shown = try model.ids(ofText: text, begins: true)
            group = TokenGroup(prompt: Array(shown.prefix(1)), completions: [Array(shown.dropFirst())])
        case .ids(let ids):
            shown = ids
            group = TokenGroup(prompt: Array(shown.prefix(1)), completions: [Array(shown.dropFirst())])
        case .completion(let prompt, let completion):
            shown = try model.ids(ofText: completion)
            group = TokenGroup(prompt: try model.ids(of: prompt), completions: [shown])
        }
        let vocabulary = Int32(clamping: model.model.configuration.vocabularySize)
        let all = group.prompt + group.completions[0]
        guard !group.prompt.isEmpty, !group.completions[0].isEmpty else {
            throw PromptError(message: "has nothing to score, expected at least two tokens")
        }
        if let id = all.first(where: { $0 < 0 || $0 >= vocabulary }) {
            throw PromptError(message: "has the id \(id), the model has 0 to \(vocabulary - 1)")
        }
        guard all.count <= model.model.configuration.contextLength else {
            throw PromptError(message: "has \(all.count) tokens, the model's context holds \(model.model.configuration.contextLength)")
        }
        return (group, shown)
    }
}
