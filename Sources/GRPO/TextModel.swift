public import ChatTemplate
public import Checkpoints
public import JSON
public import Qwen2
public import Tokenizer

/// A model with what turns text into its ids and back: everything of a checkpoint that speaking needs.
public final class TextModel {
    /// The decoder.
    public let model: Qwen2Model
    /// Text to ids and back.
    public let tokenizer: BPETokenizer
    /// Conversations to text.
    public let template: ChatTemplate
    /// Every id that ends a completion, by generation_config.json, else config.json, else tokenizer_config.json; none makes every completion run to
    /// its limit.
    public var endTokens: Set<Int32>
    /// The files beside the weights, for whoever writes the model.
    public let companions: [(name: String, bytes: [UInt8])]

    /// Opens a checkpoint: a directory, a `.gguf` file or an export of ours.
    /// - Parameter trainable: keep FP32 master weights and gradients.
    /// - Throws: what `Checkpoint`, `Qwen2Model`, `BPETokenizer` and `ChatTemplate` throw.
    public init(_ checkpoint: Checkpoint, computeType: ComputeType = .bfloat16, trainable: Bool = false) throws {
        var companions: [(name: String, bytes: [UInt8])] = []
        for name in checkpoint.companionNames {
            if let bytes = try checkpoint.companion(name) { companions.append((name, bytes)) }
        }
        self.companions = companions
        func file(_ name: String) -> [UInt8]? { companions.first { $0.name == name }?.bytes }
        func json(_ name: String) throws -> JSONValue? {
            try file(name).map { try JSONValue.parse($0, source: "\(checkpoint.path)/\(name)") }
        }
        guard let vocabulary = file("tokenizer.json") else {
            throw CheckpointError(path: checkpoint.path, message: "has no tokenizer.json, which text needs: copy the one of the base model there")
        }
        tokenizer = try BPETokenizer(vocabulary, source: "\(checkpoint.path)/tokenizer.json")
        let tokenizerConfiguration = try json("tokenizer_config.json")
        let jinja = file("chat_template.jinja").map { String(decoding: $0, as: UTF8.self) }
        template = try ChatTemplate(
            jinja: jinja, additional: ChatTemplate.additional(in: checkpoint.path), tokenizerConfiguration: tokenizerConfiguration)
        let named = tokenizerConfiguration?["eos_token"]
        let name = named?.string ?? named?["content"]?.string
        let generation = try json("generation_config.json")
        endTokens =
            Self.ids(generation?["eos_token_id"]) ?? Self.ids(checkpoint.config["eos_token_id"])
            ?? Set(name.flatMap(tokenizer.id(of:)).map { [$0] } ?? [])
        model = try Qwen2Model(checkpoint, computeType: computeType, trainable: trainable)
        guard tokenizer.vocabularySize <= model.configuration.vocabularySize else {
            throw CheckpointError(
                path: checkpoint.path,
                message:
                    "tokenizer.json has \(tokenizer.vocabularySize) ids, the embedding \(model.configuration.vocabularySize) rows: they belong to "
                    + "different models")
        }
    }

    private static func ids(_ json: JSONValue?) -> Set<Int32>? {
        let ids = (json?.array ?? json.map { [$0] } ?? []).compactMap { $0.int.flatMap(Int32.init(exactly:)) }
        return ids.isEmpty ? nil : Set(ids)
    }

    /// - Parameter begins: whether it is the whole of a text, which some tokenizers put a token before.
    func ids(ofText text: String, begins: Bool = false) throws(PromptError) -> [Int32] {
        do throws(TokenizerError) {
            return try tokenizer.encode(text, addSpecialTokens: begins)
        } catch {
            throw PromptError(message: "the text cannot be encoded: \(error)")
        }
    }

    /// The ids of a prompt: plain text as the tokenizer begins one (Llama's with its first token, Qwen's as it is), a conversation through the chat template up to where the assistant begins.
    /// - Parameters:
    ///   - tools: what the model may call, each a JSON schema, for the template.
    ///   - variables: anything else that the template reads (`chat_template_kwargs`).
    /// - Throws: `PromptError` for one that is empty or longer than the model's context.
    public func ids(of prompt: Prompt, tools: [JSONValue]? = nil, variables: JSONObject = JSONObject()) throws(PromptError) -> [Int32] {
        let ids: [Int32]
        switch prompt {
        case .text(let text): ids = try self.ids(ofText: text, begins: true)
        case .messages(let messages):
            let chat = messages.map { ChatMessage(role: $0.role, content: $0.content) }
            let text: String
            do {
                text = try template.render(chat, tools: tools, addGenerationPrompt: true, variables: variables).text
            } catch {
                throw PromptError(message: error.description)
            }
            ids = try self.ids(ofText: text)
        }
        let context = model.configuration.contextLength
        if ids.isEmpty { throw PromptError(message: "the prompt is empty, expected at least one token") }
        guard ids.count < context else {
            throw PromptError(message: "the prompt has \(ids.count) tokens, the model's context holds \(context): shorten it")
        }
        return ids
    }

    /// A completion as text, special tokens left out.
    public func text(of ids: [Int32]) -> String { tokenizer.decode(ids, skipSpecialTokens: true) }
}

/// A prompt that cannot be used.
public struct PromptError: Error, Sendable, CustomStringConvertible {
    /// What was found, what was expected.
    public let message: String

    /// The message.
    public var description: String { message }
}
