import ArgumentParser
import ChatTemplate
import Checkpoints
import Foundation
import GRPO
import JSON
import Tokenizer

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Turn text or a conversation into a model's token ids, or ids into text.")

    @Argument(help: "A checkpoint directory, a .gguf file or an export of ours.")
    var model: String

    @Argument(help: "The file to read; standard input by default.")
    var file: String?

    @Flag(help: "The other way: a JSON array of ids becomes text.")
    var decode = false

    @Flag(help: "Read the spelling of special tokens such as <|im_end|> as plain text.")
    var noSpecial = false

    @Flag(help: "With --decode: leave special tokens out of the text.")
    var skipSpecialTokens = false

    @Option(
        help:
            "A JSON array of messages {role, content, ...}, which go through the model's chat template; it ends where the assistant's answer starts, unless the last message is the assistant's."
    )
    var chat: String?

    @Option(help: "With --chat: a JSON array of the tools the model may call.")
    var tools: String?

    @Option(help: "With --chat: the name of the template, for a model that has several.")
    var template: String?

    @Flag(help: "With --chat: print the text instead of its ids.")
    var text = false

    func validate() throws {
        if decode, noSpecial { throw ValidationError("--no-special is about text that becomes ids; with --decode there is none") }
        if !decode, skipSpecialTokens { throw ValidationError("--skip-special-tokens needs --decode") }
        if chat != nil, file != nil || decode || noSpecial { throw ValidationError("--chat is what is read: no file, --decode or --no-special") }
        if chat == nil, tools != nil || template != nil || text { throw ValidationError("--tools, --template and --text need --chat") }
    }

    func run() throws {
        if let chat {
            let rendered = try render(chat)
            return text ? try StandardOutput.write(rendered) : try write(open().encode(rendered))
        }
        let tokenizer = try open()
        let input = try read()
        guard decode else { return try write(tokenizer.encode(utf8: input, allowSpecial: !noSpecial)) }
        let json = try JSONValue.parse(input, source: file ?? "standard input")
        guard let ids = json.array?.map({ $0.int.flatMap(Int32.init(exactly:)) }), !ids.contains(nil) else {
            throw FileError(path: file ?? "standard input", message: "expected a JSON array of token ids")
        }
        try StandardOutput.write(tokenizer.decode(ids.compactMap(\.self), skipSpecialTokens: skipSpecialTokens))
    }

    private func write(_ ids: [Int32]) throws {
        try StandardOutput.line(JSONValue.ids(ids).serialized())
    }

    private func read() throws -> [UInt8] {
        guard let file else { return [UInt8](FileHandle.standardInput.readDataToEndOfFile()) }
        guard let data = FileManager.default.contents(atPath: file) else { throw FileError(path: file, message: "cannot be read") }
        return [UInt8](data)
    }

    // MARK: The conversation

    private func render(_ path: String) throws -> String {
        let messages = try ChatMessage.list(try json(path), source: path)
        let tools = try tools.map { path in
            guard let list = try json(path).array else { throw FileError(path: path, message: "expected a JSON array of tools") }
            return list
        }
        let template = try chatTemplate()
        return try template.render(messages, tools: tools, addGenerationPrompt: messages.last?.role != "assistant", template: self.template).text
    }

    /// Tools are JSON schemas, which nest deeper than most files.
    private func json(_ path: String) throws -> JSONValue { try JSONValue.parse(contentsOf: path, limits: JSONLimits(depth: 90)) }

    private func chatTemplate() throws -> ChatTemplate {
        if isDirectory { return try ChatTemplate(directory: model) }
        return try ChatTemplate(
            jinja: companion("chat_template.jinja").map { String(decoding: $0, as: UTF8.self) },
            tokenizerConfiguration: companion("tokenizer_config.json").map { try JSONValue.parse($0, source: "\(model)/tokenizer_config.json") })
    }

    // MARK: The model's files

    /// The tokenizer alone.
    private func open() throws -> BPETokenizer {
        guard let bytes = try companion("tokenizer.json") else { throw FileError(path: model, message: "has no tokenizer.json") }
        return try BPETokenizer(bytes, source: "\(model)/tokenizer.json")
    }

    private var isDirectory: Bool {
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: model, isDirectory: &isDirectory) && isDirectory.boolValue
    }

    /// A file that goes with the weights: in a directory it is there without them.
    private func companion(_ name: String) throws -> [UInt8]? {
        guard isDirectory else { return try Checkpoint(opening: model).companion(name) }
        let path = "\(model)/\(name)"
        return FileManager.default.fileExists(atPath: path) ? try BoundedFile.read(path, limit: JSONLimits().bytes) : nil
    }
}
