import ArgumentParser
import Foundation
import GRPO
import JSON
import Qwen2

struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Log-probabilities of given text.",
        discussion: """
            A line of the input is {"text": ...}, {"ids": [...]} or {"prompt": ..., "completion": ...}. A line of the output has ids, logprobs (natural \
            logarithm, of each id after the first, or of each id of the completion) and perplexity.
            """)

    @OptionGroup var model: ModelOptions

    @Option(help: "A JSONL file.")
    var input: String

    @Flag(help: "Accepted for symmetry: the output is always JSON Lines.")
    var json = false

    func run() throws {
        let rows = try ScoreRows.read(input)
        let text = try model.open()
        var terminal = Terminal()
        for (index, row) in rows.enumerated() {
            let group: TokenGroup
            let ids: [Int32]
            do {
                (group, ids) = try row.group(text)
            } catch {
                throw FileError(path: input, line: row.line, message: "\(error)")
            }
            let logprobs = text.model.score([group]).logprobs
            let mean = logprobs.reduce(0.0) { $0 + Double($1) } / Double(max(logprobs.count, 1))
            terminal.clear()
            try printJSON([("ids", .ids(ids)), ("logprobs", .floats(logprobs)), ("perplexity", .number(exp(-mean)))])
            terminal.update("\(index + 1) of \(rows.count) rows")
        }
        terminal.clear()
    }
}
