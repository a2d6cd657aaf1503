/// A step of `normalizer`: one text into another.
enum Normalizer: Sendable {
    case unicode(NormalizationForm)
    case lowercase
    case strip(left: Bool, right: Bool)
    case prepend([UInt8])
    case replace(Pattern, with: [UInt8])

    /// Whether the step may put something before a text that stands for nothing of it.
    var mayBeginWithNothing: Bool {
        if case .replace(.expression(let expression), with: let content) = self { !content.isEmpty && expression.mayMatchNothing } else { false }
    }

    /// The normalised text; nil if nothing changes.
    func normalized(_ piece: Piece) throws(TokenizerError) -> AlignedText? {
        switch self {
        case .unicode(let form): form.normalized(piece)
        case .lowercase: Self.lowercased(piece)
        case .strip(let left, let right): Self.stripped(piece, left: left, right: right)
        case .prepend(let prefix): Self.prepending(prefix, to: piece)
        case .replace(let pattern, let content): try Self.replacing(pattern, in: piece, with: content)
        }
    }

    /// What all the steps make of a text; nil if nothing changes.
    static func normalized(_ piece: Piece, by steps: [Normalizer]) throws(TokenizerError) -> AlignedText? {
        var current: AlignedText?
        for step in steps {
            let next: AlignedText?
            if let current {
                next = try current.withPiece { piece throws(TokenizerError) in try step.normalized(piece) }
            } else {
                next = try step.normalized(piece)
            }
            if let next { current = next }
        }
        return current
    }

    // MARK: The steps

    private static func lowercased(_ piece: Piece) -> AlignedText? {
        var changes: [AlignedText.Change] = []
        var isChanged = false
        piece.text.forEachScalar { scalar in
            let lower = Lowercase.mapping(scalar)
            if lower.first != scalar || lower.second != 0 { isChanged = true }
            changes.append(AlignedText.Change(scalar: lower.first, removed: 0))
            if lower.second != 0 { changes.append(AlignedText.Change(scalar: lower.second, removed: 1)) }
        }
        guard isChanged else { return nil }
        var rewriter = AlignedText.Rewriter(piece)
        rewriter.replace(0..<piece.text.count, with: changes)
        return rewriter.new
    }

    private static func stripped(_ piece: Piece, left: Bool, right: Bool) -> AlignedText? {
        let text = piece.text
        func isSpace(_ position: Int) -> Bool { CharacterClass.table[text.scalar(at: position).value] & CharacterClass.whitespace != 0 }
        var (start, end) = (0, text.count)
        while left, start < end, isSpace(start) { start += text.scalar(at: start).length }
        while right, start < end, isSpace(text.start(before: end)) { end = text.start(before: end) }
        guard end - start < text.count else { return nil }
        var rewriter = AlignedText.Rewriter(piece)
        rewriter.keep(start..<end)
        return rewriter.new
    }

    /// Nothing is put before an empty text.
    static func prepending(_ prefix: [UInt8], to piece: Piece) -> AlignedText? {
        let text = piece.text
        guard text.count > 0 else { return nil }
        let (first, length) = text.scalar(at: 0)
        var changes: [AlignedText.Change] = []
        prefix.withUnsafeBufferPointer { prefix in
            UTF8Text(bytes: prefix).forEachScalar { changes.append(AlignedText.Change(scalar: $0, removed: changes.isEmpty ? 0 : 1)) }
        }
        changes.append(AlignedText.Change(scalar: first, removed: 1))
        var rewriter = AlignedText.Rewriter(piece)
        rewriter.replace(0..<length, with: changes)
        rewriter.keep(length..<text.count)
        return rewriter.new
    }

    static func replacing(_ pattern: Pattern, in piece: Piece, with content: [UInt8]) throws(TokenizerError) -> AlignedText? {
        let matches = try pattern.matches(in: piece.text).filter(\.isMatch)
        guard !matches.isEmpty else { return nil }
        try AlignedText.checkLength(piece.text.count + matches.count * content.count)
        var changes: [AlignedText.Change] = []
        content.withUnsafeBufferPointer { content in
            UTF8Text(bytes: content).forEachScalar { changes.append(AlignedText.Change(scalar: $0, removed: 1)) }
        }
        var rewriter = AlignedText.Rewriter(piece)
        var last = 0
        for match in matches {
            rewriter.keep(last..<match.range.lowerBound)
            // All of the match vanishes, so that the content shares the place of its end.
            rewriter.replace(match.range, with: changes, skipping: match.range.count)
            last = match.range.upperBound
        }
        rewriter.keep(last..<piece.text.count)
        return rewriter.new
    }
}
