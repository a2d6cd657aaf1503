import ArgumentParser
import Foundation
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

    @Option(name: [.customLong("num-return")], help: "Completions a prompt.")
    var count = 1

    @Flag(help: "Go on after an end-of-sequence token.")
    var ignoreEos = false

    @Flag(help: "A JSON object a completion: prompt_ids, ids, logprobs, text, finish_reason.")
    var json = false

    func validate() throws {
        if (prompt == nil) == (input == nil) { throw ValidationError("give either --prompt TEXT or --input FILE") }
        if count < 1 { throw ValidationError("--num-return is \(count), expected at least 1") }
        if stop.contains("") { throw ValidationError("--stop is empty, expected text") }
    }

    func run() throws {
        let prompts = try input.map { try PromptDataset(path: $0).rows.map(\.prompt) } ?? [.text(prompt ?? "")]
        let text = try model.open()
        let requests = try prompts.enumerated().map { row, prompt in
            do {
                return GenerationRequest(prompt: try text.ids(of: asked(prompt)), count: count, stream: UInt64(row * count))
            } catch {
                throw input.map { FileError(path: $0, message: "row \(row + 1): \(error)") } ?? error as any Error
            }
        }
        var parameters = sampling.parameters
        if !ignoreEos { parameters.endTokens = text.endTokens }

        // A single completion is shown as it is made.
        let streams = !json && requests.count == 1 && count == 1
        var followed = requests.map { _ in (0..<count).map { _ in CompletionText(text.tokenizer, stop: stop) } }
        var terminal = Terminal()
        let started = ContinuousClock.now
        let completions = text.model.generate(
            requests, parameters,
            shouldStop: { request, completion, ids in
                guard streams || !stop.isEmpty, let id = ids.last else { return false }
                let piece = followed[request][completion].append(id)
                if streams { FileHandle.standardOutput.write(Data(piece.utf8)) }
                return followed[request][completion].isStopped
            },
            progress: { state in
                if !streams {
                    let speed = Double(state.tokens) / Terminal.seconds(ContinuousClock.now - started)
                    terminal.update("\(state.tokens) tokens, \(state.active) completions going on, \(Int(speed)) tokens/s")
                }
            })
        terminal.clear()
        for (index, request) in requests.enumerated() {
            for (place, completion) in completions[index].enumerated() {
                if streams {
                    print(followed[index][place].finish())
                    continue
                }
                var decoded = text.text(of: completion.ids)
                if !stop.isEmpty {
                    _ = followed[index][place].finish()
                    decoded = followed[index][place].text
                }
                guard json else {
                    print(decoded)
                    if requests.count > 1 || count > 1 { print("---") }
                    continue
                }
                printJSON([
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
