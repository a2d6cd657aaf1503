public import JSON

extension BPETokenizer {
    /// Reads a `tokenizer.json` of at most 64 MiB.
    public convenience init(contentsOf path: String) throws(TokenizerError) {
        try self.init(try Self.read(path), source: path)
    }

    /// Makes the tokenizer that the text of a `tokenizer.json` describes; `source` names it in errors.
    ///
    /// Whatever cannot be done exactly as Hugging Face's tokenizers do it is refused. `truncation` and `padding` are left to the caller,
    /// as transformers does.
    public convenience init(_ bytes: [UInt8], source: String) throws(TokenizerError) {
        let parts = try bytes.withUnsafeBufferPointer { text throws(TokenizerError) in
            let file = try TokenizerFile(text, source: source)
            try file.checkVersion()
            try file.checkModel()
            var growth = TokenizerFile.Growth()
            let normalizers = try file.normalizers(&growth)
            let components = try file.preTokenizerComponents(&growth)
            // Where a piece may stand for nothing, its bytes have to be spelled: see `PreTokenizer.spelled`.
            let isByteLevel = components.endsInByteLevel && !normalizers.contains(where: \.mayBeginWithNothing)
            let vocabulary = try file.vocabulary(isByteLevel: isByteLevel)
            let added = AddedTokens(try file.addedTokens(vocabulary: vocabulary, normalizers: normalizers))
            let model = BPEModel(
                vocabulary: vocabulary, merges: try file.merges(of: vocabulary), ignoresMerges: try file.modelFlag("ignore_merges"),
                unknown: try file.unknownCharacters(in: vocabulary))
            let size = max(vocabulary.count, Int(added.highestID ?? -1) + 1)
            return (
                added, normalizers, components.steps(spellsBytes: !vocabulary.isByteLevel), model,
                try file.postProcessor(vocabularySize: size), try file.decoders()
            )
        }
        self.init(
            addedTokens: parts.0, normalizers: parts.1, preTokenizer: PreTokenizer(steps: parts.2), model: parts.3, postProcessor: parts.4,
            decoders: parts.5)
    }

    /// Makes the tokenizer that a parsed `tokenizer.json` describes; `source` names it in errors. From its text is faster.
    public convenience init(json: JSONValue, source: String) throws(TokenizerError) {
        try self.init(Array(json.serialized().utf8), source: source)
    }

    static func read(_ path: String) throws(TokenizerError) -> [UInt8] {
        do throws(JSONError) {
            return try BoundedFile.read(path, limit: JSONLimits().bytes)
        } catch {
            throw TokenizerError(source: path, location: "", message: "cannot be read: \(error.detail)")
        }
    }
}
