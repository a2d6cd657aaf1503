internal import GGUF
internal import JSON

/// The tokenizer in a GGUF file's metadata, as the files Hugging Face keeps beside a Qwen2 checkpoint.
///
/// GGUF has one list of tokens with a type each. Up to the last normal token they are the vocabulary; the control and user-defined tokens are
/// the added ones; the unused rows at the end ("[PAD151665]"), which fill the embedding up to a round size, are no tokens at all.
struct GGUFTokenizer {
    private let metadata: GGUFMetadata
    private let vocabularySize: Int
    private let added: [AddedToken]
    private let eos: Int?
    private let kind: Kind
    /// What stands for a character without a token.
    private let unknown: String?
    /// The token that is put before every text.
    private let leading: (id: Int, content: String)?

    private struct AddedToken {
        let id: Int
        let content: String
        let special: Bool

        /// What both tokenizer.json and tokenizer_config.json say of it.
        var members: [(key: String, value: JSONValue)] {
            [
                ("content", .string(content)), ("single_word", false), ("lstrip", false), ("rstrip", false), ("normalized", false),
                ("special", .bool(special)),
            ]
        }
    }

    private enum Kind {
        case byteLevel(GGUFPreTokenizer)
        case sentencePiece(addsPrefixSpace: Bool)
    }

    /// llama.cpp's numbers for the types of tokens.
    enum TokenType { static let normal = 1, unknown = 2, control = 3, userDefined = 4, unused = 5, byte = 6 }

    /// Control tokens to llama.cpp, which stops at some of them; ordinary added tokens to Hugging Face, which shows them when it decodes.
    private static let notSpecial: Set = ["<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"]

    /// What `companion` gives for this file; checks the little that decides it.
    static func companionNames(_ metadata: GGUFMetadata, vocabularySize: Int) throws(CheckpointError) -> [String] {
        guard let model = try metadata.optionalString("tokenizer.ggml.model"), model != "none", model != "no_vocab" else { return [] }
        _ = try kind(metadata, model)
        let count = try metadata.strings("tokenizer.ggml.tokens").count
        guard count <= vocabularySize else {
            throw metadata.failure("tokenizer.ggml.tokens", "has \(count) tokens, but the embedding has only \(vocabularySize) rows")
        }
        for name in ["bos", "eos", "padding"] {
            let key = "tokenizer.ggml.\(name)_token_id"
            if let id = try metadata.optionalInteger(key), !(0..<count).contains(id) {
                throw metadata.failure(key, "is \(id), but there are \(count) tokens")
            }
        }
        let hasTemplate = try metadata.optionalString("tokenizer.chat_template") != nil
        return ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] + (hasTemplate ? ["chat_template.jinja"] : [])
    }

    private static func kind(_ metadata: GGUFMetadata, _ model: String) throws(CheckpointError) -> Kind {
        if model == "llama" {
            guard try metadata.optionalBool("tokenizer.ggml.remove_extra_whitespaces") != true else {
                throw metadata.failure("tokenizer.ggml.remove_extra_whitespaces", "is true, which is not supported")
            }
            return .sentencePiece(addsPrefixSpace: try metadata.optionalBool("tokenizer.ggml.add_space_prefix") ?? true)
        }
        guard model == "gpt2" else {
            throw metadata.failure(
                "tokenizer.ggml.model",
                "is '\(model.prefix(40))', expected 'gpt2' or 'llama': byte-level and SentencePiece BPE tokenizers are read from GGUF files")
        }
        let name = try metadata.string("tokenizer.ggml.pre")
        guard let splitting = GGUFPreTokenizer(named: name) else {
            let known = GGUFPreTokenizer.all.map(\.name).joined(separator: ", ")
            throw metadata.failure("tokenizer.ggml.pre", "is '\(name.prefix(40))'; these ways to split text are read: \(known)")
        }
        return .byteLevel(splitting)
    }

    init(_ metadata: GGUFMetadata) throws(CheckpointError) {
        self.metadata = metadata
        let key = "tokenizer.ggml.tokens", typeKey = "tokenizer.ggml.token_type"
        let tokens = try metadata.strings(key)
        guard let types = try metadata.optionalIntegers(typeKey) else {
            throw metadata.failure(typeKey, "is missing; without it added tokens cannot be told from the vocabulary")
        }
        let kind = try Self.kind(metadata, try metadata.string("tokenizer.ggml.model"))
        var isSentencePiece = false
        if case .sentencePiece = kind { isSentencePiece = true }
        guard types.count == tokens.count else { throw metadata.failure(typeKey, "has \(types.count) entries for \(tokens.count) tokens") }
        var added: [AddedToken] = []
        var vocabularySize = 0
        var unknown: String?
        try tokens.forEachString { (id, bytes) throws(CheckpointError) in
            switch types[id] {
            case TokenType.normal: vocabularySize = id + 1
            case TokenType.unused: break
            case TokenType.byte where isSentencePiece: vocabularySize = id + 1
            case TokenType.unknown where isSentencePiece:
                vocabularySize = id + 1
                let content = try Self.text(bytes, id, key, metadata)
                added.append(AddedToken(id: id, content: content, special: true))
                unknown = content
            case TokenType.control, TokenType.userDefined:
                let content = try Self.text(bytes, id, key, metadata)
                guard !content.utf8.isEmpty else { throw metadata.failure(key, "the added token \(id) is empty") }
                added.append(AddedToken(id: id, content: content, special: types[id] == TokenType.control && !Self.notSpecial.contains(content)))
            default:
                throw metadata.failure(typeKey, "token \(id) has type \(types[id]), expected 1 (normal), 3 (control), 4 (user-defined) or 5 (unused)")
            }
        }
        // Hugging Face numbers added tokens on from the vocabulary; a hole would shift every id after it.
        for (index, token) in added.drop(while: { $0.id < vocabularySize }).enumerated() where token.id != vocabularySize + index {
            throw metadata.failure(key, "the added token \(token.id) follows unused ones, expected it to have id \(vocabularySize + index)")
        }
        self.added = added
        self.vocabularySize = vocabularySize
        self.kind = kind
        self.unknown = unknown
        var leading: (id: Int, content: String)?
        if try metadata.optionalBool("tokenizer.ggml.add_bos_token") ?? isSentencePiece {
            let bos = try metadata.optionalInteger("tokenizer.ggml.bos_token_id")
            guard let token = added.first(where: { $0.id == bos }) else {
                throw metadata.failure("tokenizer.ggml.add_bos_token", "is true, but bos_token_id is not one of the added tokens")
            }
            leading = (token.id, token.content)
        }
        self.leading = leading
        eos = try metadata.optionalInteger("tokenizer.ggml.eos_token_id")
    }

    private static func text(_ bytes: UnsafeRawBufferPointer, _ index: Int, _ key: String, _ metadata: GGUFMetadata) throws(CheckpointError) -> String
    {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw metadata.failure(key, "entry \(index) is not UTF-8") }
        return text
    }

    // MARK: tokenizer.json

    /// tokenizer.json, as the family's own.
    var json: JSONValue {
        get throws(CheckpointError) {
            let members: [(key: String, value: JSONValue)], model: JSONValue
            switch kind {
            case .byteLevel(let splitting):
                members = splitting.members(bos: leading)
                model = [
                    "type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
                    "byte_fallback": false, "ignore_merges": .bool(splitting.ignoresMerges), "vocab": .object(try vocabulary()),
                    "merges": .array(try merges()),
                ]
            case .sentencePiece(let addsPrefixSpace):
                let processor = leading.map(GGUFPreTokenizer.template) ?? .null
                members = GGUFSentencePiece.members(addsPrefixSpace: addsPrefixSpace) + [("post_processor", processor)]
                model = [
                    "type": "BPE", "dropout": nil, "unk_token": unknown.map { .string($0) } ?? .null, "continuing_subword_prefix": nil,
                    "end_of_word_suffix": nil, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false, "vocab": .object(try vocabulary()),
                    "merges": .array(try mergesByScore()),
                ]
            }
            let added = added.map { JSONValue.object(JSONObject([("id", .integer(Int64($0.id)))] + $0.members)) }
            let head: [(key: String, value: JSONValue)] = [
                ("version", "1.0"), ("truncation", nil), ("padding", nil), ("added_tokens", .array(added)),
            ]
            return .object(JSONObject(head + members + [("model", model)]))
        }
    }

    /// The tokens up to the last normal one, each once; an added token after them may not repeat one either.
    private func vocabulary() throws(CheckpointError) -> JSONObject {
        let key = "tokenizer.ggml.tokens"
        var members: [(key: String, value: JSONValue)] = []
        var seen: [[UInt8]: Int] = [:]
        let end = max(vocabularySize, (added.last?.id ?? -1) + 1)
        members.reserveCapacity(vocabularySize)
        seen.reserveCapacity(end)
        try metadata.strings(key).forEachString { (id, bytes) throws(CheckpointError) in
            guard id < end else { return }
            if let first = seen.updateValue(id, forKey: Array(bytes)) { throw metadata.failure(key, "the tokens \(first) and \(id) are the same") }
            if id < vocabularySize { members.append((try Self.text(bytes, id, key, metadata), .integer(Int64(id)))) }
        }
        return JSONObject(members)
    }

    private func merges() throws(CheckpointError) -> [JSONValue] {
        let key = "tokenizer.ggml.merges", space = UInt8(ascii: " ")
        var merges: [JSONValue] = []
        try metadata.strings(key).forEachString { (index, bytes) throws(CheckpointError) in
            let spaces = bytes.reduce(0) { $0 + ($1 == space ? 1 : 0) }
            guard spaces == 1, bytes.first != space, bytes.last != space else {
                throw metadata.failure(key, "entry \(index) is not two pieces with a space between them")
            }
            merges.append(.string(try Self.text(bytes, index, key, metadata)))
        }
        return merges
    }

    /// The merges that a SentencePiece tokenizer's scores tell, as pairs.
    private func mergesByScore() throws(CheckpointError) -> [JSONValue] {
        let key = "tokenizer.ggml.scores"
        let texts = try metadata.strings("tokenizer.ggml.tokens"), types = try metadata.optionalIntegers("tokenizer.ggml.token_type") ?? []
        guard let scores = try metadata.optionalFloats(key), scores.count == texts.count, scores.allSatisfy(\.isFinite) else {
            throw metadata.failure(key, "is missing, or does not have a finite number for each of the \(texts.count) tokens")
        }
        var tokens: [[UInt8]?] = []
        texts.forEachString { id, bytes in tokens.append(types[id] == TokenType.normal ? Array(bytes) : nil) }
        guard let merges = GGUFSentencePiece.merges(tokens, scores: scores) else {
            throw metadata.failure("tokenizer.ggml.tokens", "has tokens that are too long for a SentencePiece vocabulary")
        }
        // The vocabulary has been read as UTF-8, and its tokens are cut between characters.
        func text(_ id: Int) -> JSONValue { .string(String(decoding: tokens[id] ?? [], as: UTF8.self)) }
        return merges.map { .array([text($0.left), text($0.right)]) }
    }

    // MARK: tokenizer_config.json

    /// tokenizer_config.json; the template is a file of its own.
    var configuration: JSONValue {
        get throws(CheckpointError) {
            let padding = try metadata.optionalInteger("tokenizer.ggml.padding_token_id")
            let decoder = added.map { (String($0.id), JSONValue.object(JSONObject($0.members))) }
            // Qwen2.5 lists the special tokens but the one that ends a document, which is the padding token.
            let additional = added.filter { $0.special && $0.id != padding }.map { JSONValue.string($0.content) }
            return [
                "add_bos_token": .bool(leading != nil), "add_prefix_space": false, "added_tokens_decoder": .object(JSONObject(decoder)),
                "additional_special_tokens": .array(additional), "bos_token": leading.map { .string($0.content) } ?? .null,
                "clean_up_tokenization_spaces": false,
                "eos_token": text(of: eos), "errors": "replace",
                "model_max_length": .integer(Int64(try metadata.count("\(try metadata.string("general.architecture")).context_length"))),
                "pad_token": text(of: padding), "split_special_tokens": false,
                "tokenizer_class": .string(tokenizerClass), "unk_token": unknown.map { .string($0) } ?? .null,
            ]
        }
    }

    private var tokenizerClass: String {
        if case .byteLevel(let splitting) = kind, splitting.name == "qwen2" { "Qwen2Tokenizer" } else { "PreTrainedTokenizerFast" }
    }

    private func text(of id: Int?) -> JSONValue {
        guard let token = added.first(where: { $0.id == id }) else { return .null }
        return .string(token.content)
    }

    // MARK: generation_config.json

    /// generation_config.json. A model that ends its turns with <|im_end|> is an Instruct model, which stops at the end of a document as well
    /// and ships with these sampling settings; a base model is greedy.
    var generation: JSONValue {
        get throws(CheckpointError) {
            let endOfText = added.first { $0.content == "<|endoftext|>" }?.id
            let isInstruct = added.contains { $0.content == "<|im_end|>" && $0.id == eos }
            let ends = isInstruct ? [eos, endOfText].compactMap { $0 } : [eos].compactMap { $0 }
            var json = JSONObject()
            json["bos_token_id"] = try metadata.optionalInteger("tokenizer.ggml.bos_token_id").map { .integer(Int64($0)) }
            json["do_sample"] = .bool(isInstruct)
            json["eos_token_id"] = .array(ends.map { .integer(Int64($0)) })
            json["pad_token_id"] = (try metadata.optionalInteger("tokenizer.ggml.padding_token_id") ?? endOfText).map { .integer(Int64($0)) }
            if isInstruct {
                json["repetition_penalty"] = 1.1
                json["temperature"] = 0.7
                json["top_k"] = 20
                json["top_p"] = 0.8
            }
            return .object(json)
        }
    }
}
