import ArgumentParser
import Checkpoints
import Foundation
import GRPO
import JSON

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare two checkpoints.",
        discussion: """
            Tensors are compared number by number, whatever the formats: the share that changed, the largest distance in units in the last place, the relative \
            error and the cosine. The exit code is 0 when nothing differs, 1 when something does.
            """)

    @Argument(help: "A checkpoint directory, a LoRA adapter's, a .gguf or .safetensors file, or an export of ours.")
    var left: String

    @Argument(help: "What to compare it with.")
    var right: String

    @Flag(help: "A JSON object.")
    var json = false

    @Flag(help: "Every tensor, not only those that differ.")
    var all = false

    func run() throws {
        let (a, b) = (try Checkpoint(lookingAt: left), try Checkpoint(lookingAt: right))
        var terminal = Terminal()
        let started = ContinuousClock.now
        let comparison = try CheckpointComparison(a, b) { done, total in terminal.update(Terminal.progress(done, total, since: started)) }
        terminal.clear()
        if json { try printJSON(members(comparison)) } else { try text(comparison) }
        if !comparison.isEqual { throw ExitCode(1) }
    }

    private func text(_ comparison: CheckpointComparison) throws {
        for name in comparison.onlyLeft { try StandardOutput.line("only in \(left): \(name)") }
        for name in comparison.onlyRight { try StandardOutput.line("only in \(right): \(name)") }
        for tensor in comparison.reshaped { try StandardOutput.line("\(tensor.name): \(tensor.left) and \(tensor.right)") }
        for tensor in comparison.tensors where all || tensor.changed > 0 {
            try StandardOutput.line(
                String(
                    format: "%@: %.4f %% changed, at most %@, relative error %.3g, cosine %.9f", tensor.name,
                    100 * Double(tensor.changed) / Double(max(1, tensor.count)), "\(tensor.largestUlp) ulp", tensor.relativeError, tensor.cosine))
        }
        for (key, a, b) in comparison.configuration {
            try StandardOutput.line("config.json: \(key): \(a?.serialized() ?? "missing") and \(b?.serialized() ?? "missing")")
        }
        for name in comparison.companions { try StandardOutput.line("\(name) differs") }
        if !comparison.restored.isEmpty {
            let kinds = Set(comparison.restored.map { "\($0.left) and \($0.right)" }).sorted().joined(separator: ", ")
            try StandardOutput.line("stored differently: \(comparison.restored.count) tensors (\(kinds))")
        }
        let count = comparison.tensors.reduce(0) { $0 + $1.count }
        let changed = comparison.tensors.reduce(0) { $0 + $1.changed }
        try StandardOutput.line(
            "\(comparison.tensors.count) tensors compared, \(comparison.tensors.filter { $0.changed > 0 }.count) differ; \(changed) of \(count) weights changed"
                + String(format: " (%.4f %%)", 100 * Double(changed) / Double(max(1, count))))
    }

    private func members(_ comparison: CheckpointComparison) -> [(key: String, value: JSONValue)] {
        func names(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
        let tensors = comparison.tensors.filter { all || $0.changed > 0 }.map { tensor in
            JSONValue.object(
                JSONObject([
                    ("name", .string(tensor.name)), ("elements", .integer(Int64(tensor.count))), ("changed", .integer(Int64(tensor.changed))),
                    ("largest_ulp", .integer(Int64(clamping: tensor.largestUlp))),
                    ("relative_error", tensor.relativeError.isFinite ? .number(tensor.relativeError) : .null), ("cosine", .number(tensor.cosine)),
                ]))
        }
        return [
            ("equal", .bool(comparison.isEqual)), ("only_left", names(comparison.onlyLeft)), ("only_right", names(comparison.onlyRight)),
            ("reshaped", names(comparison.reshaped.map(\.name))), ("stored_differently", names(comparison.restored.map(\.name))),
            ("config", names(comparison.configuration.map(\.key))), ("files", names(comparison.companions)),
            ("elements", .integer(Int64(comparison.tensors.reduce(0) { $0 + $1.count }))),
            ("changed", .integer(Int64(comparison.tensors.reduce(0) { $0 + $1.changed }))), ("tensors", .array(tensors)),
        ]
    }
}
