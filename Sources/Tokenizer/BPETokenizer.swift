/// A byte-level byte-pair-encoding tokenizer, as GPT-2 and Qwen2 have it: text to ids and back, equal to Hugging Face's tokenizers.
///
/// What happens to a text, in order: added tokens such as `<|im_end|>` are cut out; the rest is normalised; a pre-tokenizer cuts it
/// into pieces (words, numbers, punctuation, white space); the bytes of each piece are merged pair by pair, the earliest learned merge first.
///
/// Immutable, so one value serves any number of threads.
public final class BPETokenizer: Sendable {
    /// The bytes of every id, learned pieces and added tokens alike.
    let vocabulary: Vocabulary
    let merges: MergeTable
    /// The id of each single byte.
    let byteIDs: [Int32]
    let normalizesToNFC: Bool
    let preTokenizer: PreTokenizer
    let addedTokens: AddedTokens

    init(
        vocabulary: Vocabulary, merges: MergeTable, byteIDs: [Int32], normalizesToNFC: Bool, preTokenizer: PreTokenizer, addedTokens: AddedTokens
    ) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.byteIDs = byteIDs
        self.normalizesToNFC = normalizesToNFC
        self.preTokenizer = preTokenizer
        self.addedTokens = addedTokens
    }

    /// How many ids there are, added tokens included: they are 0 ..< this. (A model may have more rows than that.)
    public var vocabularySize: Int { vocabulary.count }

    /// The id of a token spelled as in `tokenizer.json` (`Ġthe`, `<|im_end|>`); nil if there is none.
    public func id(of token: String) -> Int32? {
        let spelling = Array(token.utf8)
        if let id = addedTokens.id(of: spelling) { return id }
        return ByteAlphabet.bytes(spelledBy: spelling).flatMap(vocabulary.id(of:))
    }

    /// How `tokenizer.json` spells a token; nil for an id that does not exist.
    public func token(of id: Int32) -> String? {
        if let added = addedTokens.token(of: id) { return String(decoding: added.content, as: UTF8.self) }
        return vocabulary.bytes(of: id).map(ByteAlphabet.spelling(of:))
    }

    /// Whether an id is a special token: control, not text.
    public func isSpecial(_ id: Int32) -> Bool { addedTokens.token(of: id)?.isSpecial ?? false }
}
