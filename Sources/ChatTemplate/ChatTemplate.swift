public import JSON
internal import Jinja

/// How a checkpoint writes a conversation down as text for the model to continue: one or several named Jinja templates.
///
/// Rendered as Hugging Face transformers' `apply_chat_template` renders them, with the same variables.
public struct ChatTemplate: Sendable {
    /// By name, in the order of the files; `default` is the usual one. A template that cannot be read fails when it is used.
    private let templates: [(name: String, template: Result<JinjaTemplate, JinjaError>)]
    /// `bos_token` and the others, which templates write.
    private let specialTokens: JSONObject

    /// What a checkpoint without a template gets: the turns of ChatML and nothing else.
    static let chatML = """
        {% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}
        {% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
        """

    /// Templates by name.
    /// - Parameter specialTokens: variables that every rendering has.
    public init(_ sources: [(name: String, text: String)], specialTokens: JSONObject = JSONObject()) {
        self.specialTokens = specialTokens
        templates = sources.map { source in
            (source.name, Result { () throws(JinjaError) in try JinjaTemplate(source.text) })
        }
    }

    /// The names of the templates.
    public var names: [String] { templates.map(\.name) }

    /// The conversation as text.
    /// - Parameters:
    ///   - tools: what the model may call, each a JSON schema; nil for none.
    ///   - documents: what the model may refer to, each with `title` and `text`; nil for none.
    ///   - addGenerationPrompt: end where the assistant's answer starts.
    ///   - name: which template; by default `tool_use`, if there are tools and such a template, else `default`.
    ///   - variables: anything else that the template reads, such as `enable_thinking`.
    /// - Throws: `ChatTemplateError` for a template that is not there, that cannot be read, or that refuses the conversation.
    public func render(
        _ messages: [ChatMessage], tools: [JSONValue]? = nil, documents: [JSONValue]? = nil, addGenerationPrompt: Bool, template name: String? = nil,
        variables: JSONObject = JSONObject()
    ) throws(ChatTemplateError) -> RenderedChat {
        let chosen = try choose(name, hasTools: tools != nil)
        var all = specialTokens
        for (name, value) in variables.members { all[name] = value }
        all["messages"] = .array(messages.map { .object($0.withAliasedReasoning) })
        all["tools"] = tools.map(JSONValue.array) ?? .null
        all["documents"] = documents.map(JSONValue.array) ?? .null
        all["add_generation_prompt"] = .bool(addGenerationPrompt)
        do {
            let rendering = try chosen.template.get().render(all)
            return RenderedChat(text: rendering.text, assistant: rendering.generations)
        } catch {
            let title = templates.count == 1 ? "the chat template" : "the chat template \"\(chosen.name)\""
            throw ChatTemplateError("\(title): \(error); a finished prompt can be given as text with --raw")
        }
    }

    private func choose(_ name: String?, hasTools: Bool) throws(ChatTemplateError) -> (name: String, template: Result<JinjaTemplate, JinjaError>) {
        func find(_ name: String) -> (name: String, template: Result<JinjaTemplate, JinjaError>)? {
            templates.first { $0.name.utf8.elementsEqual(name.utf8) }
        }
        let chosen = name.map(find) ?? (hasTools ? find("tool_use") : nil) ?? find("default")
        guard let chosen else {
            throw ChatTemplateError("there is no chat template \"\(name ?? "default")\"; there are: \(names.joined(separator: ", "))")
        }
        return chosen
    }
}

/// A conversation as text.
public struct RenderedChat: Sendable, Equatable {
    /// The text.
    public let text: String
    /// The parts of the text, in UTF-8 bytes, that the template marks as the assistant's by `generation` blocks; empty for most templates.
    public let assistant: [Range<Int>]
}
