/// A byte-pair-encoding tokenizer, as Hugging Face's `tokenizer.json` describes it: text to ids and back, equal to Hugging Face's tokenizers.
///
/// What happens to a text, in order: added tokens such as `<|im_end|>` are cut out; the rest is normalised; a pre-tokenizer cuts it
/// into pieces (words, numbers, punctuation, white space); each piece is merged pair by pair, the earliest learned merge first; a
/// post-processor may put special tokens around the whole. A decoder goes the other way.
///
/// Immutable, so one value serves any number of threads.
public final class BPETokenizer: Sendable {
    let addedTokens: AddedTokens
    let normalizers: [Normalizer]
    let preTokenizer: PreTokenizer
    let model: BPEModel
    let postProcessor: PostProcessor
    let decoders: [Decoder]
    /// Whether normalizers or pre-tokenizers need to know where a text comes from even if nobody asks for offsets.
    let needsAlignments: Bool

    init(
        addedTokens: AddedTokens = AddedTokens([]), normalizers: [Normalizer] = [], preTokenizer: PreTokenizer, model: BPEModel,
        postProcessor: PostProcessor = PostProcessor(), decoders: [Decoder] = [.byteLevel]
    ) {
        self.addedTokens = addedTokens
        self.normalizers = normalizers
        self.preTokenizer = preTokenizer
        self.model = model
        self.postProcessor = postProcessor
        self.decoders = decoders
        needsAlignments = preTokenizer.needsAlignments || (preTokenizer.spellsBytes && normalizers.contains(where: \.mayBeginWithNothing))
        vocabularySize = max(model.vocabulary.count, Int(addedTokens.highestID ?? -1) + 1)
    }

    /// One more than the highest id, added tokens included. (A model may have more rows than that.)
    public let vocabularySize: Int

    /// The id of a token spelled as in `tokenizer.json` (`Ġthe`, `<|im_end|>`); nil if there is none.
    public func id(of token: String) -> Int32? {
        let spelling = Array(token.utf8)
        if let id = addedTokens.id(of: spelling) { return id }
        var scratch = ByteBuffer()
        return spelling.withUnsafeBufferPointer { model.vocabulary.id(spelled: $0, scratch: &scratch) }
    }

    /// How `tokenizer.json` spells a token; nil for an id that does not exist.
    public func token(of id: Int32) -> String? {
        (addedTokens.token(of: id)?.content ?? model.vocabulary.spelling(of: id)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether an id is a special token: control, not text.
    public func isSpecial(_ id: Int32) -> Bool { addedTokens.token(of: id)?.isSpecial ?? false }
}
