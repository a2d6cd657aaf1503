import ArgumentParser
import Checkpoints
import Foundation
import GRPO
import JSON
import Qwen2

struct Score: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Log-probabilities of given text.",
        discussion: """
            A line of the input is {"text": ...}, {"ids": [...]} or {"prompt": ..., "completion": ...}. A line of the output has ids, logprobs (natural \
            logarithm, of each id after the first, or of each id of the completion) and perplexity. With --against one line for all of the input: how far the \
            model's predictions are from those of another one, such as the one it was quantised from.
            """)

    @OptionGroup var model: ModelOptions

    @Option(help: "A JSONL file.")
    var input: String

    @Option(help: "A model with the same tokens, taken for right: prints the mean divergence from it, agreement, and both perplexities.")
    var against: String?

    @Flag(help: "Accepted for symmetry: the output is always JSON Lines.")
    var json = false

    func run() throws {
        let rows = try ScoreRows.read(input)
        let text = try model.open()
        if let against { return try compare(text, with: against, on: rows) }
        var terminal = Terminal()
        for (index, row) in rows.enumerated() {
            let (group, ids) = try group(row, text)
            let logprobs = text.model.score([group]).logprobs
            let mean = logprobs.reduce(0.0) { $0 + Double($1) } / Double(max(logprobs.count, 1))
            terminal.clear()
            try printJSON([("ids", .ids(ids)), ("logprobs", .floats(logprobs)), ("perplexity", .number(exp(-mean)))])
            terminal.update("\(index + 1) of \(rows.count) rows")
        }
        terminal.clear()
    }
    private func group(_ row: ScoreRows, _ text: TextModel) throws -> (group: TokenGroup, ids: [Int32]) {
        do {
            return try row.group(text)
        } catch {
            throw FileError(path: input, line: row.line, message: "\(error)")
        }
    }

    /// One line: the mean and the 99th percentile of the divergences of all tokens, how often both models think the same token most probable, and the
    /// perplexity under each. The other model computes in FP32 or BF16, whatever is quantised here.
    private func compare(_ text: TextModel, with other: String, on rows: [ScoreRows]) throws {
        let reference = try Qwen2Model(Checkpoint(opening: other), computeType: model.dtype == .float32 ? .float32 : .bfloat16)
        let (own, theirs) = (text.model.configuration.vocabularySize, reference.configuration.vocabularySize)
        guard own == theirs else {
            throw CheckpointError(
                path: other, message: "has \(theirs) tokens, and \(model.model) \(own): only models of one vocabulary can be compared")
        }
        var terminal = Terminal()
        var all = Divergence()
        for (index, row) in rows.enumerated() {
            all.append(text.model.divergence(from: reference, on: [try group(row, text).group]))
            terminal.update("\(index + 1) of \(rows.count) rows")
        }
        terminal.clear()
        let count = all.divergences.count
        guard count > 0 else { throw FileError(path: input, line: rows[0].line, message: "there is no token to predict") }
        func mean(_ values: [Float]) -> Double { values.reduce(0.0) { $0 + Double($1) } / Double(count) }
        try printJSON([
            ("tokens", .integer(Int64(count))), ("mean_kl", .number(mean(all.divergences))),
            ("kl_99", .number(Double(all.divergences.sorted()[min(count - 1, count * 99 / 100)]))),
            ("top1_agreement", .number(Double(all.agreements.filter { $0 }.count) / Double(count))),
            ("perplexity", .number(exp(-mean(all.logprobs)))), ("perplexity_against", .number(exp(-mean(all.referenceLogprobs)))),
        ])
    }
}
