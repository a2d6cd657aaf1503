import ArgumentParser
import Checkpoints
import Foundation
import GRPO
import JSON
import Tokenizer

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Turn text into a model's token ids, or ids into text.")

    @Argument(help: "A checkpoint directory, a .gguf file or a packed export.")
    var model: String

    @Argument(help: "The file to read; standard input by default.")
    var file: String?

    @Flag(help: "The other way: a JSON array of ids becomes text.")
    var decode = false

    @Flag(help: "Read the spelling of special tokens such as <|im_end|> as plain text.")
    var noSpecial = false

    @Flag(help: "With --decode: leave special tokens out of the text.")
    var skipSpecialTokens = false

    func validate() throws {
        if decode, noSpecial { throw ValidationError("--no-special is about text that becomes ids; with --decode there is none") }
        if !decode, skipSpecialTokens { throw ValidationError("--skip-special-tokens needs --decode") }
    }

    func run() throws {
        let tokenizer = try open()
        let input = try read()
        guard decode else {
            try StandardOutput.line(JSONValue.ids(tokenizer.encode(utf8: input, allowSpecial: !noSpecial)).serialized())
            return
        }
        let json = try JSONValue.parse(input, source: file ?? "standard input")
        guard let ids = json.array?.map({ $0.int.flatMap(Int32.init(exactly:)) }), !ids.contains(nil) else {
            throw FileError(path: file ?? "standard input", message: "expected a JSON array of token ids")
        }
        try StandardOutput.write(tokenizer.decode(ids.compactMap(\.self), skipSpecialTokens: skipSpecialTokens))
    }

    /// The tokenizer alone: a directory needs no weights for it.
    private func open() throws -> BPETokenizer {
        let path = "\(model)/tokenizer.json"
        if FileManager.default.fileExists(atPath: path) { return try BPETokenizer(contentsOf: path) }
        guard let bytes = try Checkpoint(opening: model).companion("tokenizer.json") else {
            throw FileError(path: model, message: "has no tokenizer.json")
        }
        return try BPETokenizer(json: JSONValue.parse(bytes, source: model), source: model)
    }

    private func read() throws -> [UInt8] {
        guard let file else { return [UInt8](FileHandle.standardInput.readDataToEndOfFile()) }
        guard let data = FileManager.default.contents(atPath: file) else { throw FileError(path: file, message: "cannot be read") }
        return [UInt8](data)
    }
}
