internal import JSON

/// How a byte-level tokenizer splits a text before the merges: `tokenizer.ggml.pre`, beside the members of tokenizer.json that mean the same.
struct GGUFPreTokenizer {
    /// llama.cpp's name.
    let name: String
    /// What is split off, in turn; a digit each, if that comes first.
    let splitsDigits: Bool
    /// The expression; nil for GPT-2's own.
    let pattern: String?
    /// Whether text is put into the normalization form C first.
    let composes: Bool
    /// Whether a piece that is in the vocabulary is taken whole, whatever the merges say.
    let ignoresMerges: Bool

    static let all = [
        GGUFPreTokenizer(
            name: "qwen2", splitsDigits: false,
            pattern: #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            composes: true,
            ignoresMerges: false),
        GGUFPreTokenizer(
            name: "llama-bpe", splitsDigits: false,
            pattern: #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            composes: false, ignoresMerges: true),
        GGUFPreTokenizer(name: "smollm", splitsDigits: true, pattern: nil, composes: false, ignoresMerges: false),
        GGUFPreTokenizer(name: "gpt-2", splitsDigits: false, pattern: nil, composes: false, ignoresMerges: false),
    ]

    /// The one that a tokenizer.json means; nil if llama.cpp has no name for it here.
    ///
    /// The way of splitting decides; a normalizer that composes where the name does not say so would change ids and is no match, one that is
    /// missing where llama.cpp has none either is.
    init?(_ tokenizer: JSONValue) {
        var steps: [JSONValue] = []
        for step in tokenizer["pre_tokenizer"]?["pretokenizers"]?.array ?? [tokenizer["pre_tokenizer"] ?? .null] { steps.append(step) }
        guard let last = steps.popLast(), last["type"]?.string == "ByteLevel", last["add_prefix_space"]?.bool != true else { return nil }
        let digits = steps.first?["type"]?.string == "Digits" && steps.first?["individual_digits"]?.bool == true
        if digits { steps.removeFirst() }
        var pattern: String?
        if last["use_regex"]?.bool == false {
            guard steps.count == 1, steps[0]["type"]?.string == "Split", steps[0]["behavior"]?.string == "Isolated", steps[0]["invert"]?.bool != true,
                let expression = steps[0]["pattern"]?["Regex"]?.string
            else { return nil }
            pattern = expression
        } else if !steps.isEmpty {
            return nil
        }
        guard let found = Self.all.first(where: { $0.splitsDigits == digits && $0.pattern == pattern }) else { return nil }
        self = found
    }

    /// The one of that name.
    init?(named name: String) {
        guard let found = Self.all.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    private init(name: String, splitsDigits: Bool, pattern: String?, composes: Bool, ignoresMerges: Bool) {
        self.name = name
        self.splitsDigits = splitsDigits
        self.pattern = pattern
        self.composes = composes
        self.ignoresMerges = ignoresMerges
    }

    /// The members `normalizer`, `pre_tokenizer`, `post_processor` and `decoder` of tokenizer.json; `bos` is put before every text.
    func members(bos: (id: Int, content: String)?) -> [(key: String, value: JSONValue)] {
        func byteLevel(_ usesExpression: Bool) -> JSONValue {
            ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": .bool(usesExpression)]
        }
        var steps: [JSONValue] = splitsDigits ? [["type": "Digits", "individual_digits": true]] : []
        if let pattern { steps.append(["type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false]) }
        steps.append(byteLevel(pattern == nil))
        return [
            ("normalizer", composes ? ["type": "NFC"] : .null), ("pre_tokenizer", ["type": "Sequence", "pretokenizers": .array(steps)]),
            (
                "post_processor",
                bos.map { .array([byteLevel(false), Self.template($0)]) }.map { ["type": "Sequence", "processors": $0] } ?? byteLevel(false)
            ),
            ("decoder", byteLevel(false)),
        ]
    }

    /// A post-processor that puts a token before every text.
    static func template(_ bos: (id: Int, content: String)) -> JSONValue {
        let special: JSONValue = ["SpecialToken": ["id": .string(bos.content), "type_id": 0]]
        let pair: [JSONValue] = [special, ["Sequence": ["id": "A", "type_id": 0]], ["SpecialToken": ["id": .string(bos.content), "type_id": 1]]]
        return [
            "type": "TemplateProcessing", "single": .array([special, ["Sequence": ["id": "A", "type_id": 0]]]),
            "pair": .array(pair + [["Sequence": ["id": "B", "type_id": 1]]]),
            "special_tokens": .object(
                JSONObject([
                    (bos.content, ["id": .string(bos.content), "ids": [.integer(Int64(bos.id))], "tokens": [.string(bos.content)]])
                ])),
        ]
    }
}
