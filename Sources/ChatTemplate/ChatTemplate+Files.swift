public import JSON

extension ChatTemplate {
    /// The templates among a checkpoint's files: `chat_template.jinja` and what is beside it if they are there, else `chat_template` of
    /// `tokenizer_config.json`, a text or a list of named ones; plain ChatML if there is none.
    /// - Parameters:
    ///   - jinja: `chat_template.jinja`, the template `default`.
    ///   - additional: `additional_chat_templates/NAME.jinja` by name.
    ///   - tokenizerConfiguration: `tokenizer_config.json`, which has the special tokens as well.
    /// - Throws: `ChatTemplateError` for a `tokenizer_config.json` whose templates are neither.
    public init(jinja: String? = nil, additional: [(name: String, text: String)] = [], tokenizerConfiguration: JSONValue?) throws(ChatTemplateError) {
        var sources = additional
        if let jinja { sources.insert(("default", jinja), at: 0) }
        if sources.isEmpty { sources = try Self.sources(tokenizerConfiguration?["chat_template"]) }
        self.init(sources, specialTokens: Self.specialTokens(tokenizerConfiguration))
    }

    private static func sources(_ json: JSONValue?) throws(ChatTemplateError) -> [(name: String, text: String)] {
        switch json {
        case nil, .null: return [("default", chatML)]
        case .string(let text): return [("default", text)]
        case .array(let list):
            var sources: [(name: String, text: String)] = []
            for (index, element) in list.enumerated() {
                guard let name = element["name"]?.string, let text = element["template"]?.string else {
                    throw ChatTemplateError(
                        "tokenizer_config.json: chat_template[\(index)]: expected an object with the texts \"name\" and \"template\"")
                }
                // Of two with one name transformers takes the last.
                sources.removeAll { $0.name.utf8.elementsEqual(name.utf8) }
                sources.append((name, text))
            }
            return sources
        default: throw ChatTemplateError("tokenizer_config.json: chat_template: expected a text or a list of named templates")
        }
    }

    /// The texts of the tokens that have a role, and of those that a model adds by name.
    private static func specialTokens(_ configuration: JSONValue?) -> JSONObject {
        var tokens = JSONObject()
        for name in ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] {
            if let text = text(of: configuration?[name]) { tokens[name] = .string(text) }
        }
        for (name, token) in configuration?["extra_special_tokens"]?.object?.members ?? [] {
            if let text = text(of: token) { tokens[name] = .string(text) }
        }
        return tokens
    }

    /// A token is written as its text or as an object with it.
    private static func text(of token: JSONValue?) -> String? {
        token?.string ?? token?["content"]?.string
    }
}
