import Foundation
import JSON
import Testing

/// What a run of the program left.
struct Outcome {
    var status: Int32
    var signalled: Bool
    var output: String
    var errors: String

    var outputLines: [String] { output.split(separator: "\n").map(String.init) }
    var errorLines: [String] { errors.split(separator: "\n").map(String.init) }

    /// Standard output as JSON Lines.
    var json: [JSONValue] { get throws { try outputLines.map { try JSONValue.parse(Array($0.utf8), source: "standard output") } } }
}

/// The built `grpo-cli` and a directory of its own to run in.
final class Workspace {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("grpo-cli-tests-\(UUID().uuidString)").path

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The program lies beside the test bundle.
    static let program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("grpo-cli").path

    // MARK: Running

    /// Runs the program here; files are named relative to this directory.
    @discardableResult
    func run(_ arguments: String..., input: String = "") throws -> Outcome { try launch(Self.program, arguments, input: input) }

    @discardableResult
    func run(_ arguments: [String]) throws -> Outcome { try launch(Self.program, arguments) }

    /// Runs a line of bash, in which `$G` is the program.
    @discardableResult
    func bash(_ line: String) throws -> Outcome { try launch("/bin/bash", ["-c", line]) }

    private func launch(_ program: String, _ arguments: [String], input: String = "") throws -> Outcome {
        let streams = ".\(UUID().uuidString)"
        defer { for end in ["in", "out", "err"] { try? FileManager.default.removeItem(atPath: "\(path)/\(streams).\(end)") } }
        let process = try start(program, arguments: arguments, streams: streams, input: input)
        process.waitUntilExit()
        return Outcome(
            status: process.terminationStatus, signalled: process.terminationReason == .uncaughtSignal, output: try text("\(streams).out"),
            errors: try text("\(streams).err"))
    }

    /// Starts without waiting for the end; the streams are files, so that no full pipe can hold the program.
    func start(_ program: String = Workspace.program, arguments: [String], streams: String, input: String = "") throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: path)
        process.environment = ProcessInfo.processInfo.environment.merging(["G": Self.program]) { $1 }
        try write("\(streams).in", input)
        try write("\(streams).out", "")
        try write("\(streams).err", "")
        process.standardInput = FileHandle(forReadingAtPath: "\(path)/\(streams).in")
        process.standardOutput = FileHandle(forWritingAtPath: "\(path)/\(streams).out")
        process.standardError = FileHandle(forWritingAtPath: "\(path)/\(streams).err")
        // The threads that tests run on block most signals, and a child would inherit that: it must get them as from a shell.
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        try process.run()
        return process
    }

    // MARK: Files

    func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }

    func write(_ name: String, _ bytes: Data) throws { try bytes.write(to: URL(fileURLWithPath: "\(path)/\(name)")) }

    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: "\(path)/\(name)")) }

    func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

    /// A file of JSON Lines.
    func jsonLines(_ name: String) throws -> [JSONValue] {
        try text(name).split(separator: "\n").map { try JSONValue.parse(Array($0.utf8), source: name) }
    }

    func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: "\(path)/\(name)") }

    /// The visible names in a directory, sorted.
    func names(_ directory: String = ".") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(path)/\(directory)").filter { !$0.hasPrefix(".") }.sorted()
    }

    // MARK: The tiny model

    /// Puts the tiny model that has a tokenizer here: FP32, 289 tokens, a context of 128, no chat template.
    @discardableResult
    func model(_ name: String = "model", without missing: String? = nil, editing file: String? = nil, _ edit: (String) -> String = { $0 }) throws
        -> String
    {
        let golden = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("GRPOTests/Goldens/trl-model").path
        try FileManager.default.copyItem(atPath: golden, toPath: "\(path)/\(name)")
        if let missing { try FileManager.default.removeItem(atPath: "\(path)/\(name)/\(missing)") }
        if let file { try write("\(name)/\(file)", edit(text("\(name)/\(file)"))) }
        return name
    }

    /// Twelve prompts with an answer each.
    @discardableResult
    func dataset(_ name: String = "data.jsonl") throws -> String {
        let things = ["sea", "sun", "moon", "rain", "snow", "wind", "bread", "stone", "bird", "tree", "star", "road"]
        try write(name, things.map { "{\"prompt\":\"The \($0) is\",\"answer\":\"\($0.count)\"}\n" }.joined())
        return name
    }

    /// Three optimizer steps of the tiny model on that dataset; a flag in `more` wins over one here.
    static func training(_ output: String, _ more: String...) -> [String] {
        [
            "train", "--model_name_or_path", "model", "--dataset_name", "data.jsonl", "--reward_funcs", "length", "--output_dir", output,
            "--max_steps",
            "3", "--num_generations", "4", "--per_device_train_batch_size", "8", "--max_completion_length", "12", "--learning_rate", "1e-3",
            "--logging_steps", "1",
        ] + more
    }
}

/// The program failed as it should: with this exit code, one line on standard error that says all of `words`, and nothing on standard output.
func expectRefusal(_ outcome: Outcome, status: Int32 = 1, _ words: String..., sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(!outcome.signalled && outcome.status == status, "exit \(outcome.status): \(outcome.errors)", sourceLocation: sourceLocation)
    // A usage error is followed by the lines that ArgumentParser adds to each.
    let lines = outcome.errorLines.filter { line in !["Usage:", "  See ", "Help:"].contains { line.hasPrefix($0) } }
    #expect(lines.count == 1, "\(outcome.errors)", sourceLocation: sourceLocation)
    for word in words { #expect(lines.last?.contains(word) == true, "\(word) is not in: \(outcome.errors)", sourceLocation: sourceLocation) }
    #expect(outcome.output == "", sourceLocation: sourceLocation)
}
