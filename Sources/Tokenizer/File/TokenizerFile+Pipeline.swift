internal import JSON

/// The steps around the model.
extension TokenizerFile {
    /// How many times longer steps may make a text, all of them together: a few that each put in much would fill any memory.
    struct Growth {
        private var factor = 1
        /// Real tokenizers are below 20: a prefix, `▁` of three bytes for a space, two bytes of the byte alphabet for one.
        private static let most = 1 << 14

        /// Counts a step in, unless it is too much.
        fileprivate mutating func multiply(by factor: Int, _ step: Step, of file: TokenizerFile) throws(TokenizerError) {
            self.factor *= max(1, factor)
            guard self.factor <= Self.most else {
                throw file.error(
                    step.location, "the steps together could make a text \(self.factor) times longer, more than the \(Self.most) allowed")
            }
        }
    }

    // MARK: normalizer

    func normalizers(_ growth: inout Growth) throws(TokenizerError) -> [Normalizer] {
        var normalizers: [Normalizer] = []
        for step in try steps("normalizer", list: "normalizers") {
            switch step.type {
            case "NFC": normalizers.append(.unicode(.nfc))
            case "NFD": normalizers.append(.unicode(.nfd))
            case "NFKC": normalizers.append(.unicode(.nfkc))
            case "NFKD": normalizers.append(.unicode(.nfkd))
            case "Lowercase": normalizers.append(.lowercase)
            case "Strip": normalizers.append(.strip(left: try flag("strip_left", of: step), right: try flag("strip_right", of: step)))
            case "Prepend":
                let prefix = try content("prepend", of: step)
                try growth.multiply(by: 1 + prefix.count, step, of: self)
                normalizers.append(.prepend(prefix))
            case "Replace":
                let (pattern, content) = (try pattern(of: step), try content("content", of: step))
                try growth.multiply(by: Self.growth(replacing: pattern, with: content), step, of: self)
                normalizers.append(.replace(pattern, with: content))
            default:
                throw error(
                    step.location,
                    "normalizer '\(step.type)' is not supported; NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend and Replace are")
            }
        }
        return normalizers
    }

    private static func growth(replacing pattern: Pattern, with content: [UInt8]) -> Int {
        // An expression may match nothing between any two characters.
        if case .literal(let wanted) = pattern { (content.count + wanted.count - 1) / wanted.count } else { 1 + content.count }
    }

    /// Text that a step puts in, perhaps many times: a short one.
    private func content(_ key: String, of step: Step) throws(TokenizerError) -> [UInt8] {
        let content = Array(try string(key, of: step).utf8)
        guard content.count <= 1024 else { throw error("\(step.location).\(key)", "\(content.count) bytes, more than the 1024 allowed") }
        return content
    }

    // MARK: pre_tokenizer

    /// The components of `pre_tokenizer`, before it is known whether the vocabulary takes bytes.
    struct PreTokenizerComponents {
        fileprivate var steps: [PreTokenizer.Step] = []
        /// Whether the last component writes bytes in the byte alphabet: then the vocabulary can be read as bytes.
        fileprivate(set) var endsInByteLevel = false

        /// The steps; the last `spellBytes` is left out if the vocabulary is read as bytes.
        func steps(spellsBytes: Bool) -> [PreTokenizer.Step] {
            endsInByteLevel && !spellsBytes ? Array(steps.dropLast()) : steps
        }
    }

    func preTokenizerComponents(_ growth: inout Growth) throws(TokenizerError) -> PreTokenizerComponents {
        var components = PreTokenizerComponents()
        for step in try steps("pre_tokenizer", list: "pretokenizers") {
            let made = try preTokenizerSteps(step)
            for part in made { try growth.multiply(by: part.growth, step, of: self) }
            components.steps += made
            components.endsInByteLevel = step.type == "ByteLevel"
        }
        return components
    }

    private func preTokenizerSteps(_ step: Step) throws(TokenizerError) -> [PreTokenizer.Step] {
        switch step.type {
        case "ByteLevel":
            let prefix: [PreTokenizer.Step] = try flag("add_prefix_space", of: step, default: true) ? [.prefixSpace] : []
            return prefix + (try flag("use_regex", of: step, default: true) ? [.scan(.gpt2)] : []) + [.spellBytes]
        case "Split":
            let isInverted = try flag("invert", of: step)
            let behavior = try behavior(of: step)
            // Only an expression that matches everything is scanned: then isolating or inverting changes nothing but what is a match.
            if behavior == .isolated, let known = step.json["pattern"]?["Regex"]?.string.flatMap(PieceScanner.rule) { return [.scan(known)] }
            return [.split(try pattern(of: step), behavior, isInverted: isInverted)]
        case "Digits": return [.scan(.digits(individually: try flag("individual_digits", of: step)))]
        case "Punctuation":
            let behavior = step.json.lacks("behavior") ? .isolated : try behavior(of: step)
            return [.split(.characters(CharacterClass.punctuation), behavior, isInverted: false)]
        case "Whitespace": return [.split(.wordsAndSymbols, .removed, isInverted: true)]
        case "WhitespaceSplit": return [.split(.characters(CharacterClass.whitespace), .removed, isInverted: false)]
        case "Metaspace":
            let (replacement, prefix) = try metaspace(step)
            let isSplit = try flag("split", of: step, default: true)
            let cut: [PreTokenizer.Step] = isSplit ? [.split(.literal(replacement), .mergedWithNext, isInverted: false)] : []
            return [.metaspace(replacement: replacement, prefix)] + cut
        default:
            throw error(
                step.location,
                "pre-tokenizer '\(step.type)' is not supported; ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit and Metaspace are")
        }
    }

    private func behavior(of step: Step) throws(TokenizerError) -> SplitBehavior {
        guard let behavior = SplitBehavior(rawValue: try string("behavior", of: step)) else {
            throw error("\(step.location).behavior", "expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous")
        }
        return behavior
    }

    private func metaspace(_ step: Step) throws(TokenizerError) -> (replacement: [UInt8], PreTokenizer.Prefix) {
        let replacement = Array(String(try scalar("replacement", of: step)).utf8)
        let prefix: PreTokenizer.Prefix
        switch step.json["prepend_scheme"]?.string ?? "always" {
        case "always": prefix = .always
        case "never": prefix = .never
        case "first": prefix = .first
        default: throw error("\(step.location).prepend_scheme", "expected always, never or first")
        }
        if try flag("add_prefix_space", of: step, default: true) || prefix == .never { return (replacement, prefix) }
        throw error("\(step.location).add_prefix_space", "false, but prepend_scheme is not \"never\"")
    }

    // MARK: post_processor

    func postProcessor(vocabularySize: Int) throws(TokenizerError) -> PostProcessor {
        var processor = PostProcessor()
        var hasTemplate = false
        for step in try steps("post_processor", list: "processors") {
            switch step.type {
            case "ByteLevel":
                if try flag("trim_offsets", of: step, default: true) {
                    processor.trims.append(try flag("add_prefix_space", of: step, default: true))
                }
            case "TemplateProcessing":
                guard !hasTemplate else { throw error(step.location, "a second TemplateProcessing is not supported") }
                hasTemplate = true
                processor.template = try template(step, vocabularySize: vocabularySize)
            default:
                throw error(step.location, "post-processor '\(step.type)' is not supported; ByteLevel and TemplateProcessing are")
            }
        }
        return processor
    }

    private func template(_ step: Step, vocabularySize: Int) throws(TokenizerError) -> [PostProcessor.Part] {
        guard let single = step.json["single"]?.array, single.count <= 64 else {
            throw error("\(step.location).single", "expected an array of at most 64 parts")
        }
        var parts: [PostProcessor.Part] = []
        for (index, part) in single.enumerated() {
            let location = "\(step.location).single[\(index)]"
            if let text = part["Sequence"] {
                guard text["id"] == "A" else { throw error(location, "expected the sequence A: there is no other in the template of one text") }
                parts.append(.text)
            } else if let name = part["SpecialToken"]?["id"]?.string {
                guard let list = step.json["special_tokens"]?[name]?["ids"]?.array else {
                    throw error(location, "special_tokens has no ids for '\(excerpt(name))'")
                }
                let ids = list.compactMap { $0.int.flatMap(Int32.init(exactly:)) }.filter { (0..<vocabularySize).contains(Int($0)) }
                guard ids.count == list.count, ids.count <= 64 else {
                    throw error(location, "'\(excerpt(name))' has ids that do not exist; they are below \(vocabularySize)")
                }
                parts.append(.special(ids))
            } else {
                throw error(location, "expected {\"Sequence\": ...} or {\"SpecialToken\": ...}")
            }
        }
        return parts
    }

    // MARK: decoder

    func decoders() throws(TokenizerError) -> [Decoder] {
        guard !(json["decoder"] ?? .null).isNull else { return [.spaced] }
        var decoders: [Decoder] = []
        var growth = Growth()
        for step in try steps("decoder", list: "decoders") {
            switch step.type {
            case "ByteLevel": decoders.append(.byteLevel)
            case "ByteFallback": decoders.append(.byteFallback)
            case "Fuse": decoders.append(.fuse)
            case "Replace":
                guard let wanted = step.json["pattern"]?["String"]?.string, !wanted.utf8.isEmpty else {
                    throw error("\(step.location).pattern", "expected {\"String\": ...}: expressions are not supported in a decoder")
                }
                let content = try content("content", of: step)
                try growth.multiply(by: Self.growth(replacing: .literal(Array(wanted.utf8)), with: content), step, of: self)
                decoders.append(.replace(Array(wanted.utf8), with: content))
            case "Strip":
                guard let start = step.json["start"]?.int, let stop = step.json["stop"]?.int, 0...65535 ~= start, 0...65535 ~= stop else {
                    throw error(step.location, "expected start and stop from 0 to 65535")
                }
                decoders.append(.strip(try scalar("content", of: step).value, start: start, stop: stop))
            case "Metaspace":
                let prefix = try metaspace(step).1
                decoders.append(.metaspace(try scalar("replacement", of: step).value, dropsFirst: prefix != .never))
            default:
                throw error(
                    step.location,
                    "decoder '\(step.type)' is not supported; ByteLevel, ByteFallback, Fuse, Replace, Strip and Metaspace are")
            }
        }
        return decoders
    }
}
