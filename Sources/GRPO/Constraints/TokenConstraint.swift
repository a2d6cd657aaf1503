public import Qwen2
public import Tokenizer

/// Which tokens may come next if the whole answer is to match an expression; end tokens where it may end.
///
/// The automaton runs over the bytes of every token, tokens sorted so that those with one beginning are walked together; what it finds for a state
/// is kept for the next time.
public final class TokenConstraint {
    private let automaton: PatternAutomaton
    private let endTokens: Set<Int32>
    private let vocabularySize: Int
    /// Tokens of text by their bytes, and how many bytes each has in common with the one before.
    private let tokens: [(id: Int32, bytes: [UInt8], common: Int)]
    private let bytesOfID: [[UInt8]]
    private var masks: [Int: TokenMask] = [:]

    /// Each mask has a bit a token: 20 KB for a vocabulary of 150,000.
    private static let mostMasks = 1024

    /// - Parameters:
    ///   - vocabularySize: the model's, which may have rows that stand for no token.
    ///   - endTokens: what ends an answer.
    /// - Throws: `ConstraintError` for an expression that is not supported or that no answer matches, and for a tokenizer whose tokens do not stand for
    ///   bytes each by itself.
    public init(expression: String, tokenizer: BPETokenizer, vocabularySize: Int, endTokens: Set<Int32>) throws(ConstraintError) {
        guard tokenizer.isByteLevel else {
            throw ConstraintError(description: "answers can be constrained with byte-level tokenizers only, such as Qwen2's and Llama 3's")
        }
        automaton = try PatternAutomaton(expression)
        self.endTokens = endTokens
        self.vocabularySize = vocabularySize
        let bytesOfID = (0..<Int32(vocabularySize)).map { id -> [UInt8] in
            tokenizer.isSpecial(id) || endTokens.contains(id) ? [] : tokenizer.bytes(of: id) ?? []
        }
        var tokens: [(id: Int32, bytes: [UInt8], common: Int)] = []
        for id in bytesOfID.indices.sorted(by: { bytesOfID[$0].lexicographicallyPrecedes(bytesOfID[$1]) }) where !bytesOfID[id].isEmpty {
            let common = tokens.last.map { zip($0.bytes, bytesOfID[id]).prefix { $0 == $1 }.count } ?? 0
            tokens.append((Int32(id), bytesOfID[id], common))
        }
        self.bytesOfID = bytesOfID
        self.tokens = tokens
        guard mask(PatternAutomaton.start) != nil else {
            throw ConstraintError(description: "the expression allows no token at all to begin with")
        }
    }

    /// For the answers of a model.
    public convenience init(expression: String, model: TextModel, endTokens: Set<Int32>) throws(ConstraintError) {
        try self.init(
            expression: expression, tokenizer: model.tokenizer, vocabularySize: model.model.configuration.vocabularySize, endTokens: endTokens)
    }

    /// Where a completion is in the expression. A value a completion: begin with `Progress()`.
    public struct Progress: Sendable {
        fileprivate var state = PatternAutomaton.start

        /// The beginning of an answer.
        public init() {}
    }

    /// What may come next; nil if nothing may: the answer is whole, and there is no token to say so.
    public func allowed(_ progress: Progress) -> TokenMask? { mask(progress.state) }

    /// Goes on with a token that was allowed.
    public func advance(_ progress: inout Progress, with id: Int32) {
        guard bytesOfID.indices.contains(Int(id)) else { return }
        for byte in bytesOfID[Int(id)] {
            guard let next = automaton.state(after: byte, from: progress.state) else { return }
            progress.state = next
        }
    }

    private func mask(_ state: Int) -> TokenMask? {
        if let known = masks[state] { return known }
        var allowed = automaton.accepts(state) ? Array(endTokens) : []
        // The states after each byte of the token before; what it shares with this one need not be walked again.
        var states = [state]
        for token in tokens {
            guard states.count > token.common else { continue }
            states.removeLast(states.count - token.common - 1)
            for byte in token.bytes[token.common...] {
                guard let next = automaton.state(after: byte, from: states[states.count - 1]) else { break }
                states.append(next)
            }
            if states.count == token.bytes.count + 1 { allowed.append(token.id) }
        }
        guard !allowed.isEmpty else { return nil }
        let mask = TokenMask(allowing: allowed, vocabularySize: vocabularySize)
        if masks.count == Self.mostMasks { masks.removeAll() }
        masks[state] = mask
        return mask
    }
}
