#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

internal import JSON

extension BPETokenizer {
    /// Reads the tokenizer of a checkpoint's directory: `tokenizer.json`, or `vocab.json` with `merges.txt`.
    ///
    /// The latter two say nothing of the steps around the merges: `tokenizer_class` in `tokenizer_config.json` does (GPT-2's or Qwen2's; GPT-2's
    /// where there is none), and `added_tokens_decoder` there lists the added tokens.
    public convenience init(directory: String) throws(TokenizerError) {
        func path(_ name: String) -> String { "\(directory)/\(name)" }
        func exists(_ name: String) -> Bool { access(path(name), F_OK) == 0 }
        if exists("tokenizer.json") || !exists("vocab.json") {
            try self.init(contentsOf: path("tokenizer.json"))
            return
        }
        var configuration: JSONValue = [:]
        if exists("tokenizer_config.json") {
            let bytes = try Self.read(path("tokenizer_config.json"))
            do throws(JSONError) {
                configuration = try JSONValue.parse(bytes, source: path("tokenizer_config.json"))
            } catch {
                throw TokenizerError(source: path("tokenizer_config.json"), location: "", message: error.detail)
            }
        }
        let legacy = LegacyFiles(
            vocabulary: try Self.read(path("vocab.json")), merges: try Self.read(path("merges.txt")), configuration: configuration,
            configurationSource: path("tokenizer_config.json"))
        try self.init(try legacy.tokenizerFile(), source: "\(directory) (vocab.json, merges.txt)")
    }
}

/// `vocab.json`, `merges.txt` and `tokenizer_config.json`, as the `tokenizer.json` that transformers makes of them.
private struct LegacyFiles {
    let vocabulary: [UInt8]
    let merges: [UInt8]
    let configuration: JSONValue
    let configurationSource: String

    func tokenizerFile() throws(TokenizerError) -> [UInt8] {
        var file = Array("{\"added_tokens\":".utf8)
        func append(_ key: String, _ value: JSONValue) { file += Array(",\"\(key)\":".utf8) + Array(value.serialized().utf8) }
        file += Array(try addedTokens().serialized().utf8)
        let byteLevel: JSONObject = JSONObject([("type", "ByteLevel"), ("add_prefix_space", false), ("trim_offsets", false)])
        switch className {
        case "GPT2Tokenizer", "GPT2TokenizerFast":
            guard configuration["add_bos_token"]?.bool != true else { throw refused("add_bos_token", "true is not supported") }
            var cutting = byteLevel
            cutting["add_prefix_space"] = .bool(configuration["add_prefix_space"]?.bool ?? false)
            append("pre_tokenizer", .object(cutting))
        case "Qwen2Tokenizer", "Qwen2TokenizerFast":
            var bytesOnly = byteLevel
            bytesOnly["use_regex"] = false
            let split: JSONValue = [
                "type": "Split", "pattern": ["Regex": .string(PieceScanner.qwen2Pattern)], "behavior": "Isolated", "invert": false,
            ]
            append("normalizer", ["type": "NFC"])
            append("pre_tokenizer", ["type": "Sequence", "pretokenizers": [split, .object(bytesOnly)]])
        default:
            throw refused(
                "tokenizer_class", "'\(className.prefix(80))' without a tokenizer.json is not supported; GPT2Tokenizer and Qwen2Tokenizer are")
        }
        append("post_processor", .object(byteLevel))
        append("decoder", .object(byteLevel))
        file += Array(",\"model\":{\"type\":\"BPE\",\"vocab\":".utf8)
        file += vocabulary
        file += Array(",\"merges\":[".utf8)
        var isFirst = true
        for line in merges.split(separator: UInt8(ascii: "\n")) {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if !isFirst { file.append(UInt8(ascii: ",")) }
            isFirst = false
            file += Array(JSONValue.string(String(decoding: line, as: UTF8.self)).serialized().utf8)
        }
        return file + Array("]}}".utf8)
    }

    private var className: String { configuration["tokenizer_class"]?.string ?? "GPT2Tokenizer" }

    /// `added_tokens_decoder` (ids to tokens) as `added_tokens`, by id.
    private func addedTokens() throws(TokenizerError) -> JSONValue {
        var tokens: [(id: Int64, token: JSONValue)] = []
        for (key, value) in configuration["added_tokens_decoder"]?.object?.members ?? [] {
            guard let id = Int64(key), var token = value.object else {
                throw refused("added_tokens_decoder", "expected ids with an object each, found '\(key.prefix(40))'")
            }
            token["id"] = .integer(id)
            tokens.append((id, .object(token)))
        }
        return .array(tokens.sorted { $0.id < $1.id }.map(\.token))
    }

    private func refused(_ location: String, _ message: String) -> TokenizerError {
        TokenizerError(source: configurationSource, location: location, message: message)
    }
}
