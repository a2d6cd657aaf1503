import ArgumentParser
import Checkpoints
import Foundation
import GRPO
import JSON
import Qwen2
import SafeTensors

struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write a checkpoint in another format.",
        discussion: """
            safetensors: a Hugging Face directory. packed: the same without loss at about two thirds of the size. delta: only what differs from a base \
            (--base), without loss. int8, int4: compressed-tensors, for transformers and vLLM. gguf: one file for llama.cpp and Ollama (--quantize). \
            Whatever is written opens with every command here. The plan is checked before the first byte; --dry-run shows it and stops.
            """)

    @Argument(help: "A checkpoint directory, a .gguf or .safetensors file, or an export of ours.")
    var source: String

    @Argument(help: "The directory, or the .gguf file, to write.")
    var destination: String

    @Option(help: "safetensors, packed, delta, int8, int4 or gguf.", transform: ExportRequest.Format.init(argument:))
    var to: ExportRequest.Format

    @Option(help: "Element type: bfloat16, float16 or float32; by default each tensor keeps its own.")
    var dtype: ElementType?

    @Option(help: ArgumentHelp("gguf: \(GGUFRecipe.names.joined(separator: ", ")); bf16 by default.", valueName: "type"))
    var quantize: String?

    @Option(help: "int4, int8: weights that share a scale; by default what the shapes allow.")
    var groupSize: Int?

    @Option(help: "gguf, int4, int8: a text file; the errors that matter on such text are made small, at the cost of others.")
    var imatrix: String?

    @Option(help: "delta: the checkpoint it starts from, or where a delta's base is now.")
    var base: String?

    @Option(help: "A PEFT adapter (LoRA) to merge into the weights.")
    var mergeAdapter: String?

    @Option(help: "The most bytes of tensors in a file: 500MB, 5GB; one file by default.")
    var maxShardSize: ByteSize?

    @Flag(help: "float16: numbers beyond 65504 become 65504.")
    var saturate = false

    @Flag(help: "gguf: give a tensor whose rows do not divide into the type's blocks another type.")
    var allowFallback = false

    @Flag(help: "Show what would be written, tensor by tensor, refuse what would be refused, and stop.")
    var dryRun = false

    @Flag(help: "Read back what was written and compare it with the source.")
    var verify = false

    @Flag(help: "Replace an existing checkpoint.")
    var force = false

    mutating func validate() throws {
        func only(_ option: String, _ isGiven: Bool, for formats: ExportRequest.Format...) throws {
            guard isGiven, !formats.contains(to) else { return }
            throw ValidationError("\(option) is for --to \(formats.map(\.rawValue).joined(separator: ", ")), not \(to.rawValue)")
        }
        try only("--quantize", quantize != nil, for: .gguf)
        try only("--allow-fallback", allowFallback, for: .gguf)
        try only("--group-size", groupSize != nil, for: .int4, .int8)
        try only("--imatrix", imatrix != nil, for: .gguf, .int4, .int8)
        if imatrix != nil, mergeAdapter != nil { throw ValidationError("--imatrix and --merge-adapter: merge first, then quantise what came out") }
        try only("--max-shard-size", maxShardSize != nil, for: .safetensors, .packed, .delta, .int8, .int4)
        try only("--dtype", dtype != nil, for: .safetensors, .packed, .delta)
        if to == .delta, base == nil { throw ValidationError("--to delta needs --base, the checkpoint to take the difference from") }
        if saturate, dtype != .float16 { throw ValidationError("--saturate is for --dtype float16") }
        if let quantize, GGUFRecipe(quantize) == nil {
            throw ValidationError("--quantize \(quantize) is not known; it is one of \(GGUFRecipe.names.joined(separator: ", "))")
        }
    }

    func run() throws {
        let base = try base.map { try Checkpoint(opening: $0, anyModel: true) }
        let opened = try Checkpoint(opening: source, anyModel: to != .gguf, base: to == .delta ? nil : base)
        let checkpoint: any CheckpointView = try mergeAdapter.map { try MergedCheckpoint(opened, adapter: $0) } ?? opened
        let importance = dryRun ? nil : try imatrix.map { try Self.importance(of: opened, on: $0) }
        var request = ExportRequest(to, recipe: quantize.flatMap(GGUFRecipe.init) ?? .bf16)
        (request.type, request.base, request.groupSize, request.importance) = (dtype, base, groupSize, importance)
        (request.maxShardSize, request.saturates, request.allowsFallback) = (maxShardSize?.bytes ?? .max, saturate, allowFallback)
        let export = try request.export(checkpoint, to: destination)
        let plan = export.plan
        if dryRun {
            try PlanReport(plan, from: source, to: destination).print()
            return try export.check(overwrite: force)
        }
        for substitution in plan.substitutions { Terminal.write("\(PlanReport.line(substitution))\n") }
        var terminal = Terminal()
        let started = ContinuousClock.now
        try export.write(overwrite: force) { done, total in
            terminal.update(Terminal.progress(done, total, since: started))
        }
        terminal.clear()
        if verify {
            let written = try Checkpoint(opening: destination, anyModel: true, base: base)
            let report = try ExportVerification(source: checkpoint, written: written) { done, total in
                terminal.update("verifying: \(Terminal.progress(done, total, since: started))")
            }
            terminal.clear()
            if let problem = report.problem { throw CheckpointError(path: destination, tensor: problem.tensor, message: problem.message) }
            let worst =
                report.worst.map { String(format: ", %d quantised, relative error at most %.4f (%@)", report.lossy, $0.error, $0.tensor) } ?? ""
            Terminal.write("\(destination): verified: \(report.exact) tensors the same to the bit\(report.lossy > 0 ? worst : "")\n")
        }
        let size = PlanReport.size(of: destination)
        let plain = checkpoint.tensors.reduce(0) { $0 + $1.count }
        Terminal.write(
            "\(destination): \(plan.files.reduce(0) { $0 + $1.tensors.count }) tensors, \(plain) weights, \(Terminal.bytes(size)) in "
                + "\(Terminal.time(Terminal.seconds(ContinuousClock.now - started)))\(ratio(size, of: checkpoint))\n")
        for note in plan.notes { Terminal.write("note: \(note)\n") }
    }

    /// What matters to the model on a text.
    private static func importance(of checkpoint: Checkpoint, on path: String) throws -> ImportanceMatrix {
        let text = String(decoding: try BoundedFile.read(path, limit: 64 << 20), as: UTF8.self)
        Qwen2Model.useThreads()
        let model = try TextModel(checkpoint)
        var terminal = Terminal()
        defer { terminal.clear() }
        let started = ContinuousClock.now
        do throws(PromptError) {
            return try model.importance(ofText: text) { done, total in
                terminal.update("reading \(path): \(Terminal.progress(done, total, since: started))")
            }
        } catch {
            throw CheckpointError(path: path, message: error.message)
        }
    }

    /// What compression has saved.
    private func ratio(_ size: Int, of checkpoint: any CheckpointView) -> String {
        guard to == .packed || to == .delta else { return "" }
        let plain = checkpoint.tensors.reduce(0) { $0 + $1.count * (dtype?.byteCount ?? ($1.storedType?.bitCount ?? 16) / 8) }
        return String(format: " (%.1f %% of %@)", 100 * Double(size) / Double(max(plain, 1)), Terminal.bytes(plain))
    }
}

extension ExportRequest.Format {
    /// The format of that name; the error is one line, which ArgumentParser's own is not for so many.
    fileprivate init(argument: String) throws {
        guard let format = Self(rawValue: argument) else {
            throw ValidationError("it is one of \(Self.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self = format
    }
}

/// `500MB`, `5GB`, in decimal units as transformers has them, or a plain number of bytes.
struct ByteSize: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        let units = [("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("", 1)]
        for (unit, factor) in units where argument.uppercased().hasSuffix(unit) {
            guard let count = Int(argument.dropLast(unit.count)), count > 0,
                case let (bytes, overflow) = count.multipliedReportingOverflow(by: factor),
                !overflow
            else { return nil }
            self.bytes = bytes
            return
        }
        return nil
    }
}
