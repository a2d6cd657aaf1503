import Checkpoints
import GGUF
import Glibc
import JSON
import SafeTensors
import Tokenizer

/// What reads an input. What it must not do: crash, hang, take much memory, disturb a sanitizer, or break what is said below.
enum Target: String, CaseIterable {
    /// A document: what was read is written, and read again it is the same.
    case json
    /// tokenizer.json: what loads encodes and decodes as `TokenizerFuzzing` says.
    case tokenizer
    /// One file of weights, and the same packed, and as differences from `Seeds.base`.
    case safetensors, packed, delta
    /// config.json, a NUL, and model.safetensors: integers, in all the ways they are quantised.
    case integers
    /// A model in one file: every number of it, then the checkpoint that is made of it.
    case gguf

    /// The one of this process.
    static let current = CommandLine.arguments.count > 1 ? Target(rawValue: CommandLine.arguments[1]) ?? .json : .json
    private static let base = try? Checkpoint(opening: Seeds.base, anyModel: true)

    /// Reads everything of an input; throws the error that a user would see.
    func read(_ input: UnsafeRawBufferPointer) throws {
        switch self {
        case .json:
            let value = try JSONValue.parse(input, source: "input")
            let again = try JSONValue.parse(Array(value.serialized().utf8), source: "again")
            precondition(again == value, "written and read, it is another document")
        case .tokenizer:
            let seed = input.reduce(UInt64(0)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
            var fuzzing = TokenizerFuzzing(random: SeededGenerator(state: seed))
            do {
                try fuzzing.use(Array(input))
            } catch let finding as TokenizerFuzzing.Finding {
                preconditionFailure(finding.description)
            }
        case .safetensors, .packed, .delta:
            try readCheckpoint(try write(input, "input.safetensors"))
        case .integers:
            let end = input.firstIndex(of: 0) ?? input.endIndex
            mkdir("input", 0o755)
            _ = try write(UnsafeRawBufferPointer(rebasing: input[..<end]), "input/config.json")
            _ = try write(UnsafeRawBufferPointer(rebasing: input[min(end + 1, input.count)...]), "input/model.safetensors")
            try readCheckpoint("input")
        case .gguf:
            let path = try write(input, "input.gguf")
            let file = try GGUFFile(opening: path)
            for (_, value) in file.metadata {
                _ = value.array?.integers
                value.array?.forEachString { _, bytes in _ = bytes.count }
            }
            for tensor in file.tensors where tensor.rowLength * tensor.rowCount < 1 << 20 {
                var numbers = [Float](repeating: 0, count: tensor.rowLength * tensor.rowCount)
                _ = try? numbers.withUnsafeMutableBufferPointer { try file.read(tensor, rows: 0..<tensor.rowCount, into: $0) }
            }
            try readCheckpoint(path)
        }
    }

    /// Opens and reads everything; the numbers are thrown away.
    private func readCheckpoint(_ path: String) throws {
        let checkpoint = try Checkpoint(opening: path, anyModel: true, base: Self.base)
        for name in checkpoint.companionNames { _ = try? checkpoint.companion(name) }
        for tensor in checkpoint.tensors where tensor.isNumeric { _ = try? checkpoint.statistics(of: tensor.name) }
        _ = try checkpoint.fingerprint()
    }

    private func write(_ bytes: UnsafeRawBufferPointer, _ name: String) throws -> String {
        unlink(name)
        guard let file = fopen(name, "w") else { throw Seeds.Failure(path: name) }
        defer { fclose(file) }
        guard fwrite(bytes.baseAddress, 1, bytes.count, file) == bytes.count else { throw Seeds.Failure(path: name) }
        return name
    }
}
