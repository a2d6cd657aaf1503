internal import GGUF
internal import JSON

/// A tokenizer.json as the metadata of a GGUF file: the other direction of `GGUFTokenizer`.
struct GGUFTokenizerKeys {
    let keys: [(key: String, value: GGUFLayout.Value)]
    /// What kind of tokenizer it is, for people.
    let splitting: String

    /// Control tokens to llama.cpp by their looks, though Hugging Face does not call them special.
    private static let control: Set = [
        "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>",
    ]

    /// Reads the tokenizer's files. `vocabularySize`: rows of the embedding; those that no token has become unused entries.
    init(_ source: some CheckpointView, vocabularySize: Int) throws(CheckpointError) {
        func failure(_ message: String) -> CheckpointError { CheckpointError(path: source.path, message: "tokenizer.json: \(message)") }
        guard let tokenizer = try Self.json("tokenizer.json", source) else {
            throw CheckpointError(path: source.path, message: "there is no tokenizer.json, which a GGUF file has to carry")
        }
        let model = tokenizer["model"]
        guard model?["type"]?.string == "BPE" else {
            throw failure("the model is not BPE, byte-level or of SentencePiece's kind, which is what is written to GGUF files")
        }
        let isSentencePiece = model?["byte_fallback"]?.bool == true
        var tokens = [String?](repeating: nil, count: vocabularySize)
        var types = [Int32](repeating: 5, count: vocabularySize)  // unused
        func put(_ content: String, _ id: Int?, _ type: Int32) throws(CheckpointError) {
            guard let id, (0..<vocabularySize).contains(id) else {
                throw failure("the token \(Self.shown(content)) has id \(id.map(String.init) ?? "none"), and the embedding \(vocabularySize) rows")
            }
            if let other = tokens[id], !other.utf8.elementsEqual(content.utf8) {
                throw failure("the tokens \(Self.shown(other)) and \(Self.shown(content)) have the same id \(id)")
            }
            tokens[id] = content
            types[id] = type
        }
        for (content, id) in model?["vocab"]?.object?.members ?? [] { try put(content, id.int, 1) }
        for token in tokenizer["added_tokens"]?.array ?? [] {
            guard let content = token["content"]?.string, !content.utf8.isEmpty else { throw failure("an added token has no content") }
            try put(content, token["id"]?.int, token["special"]?.bool == true || Self.control.contains(content) ? 3 : 4)
        }
        if isSentencePiece {
            for id in 0..<vocabularySize {
                guard let content = tokens[id], types[id] == 1 else { continue }
                if content.utf8.count == 6, content.utf8.starts(with: "<0x".utf8), content.utf8.last == UInt8(ascii: ">") { types[id] = 6 }
            }
            let unknown = model?["unk_token"]?.string
            if let unknown, let id = tokens.firstIndex(where: { $0?.utf8.elementsEqual(unknown.utf8) == true }) { types[id] = 2 }
        }
        let ids = Dictionary(
            tokens.enumerated().compactMap { id, token in token.map { (Array($0.utf8), id) } }, uniquingKeysWith: { first, _ in first })
        var keys: [(key: String, value: GGUFLayout.Value)] = [
            ("tokenizer.ggml.tokens", .strings(tokens.enumerated().map { $1 ?? "[PAD\($0)]" })), ("tokenizer.ggml.token_type", .int32s(types)),
        ]
        if isSentencePiece {
            guard let addsPrefixSpace = GGUFSentencePiece.addsPrefixSpace(tokenizer) else {
                throw failure("spaces are not treated as llama.cpp treats them for SentencePiece tokenizers: the file would give other tokens there")
            }
            let scores = try Self.scores(tokens, types, try Self.merges(model, failure), ids, failure)
            keys =
                [("tokenizer.ggml.model", .string("llama")), ("tokenizer.ggml.pre", .string("default"))] + keys
                + [("tokenizer.ggml.scores", .float32s(scores)), ("tokenizer.ggml.add_space_prefix", .bool(addsPrefixSpace))]
            splitting = "SentencePiece BPE" + (GGUFSentencePiece.difference(tokenizer).map { "; \($0)" } ?? "")
        } else {
            guard let known = GGUFPreTokenizer(tokenizer) else {
                let known = GGUFPreTokenizer.all.map(\.name).joined(separator: ", ")
                throw failure("the pre-tokenizer is none that llama.cpp has a name for here (\(known)): the file would give other tokens there")
            }
            keys =
                [("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string(known.name))] + keys
                + [("tokenizer.ggml.merges", .strings(try Self.merges(model, failure)))]
            splitting = "byte-level BPE, split as '\(known.name)'"
        }
        let settings = try Self.json("tokenizer_config.json", source)
        for (key, setting, configKey) in [
            ("eos", "eos_token", "eos_token_id"), ("padding", "pad_token", "pad_token_id"), ("bos", "bos_token", "bos_token_id"),
        ] {
            let text = settings?[setting]?.string ?? settings?[setting]?["content"]?.string
            let id = text.flatMap { ids[Array($0.utf8)] } ?? source.config[configKey]?.int ?? source.config[configKey]?.array?.first?.int
            if let id, (0..<vocabularySize).contains(id) { keys.append(("tokenizer.ggml.\(key)_token_id", .uint32(UInt32(id)))) }
        }
        let leads = Self.putsFirst(tokenizer["post_processor"], settings)
        keys.append(("tokenizer.ggml.add_bos_token", .bool(leads)))
        if let template = try Self.chatTemplate(source, settings) { keys.append(("tokenizer.chat_template", .string(template))) }
        self.keys = keys
    }

    private static func json(_ name: String, _ source: some CheckpointView) throws(CheckpointError) -> JSONValue? {
        guard let bytes = try source.companion(name) else { return nil }
        do { return try JSONValue.parse(bytes, source: name) } catch {
            throw CheckpointError(path: source.path, message: "\(name): \(error.detail)")
        }
    }

    /// Merges as `left right`; tokenizer.json has them so, or as pairs.
    private static func merges(_ model: JSONValue?, _ failure: (String) -> CheckpointError) throws(CheckpointError) -> [String] {
        var merges: [String] = []
        for (index, merge) in (model?["merges"]?.array ?? []).enumerated() {
            let text = merge.string ?? (merge.array?.count == 2 ? merge.array?.compactMap(\.string).joined(separator: " ") : nil)
            guard let text, text.utf8.reduce(0, { $0 + ($1 == UInt8(ascii: " ") ? 1 : 0) }) == 1 else {
                throw failure("merge \(index) is not two pieces without spaces")
            }
            merges.append(text)
        }
        return merges
    }

    /// Scores that make the merges again.
    private static func scores(
        _ tokens: [String?], _ types: [Int32], _ merges: [String], _ ids: [[UInt8]: Int], _ failure: (String) -> CheckpointError
    ) throws(CheckpointError) -> [Float] {
        var known: [GGUFSentencePiece.Merge] = []
        for merge in merges {
            let parts = Array(merge.utf8).split(separator: UInt8(ascii: " ")).map(Array.init)
            guard parts.count == 2, let left = ids[parts[0]], let right = ids[parts[1]], let made = ids[parts[0] + parts[1]] else {
                throw failure("the merge \(shown(merge)) is not of two tokens to a third")
            }
            known.append((left, right, made))
        }
        let normal = zip(tokens, types).map { $1 == 1 ? $0.map { Array($0.utf8) } : nil }
        guard let scores = GGUFSentencePiece.scores(normal, merges: known) else {
            throw failure("no scores of tokens give the order of its merges, which is all that a GGUF file keeps of a tokenizer with byte fallback")
        }
        return scores
    }

    /// Whether the first token is put before every text: the post-processor's template says so, or the configuration.
    private static func putsFirst(_ processor: JSONValue?, _ settings: JSONValue?) -> Bool {
        for step in processor?["processors"]?.array ?? [processor ?? .null] where step["type"]?.string == "TemplateProcessing" {
            return step["single"]?.array?.first?["SpecialToken"] != nil
        }
        return settings?["add_bos_token"]?.bool ?? false
    }

    /// The template beside the tokenizer, or the one within its configuration: a text, or the one named default of several.
    private static func chatTemplate(_ source: some CheckpointView, _ settings: JSONValue?) throws(CheckpointError) -> String? {
        if let bytes = try source.companion("chat_template.jinja") { return String(decoding: bytes, as: UTF8.self) }
        let template = settings?["chat_template"]
        return template?.string ?? template?.array?.first { $0["name"]?.string == "default" }?["template"]?.string
    }

    private static func shown(_ token: String) -> String { "'\(String(String.UnicodeScalarView(token.unicodeScalars.prefix(40))))'" }
}
