public import Checkpoints
internal import Qwen2
internal import Tokenizer

extension TextModel {
    /// How much each column of the weights matters on a text, which is read in pieces.
    /// - Parameters:
    ///   - piece: the tokens of a piece; no more than the model's context.
    ///   - progress: told the tokens read and in all.
    /// - Throws: `PromptError` for a text of fewer than two tokens, or one that cannot be encoded.
    public func importance(ofText text: String, piece: Int = 512, progress: (Int, Int) -> Void) throws(PromptError) -> ImportanceMatrix {
        let ids = try ids(ofText: text)
        guard ids.count > 1 else { throw PromptError(message: "has \(ids.count) tokens, expected at least 2, better some thousands") }
        let step = min(piece, model.configuration.contextLength)
        let pieces = stride(from: 0, to: ids.count, by: step).map { Array(ids[$0..<min($0 + step, ids.count)]) }
        return model.importance(of: pieces) { done in progress(min(done * step, ids.count), ids.count) }
    }
}
