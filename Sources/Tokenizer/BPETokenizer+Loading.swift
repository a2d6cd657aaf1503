public import JSON

extension BPETokenizer {
    /// Reads a `tokenizer.json` of at most 64 MiB.
    public convenience init(contentsOf path: String) throws(TokenizerError) {
        let json: JSONValue
        do throws(JSONError) {
            json = try JSONValue.parse(contentsOf: path)
        } catch {
            throw TokenizerError(source: path, location: "", message: "not a readable tokenizer.json: \(error)")
        }
        try self.init(json: json, source: path)
    }

    /// Makes the tokenizer that a parsed `tokenizer.json` describes; `source` names it in errors.
    ///
    /// Whatever cannot be done exactly as Hugging Face's tokenizers do it is refused. `truncation` and `padding` are left to the caller,
    /// as transformers does.
    public convenience init(json: JSONValue, source: String) throws(TokenizerError) {
        let file = TokenizerFile(json: json, source: source)
        let normalizesToNFC = try file.normalizesToNFC()
        let preTokenizer = try file.preTokenizer()
        try file.checkPostProcessor()
        try file.checkDecoder()
        try file.checkModel()
        let added = try file.addedTokens(normalizesToNFC: normalizesToNFC)
        let vocabulary = try file.vocabulary(added: added)
        self.init(
            vocabulary: vocabulary, merges: try file.merges(of: vocabulary), byteIDs: try file.byteIDs(in: vocabulary),
            normalizesToNFC: normalizesToNFC, preTokenizer: preTokenizer,
            addedTokens: AddedTokens(added))
    }
}
