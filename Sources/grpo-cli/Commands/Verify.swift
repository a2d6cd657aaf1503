import ArgumentParser
import Checkpoints
import GRPO

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read every byte of a checkpoint and say whether it is whole.",
        discussion: "Headers, sizes and checksums are checked, and every number: a tensor with NaN or infinity makes the exit code 1, as damage does."
    )

    @Argument(help: "A checkpoint directory, a LoRA adapter's, a .gguf or .safetensors file, or an export of ours.")
    var path: String

    @Flag(help: "NaN and infinity are told, but are no reason to fail.")
    var allowNonfinite = false

    func run() throws {
        let checkpoint = try Checkpoint(lookingAt: path)
        for warning in checkpoint.warnings { Terminal.write("warning: \(path): \(warning)\n") }
        var terminal = Terminal()
        let started = ContinuousClock.now
        let total = checkpoint.tensors.reduce(0) { $0 + $1.count }
        var done = 0
        var numbers = 0
        for tensor in checkpoint.tensors {
            if tensor.isNumeric {
                let found = try checkpoint.statistics(of: tensor.name)
                if let first = found.firstNonFinite {
                    let message = "\(found.nans) NaN and \(found.infinities) infinite numbers of \(found.count), the first at element \(first)"
                    guard allowNonfinite else { throw CheckpointError(path: path, tensor: tensor.name, message: message) }
                    try StandardOutput.line("\(tensor.name): \(message)")
                }
                numbers += 1
            }
            done += tensor.count
            terminal.update(Terminal.progress(done, total, since: started))
        }
        terminal.clear()
        for name in checkpoint.companionNames { _ = try checkpoint.companion(name) }
        try StandardOutput.line(
            "\(path): whole: \(checkpoint.format.rawValue), \(checkpoint.tensors.count) tensors, \(total) elements, "
                + "\(numbers == checkpoint.tensors.count ? "all" : "\(numbers) tensors of numbers") read"
                + "; fingerprint \(Checkpoint.hexadecimal(try checkpoint.fingerprint()))")
    }
}
