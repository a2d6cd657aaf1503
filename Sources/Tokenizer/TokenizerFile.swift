internal import JSON

/// `tokenizer.json`, section by section: each is understood exactly or refused by name.
struct TokenizerFile {
    let json: JSONValue
    let source: String

    func error(_ location: String, _ message: String) -> TokenizerError {
        TokenizerError(source: source, location: location, message: message)
    }

    // MARK: The steps around the model

    /// `normalizer`: null, `NFC`, or a `Sequence` of those.
    func normalizesToNFC() throws(TokenizerError) -> Bool {
        let steps = try steps("normalizer", list: "normalizers")
        for step in steps where step.type != "NFC" {
            throw error(step.location, "normalizer '\(step.type)' is not supported; only NFC is")
        }
        return !steps.isEmpty
    }

    /// `pre_tokenizer`: Qwen2's `Split` followed by `ByteLevel`, or GPT-2's `ByteLevel` alone.
    func preTokenizer() throws(TokenizerError) -> PreTokenizer {
        let steps = try steps("pre_tokenizer", list: "pretokenizers")
        for step in steps where step.type != "Split" && step.type != "ByteLevel" {
            throw error(step.location, "pre-tokenizer '\(step.type)' is not supported; Qwen2's Split and ByteLevel are")
        }
        guard let last = steps.last, last.type == "ByteLevel", steps.count <= 2, steps.count == 1 || steps[0].type == "Split" else {
            throw error("pre_tokenizer", "expected [Split, ByteLevel] or ByteLevel, found [\(steps.map(\.type).joined(separator: ", "))]")
        }
        try require(false, at: "add_prefix_space", of: last, default: true)
        try require(steps.count == 1, at: "use_regex", of: last, default: true)
        guard steps.count == 2 else { return .gpt2 }
        let split = steps[0]
        try require(false, at: "invert", of: split, default: nil)
        guard let behavior = split.json["behavior"]?.string, behavior.utf8.elementsEqual("Isolated".utf8) else {
            throw error("\(split.location).behavior", "only \"Isolated\" is supported")
        }
        guard let pattern = split.json["pattern"]?["Regex"]?.string else {
            throw error("\(split.location).pattern", "expected {\"Regex\": ...}")
        }
        guard pattern.utf8.elementsEqual(PreTokenizer.qwen2Pattern.utf8) else {
            let known = "only Qwen2's is, because an expression is never run but recognised"
            throw error("\(split.location).pattern.Regex", "expression \(JSONValue.string(excerpt(pattern)).serialized()) is not supported; \(known)")
        }
        return .qwen2
    }

    /// `post_processor`: null, `ByteLevel`, or a `TemplateProcessing` that adds no token to a single text.
    func checkPostProcessor() throws(TokenizerError) {
        for step in try steps("post_processor", list: "processors") {
            switch step.type {
            case "ByteLevel": continue
            case "TemplateProcessing":
                guard let single = step.json["single"]?.array, single.count == 1, single[0]["Sequence"] != nil else {
                    throw error("\(step.location).single", "a template that adds tokens is not supported")
                }
            default: throw error(step.location, "post-processor '\(step.type)' is not supported; ByteLevel is")
            }
        }
    }

    /// `decoder`: `ByteLevel`.
    func checkDecoder() throws(TokenizerError) {
        let steps = try steps("decoder", list: "decoders")
        guard steps.count == 1, steps[0].type == "ByteLevel" else {
            throw error("decoder", "decoder [\(steps.map(\.type).joined(separator: ", "))] is not supported; ByteLevel is")
        }
    }

    /// The options of `model` that would change the ids.
    func checkModel() throws(TokenizerError) {
        guard let model = json["model"], model.object != nil else { throw error("model", "missing; is this a tokenizer.json?") }
        // Files of tokenizers before 0.9 have no type; what has merges is BPE.
        let type = model["type"]?.string ?? (model["merges"] == nil ? "none" : "BPE")
        guard type == "BPE" else { throw error("model.type", "model '\(excerpt(type))' is not supported; BPE is") }
        for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"] {
            switch model[key] {
            case nil, .null, .bool(false), .string(""), .integer(0), .number(0): continue
            default: throw error("model.\(key)", "is set, which is not supported")
            }
        }
    }

    // MARK: Helpers

    private struct Step {
        var location: String
        var type: String
        var json: JSONValue
    }

    /// The steps of a section, with a `Sequence` (and those inside it) laid flat; none if the section is null or missing.
    private func steps(_ section: String, list: String) throws(TokenizerError) -> [Step] {
        var steps: [Step] = []
        try collect(json[section] ?? .null, at: section, list: list, into: &steps)
        return steps
    }

    private func collect(_ value: JSONValue, at location: String, list: String, into steps: inout [Step]) throws(TokenizerError) {
        if case .null = value { return }
        guard let type = value["type"]?.string else { throw error(location, "expected an object with a \"type\"") }
        guard type == "Sequence" else {
            steps.append(Step(location: location, type: excerpt(type), json: value))
            return
        }
        guard let inner = value[list]?.array else { throw error("\(location).\(list)", "expected an array") }
        for (index, step) in inner.enumerated() { try collect(step, at: "\(location).\(list)[\(index)]", list: list, into: &steps) }
    }

    private func require(_ wanted: Bool, at key: String, of step: Step, default missing: Bool?) throws(TokenizerError) {
        guard let found = step.json[key]?.bool ?? missing else { throw error("\(step.location).\(key)", "expected true or false") }
        guard found == wanted else { throw error("\(step.location).\(key)", "\(found) is not supported here; \(wanted) is") }
    }

    /// The start of a text that may be long, on one line.
    func excerpt(_ text: String) -> String {
        let start = String(String.UnicodeScalarView(text.unicodeScalars.prefix(120).map { $0.value < 0x20 ? "\u{FFFD}" : $0 }))
        return text.unicodeScalars.count > 120 ? start + "…" : start
    }
}
