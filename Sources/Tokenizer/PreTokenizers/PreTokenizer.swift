/// `pre_tokenizer`: how a text is cut into the pieces inside which merges happen.
///
/// The components of `tokenizer.json` taken apart into steps; each step cuts or changes what the one before it left.
struct PreTokenizer: Sendable {
    /// One step.
    enum Step: Sendable {
        /// Cuts by a known expression.
        case scan(PieceScanner.Rule)
        /// Cuts at the matches of a pattern, or (inverted) at what is between them.
        case split(Pattern, SplitBehavior, isInverted: Bool)
        /// Puts a space before a text that does not begin with one: `ByteLevel` with `add_prefix_space`.
        case prefixSpace
        /// Writes the bytes in the byte alphabet: `ByteLevel`, where it is not the last component or the vocabulary not byte-level.
        case spellBytes
        /// Puts `replacement` in the place of spaces and before the text: `Metaspace`.
        case metaspace(replacement: [UInt8], Prefix)

        /// How many times longer the step may make a text.
        var growth: Int {
            switch self {
            case .scan, .split: 1
            case .prefixSpace, .spellBytes: 2
            case .metaspace(let replacement, _): 1 + replacement.count
            }
        }
    }

    /// `prepend_scheme`.
    enum Prefix: Sendable {
        case always, never
        /// Only at the start of the whole text.
        case first
    }

    let steps: [Step]

    /// Whether a step has to know where in the original text its piece starts.
    var needsAlignments: Bool {
        steps.contains { if case .metaspace(_, .first) = $0 { true } else { false } }
    }

    /// Whether a step writes bytes in the byte alphabet.
    var spellsBytes: Bool {
        steps.contains { if case .spellBytes = $0 { true } else { false } }
    }

    /// The one expression that cuts everything, if that is all there is.
    var onlyRule: PieceScanner.Rule? {
        if steps.count == 1, case .scan(let rule) = steps[0] { rule } else { nil }
    }

    /// Calls `body` with every piece of a text, in order; none is empty.
    func forEachPiece(in piece: Piece, fromStep step: Int = 0, _ body: (Piece) -> Void) throws(TokenizerError) {
        guard piece.text.count > 0 else { return }
        guard step < steps.count else {
            body(piece)
            return
        }
        switch steps[step] {
        case .scan(let rule):
            if step + 1 == steps.count {
                PieceScanner.forEachPiece(in: piece.text, rule) { body(piece[$0]) }
            } else {
                var failure: TokenizerError?
                PieceScanner.forEachPiece(in: piece.text, rule) { range in
                    guard failure == nil else { return }
                    do throws(TokenizerError) {
                        try forEachPiece(in: piece[range], fromStep: step + 1, body)
                    } catch {
                        failure = error
                    }
                }
                if let failure { throw failure }
            }
        case .split(let pattern, let behavior, let isInverted):
            var parts = try pattern.matches(in: piece.text)
            if isInverted { for index in parts.indices { parts[index].isMatch.toggle() } }
            for range in behavior.pieces(of: parts) where !range.isEmpty {
                try forEachPiece(in: piece[range], fromStep: step + 1, body)
            }
        case .prefixSpace:
            let space = UInt8(ascii: " ")
            try go(on: piece.text.bytes[0] == space ? nil : Normalizer.prepending([space], to: piece), or: piece, step, body)
        case .spellBytes: try go(on: Self.spelled(piece), or: piece, step, body)
        case .metaspace(let replacement, let prefix):
            try go(on: try Self.withMetaspace(piece, replacement, prefix), or: piece, step, body)
        }
    }

    /// Goes on with a changed text, or the old one if nothing changed.
    private func go(on changed: AlignedText?, or piece: Piece, _ step: Int, _ body: (Piece) -> Void) throws(TokenizerError) {
        guard let changed else { return try forEachPiece(in: piece, fromStep: step + 1, body) }
        try AlignedText.checkLength(changed.bytes.count)
        try changed.withPiece { changed throws(TokenizerError) in try forEachPiece(in: changed, fromStep: step + 1, body) }
    }

    private static func spelled(_ piece: Piece) -> AlignedText {
        var rewriter = AlignedText.Rewriter(piece)
        let scalars = ByteAlphabet.scalars
        let changes = piece.text.bytes.lazy.map { byte in
            // A character's first byte takes its place, the others are put in behind.
            AlignedText.Change(scalar: scalars[Int(byte)], removed: byte & 0xC0 == 0x80 ? 1 : 0)
        }
        // Of a piece that was put in, so that it stands for nothing of the original text, nothing is replaced: the bytes come before it.
        let isPutIn = piece.alignments.map { $0[0].start == $0[piece.text.count - 1].end } ?? false
        rewriter.replace(0..<(isPutIn ? 0 : piece.text.count), with: changes)
        if isPutIn { rewriter.keep(0..<piece.text.count) }
        return rewriter.new
    }

    private static func withMetaspace(_ piece: Piece, _ replacement: [UInt8], _ prefix: Prefix) throws(TokenizerError) -> AlignedText? {
        let replaced = try Normalizer.replacing(.literal([UInt8(ascii: " ")]), in: piece, with: replacement)
        let hasPrefix = (replaced?.bytes ?? Array(piece.text.bytes)).starts(with: replacement)
        let wantsPrefix =
            switch prefix {
            case .always: true
            case .never: false
            case .first: piece.originalStart == 0
            }
        guard wantsPrefix, !hasPrefix else { return replaced }
        guard let replaced else { return Normalizer.prepending(replacement, to: piece) }
        return replaced.withPiece { Normalizer.prepending(replacement, to: $0) }
    }
}
