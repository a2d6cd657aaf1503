public import JSON

extension ChatTemplate {
    /// The template's text among a checkpoint's files: `chat_template.jinja` if there is one, else `chat_template` in
    /// `tokenizer_config.json`, which is a string or a list of named ones, of which `default` is taken; nil if there is none.
    public static func source(jinja: String?, tokenizerConfig: JSONValue?) throws(ChatTemplateError) -> String? {
        if let jinja { return jinja }
        switch tokenizerConfig?["chat_template"] {
        case nil, .null: return nil
        case .string(let text): return text
        case .array(let named):
            let chosen = named.first { $0["name"]?.string?.utf8.elementsEqual("default".utf8) ?? false }
            guard let text = chosen?["template"]?.string else {
                throw ChatTemplateError(description: "tokenizer_config.json: chat_template: a list without a template named \"default\"")
            }
            return text
        default: throw ChatTemplateError(description: "tokenizer_config.json: chat_template: expected a string or a list of named templates")
        }
    }
}
