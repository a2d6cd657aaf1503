import ArgumentParser
import GRPO
import JSON
import Qwen2

struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Continue prompts.")

    @OptionGroup var model: ModelOptions
    @OptionGroup var sampling: SamplingOptions

    @Option(help: "What to say to the model.")
    var prompt: String?

    @Option(help: "A JSONL file of prompts: {\"prompt\": text or a list of {role, content}} a line.")
    var input: String?

    @Option(help: "A system message for prompts without one.")
    var system: String?

    @Flag(help: "Give text to the model as it is, without the chat template.")
    var raw = false

    @Option(parsing: .singleValue, help: "End a completion before this text; may be given several times.")
    var stop: [String] = []

    @Option(parsing: .unconditional, help: "A regular expression that every completion is made to match, from its first character to its last.")
    var regex: String?

    @Option(name: [.customLong("num-return")], parsing: .unconditional, help: "Completions a prompt.")
    var count = 1

    @Flag(help: "Go on after an end-of-sequence token.")
    var ignoreEos = false

    @Flag(help: "A JSON object a completion: prompt_ids, ids, logprobs, text, finish_reason.")
    var json = false

    /// Completions that are decoded together: more would hardly be faster, and memory is bounded however many are wanted.
    private static let batch = 64

    func run() throws {
        try check()
        let rows = try input.map { try PromptDataset(path: $0).rows } ?? [PromptDataset.Row(prompt: .text(prompt ?? ""))]
        let text = try model.open()
        let prompts = try rows.map { row in
            do {
                return try text.ids(of: asked(row.prompt))
            } catch {
                throw input.map { FileError(path: $0, line: row.line, message: "\(error)") } ?? error as any Error
            }
        }
        var parameters = sampling.parameters
        if !ignoreEos { parameters.endTokens = text.endTokens }
        let constraint = try regex.map { try TokenConstraint(expression: $0, model: text, endTokens: parameters.endTokens) }
        var waiting = prompts.enumerated().flatMap { row, prompt in
            stride(from: 0, to: count, by: Self.batch).map { first in
                GenerationRequest(prompt: prompt, count: min(Self.batch, count - first), stream: UInt64(row) * UInt64(count) + UInt64(first))
            }
        }[...]
        while !waiting.isEmpty {
            var requests = [waiting.removeFirst()]
            var size = requests[0].count
            while let next = waiting.first, size + next.count <= Self.batch {
                size += next.count
                requests.append(waiting.removeFirst())
            }
            try generate(requests, of: prompts.count * count, text, parameters, constraint)
        }
    }

    /// Here and not in `validate`, so that a mistyped option is what the user hears of first.
    private func check() throws {
        if (prompt == nil) == (input == nil) { throw ValidationError("give either --prompt TEXT or --input FILE") }
        if prompt == "" { throw ValidationError("--prompt is empty, expected text") }
        if !(1...1_000_000).contains(count) { throw ValidationError("--num-return is \(count), expected 1 to 1000000") }
        if stop.contains("") { throw ValidationError("--stop is empty, expected text") }
        if let regex {
            do throws(ConstraintError) { _ = try PatternAutomaton(regex) } catch { throw ValidationError("--regex: \(error)") }
        }
        if raw && system != nil { throw ValidationError("--system goes through the chat template, which --raw leaves out: give one of them") }
    }

    /// Decodes some of the `total` completions and prints them.
    private func generate(
        _ requests: [GenerationRequest], of total: Int, _ text: TextModel, _ parameters: SamplingParameters, _ constraint: TokenConstraint?
    ) throws {
        // A single completion is shown as it is made.
        let streams = !json && total == 1
        var unwritten: FileError?
        var followed = requests.map { request in (0..<request.count).map { _ in CompletionText(text.tokenizer, stop: stop) } }
        let rules = constraint.map { AnswerRules(requests, tokenizer: text.tokenizer, constraint: $0) }
        var terminal = Terminal()
        let started = ContinuousClock.now
        let completions = text.model.generate(
            requests, parameters,
            shouldStop: { request, completion, ids in
                let isWhole = rules?.shouldStop(request, completion, ids) ?? false
                guard streams || !stop.isEmpty, let id = ids.last else { return isWhole }
                let piece = followed[request][completion].append(id)
                if streams {
                    do throws(FileError) { try StandardOutput.write(piece) } catch { unwritten = error }
                }
                return isWhole || followed[request][completion].isStopped || unwritten != nil
            },
            allowed: rules?.allowed,
            progress: { state in
                if !streams {
                    let speed = Double(state.tokens) / Terminal.seconds(ContinuousClock.now - started)
                    terminal.update("\(state.tokens) tokens, \(state.active) completions going on, \(Int(speed)) tokens/s")
                }
            })
        terminal.clear()
        if let unwritten { throw unwritten }
        for (index, request) in requests.enumerated() {
            for (place, completion) in completions[index].enumerated() {
                if streams {
                    try StandardOutput.line(followed[index][place].finish())
                    continue
                }
                var decoded = text.text(of: completion.ids)
                if !stop.isEmpty {
                    _ = followed[index][place].finish()
                    decoded = followed[index][place].text
                }
                guard json else {
                    try StandardOutput.line(decoded)
                    if total > 1 { try StandardOutput.line("---") }
                    continue
                }
                try printJSON([
                    ("prompt_ids", .ids(request.prompt)), ("ids", .ids(completion.ids)), ("logprobs", .floats(completion.logprobs)),
                    ("text", .string(decoded)), ("finish_reason", .string(completion.finishReason.rawValue)),
                ])
            }
        }
    }

    /// Text becomes what a user says, unless it is to go to the model as it is.
    private func asked(_ prompt: Prompt) -> Prompt {
        switch prompt {
        case .text(let text): raw ? prompt : Prompt.messages([PromptMessage(role: "user", content: text)]).with(systemPrompt: system)
        case .messages: prompt.with(systemPrompt: system)
        }
    }
}
