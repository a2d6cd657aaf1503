import ArgumentParser
import Foundation
import Logging
import Qwen2

/// The program: one file a command in `Commands/`.
@main
struct GRPOCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grpo-cli",
        abstract: "Fine-tune language models with GRPO on the CPU, generate from them, convert them.",
        discussion: """
            MODEL is a Hugging Face checkpoint directory, a .gguf file, an export of ours or a LoRA adapter's directory. Results go to standard output, \
            progress to standard error; --json prints JSON Lines. The exit code is 0, 1 when it failed (one line says why) or 64 for wrong usage.
            """,
        version: "0.1.0",
        subcommands: [
            Train.self, Generate.self, Evaluate.self, Score.self, Tokenize.self, Convert.self, Inspect.self, Diff.self, Verify.self, Bench.self,
        ])

    static func main() {
        // A full disk (a limit on file sizes included) is an error to be told; a reader of our output that has gone ends the program quietly.
        signal(SIGXFSZ, SIG_IGN)
        signal(SIGPIPE, SIG_DFL)
        LoggingSystem.bootstrap { _ in TerminalLog() }
        if let wish = ProcessInfo.processInfo.environment["GRPO_ISA"], wish != Qwen2Model.instructionSet {
            Logger(label: "grpo-cli").warning(
                "GRPO_ISA is \"\(wish)\", which is not scalar, avx2, avx512, avx512vnni or avx512bf16 (AArch64: scalar or neon) or not of this CPU: using \(Qwen2Model.instructionSet)"
            )
        }
        Self.main(nil)
    }
}
