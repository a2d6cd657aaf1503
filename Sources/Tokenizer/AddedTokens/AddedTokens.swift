/// A token that is cut out of the text before anything is merged, such as `<|im_end|>`; the flags are `tokenizer.json`'s.
struct AddedToken: Sendable {
    var id: Int32
    /// Its UTF-8, as `tokenizer.json` has it.
    var content: [UInt8]
    /// What is searched for, and what the id decodes to: the content, normalised if `isNormalized`.
    var searched: [UInt8]
    /// Control, not text: left out by decoding on request, and plain text when special tokens are not allowed.
    var isSpecial: Bool
    /// Searched in the normalised text (and normalised itself) instead of the original.
    var isNormalized: Bool
    /// Swallows the white space before it.
    var stripsLeft: Bool
    /// Swallows the white space behind it.
    var stripsRight: Bool
    /// Only matches with no word character (`\w`) next to it.
    var isSingleWord: Bool
}

/// All added tokens, and how to find them in a text.
struct AddedTokens: Sendable {
    /// A part of a text: an added token, or (id nil) text between them.
    struct Segment {
        var id: Int32?
        var range: Range<Int>
    }

    private let tokens: [Int32: AddedToken]
    private let ids: [[UInt8]: Int32]
    private let specialContents: Set<[UInt8]>
    private let original: TokenSearch
    private let normalized: TokenSearch

    init(_ list: [AddedToken]) {
        tokens = Dictionary(list.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        ids = Dictionary(list.map { ($0.content, $0.id) }, uniquingKeysWith: { $1 })
        specialContents = Set(list.filter(\.isSpecial).map(\.content))
        original = TokenSearch(list.filter { !$0.isNormalized }.map { ($0.searched, $0.id) })
        normalized = TokenSearch(list.filter(\.isNormalized).map { ($0.searched, $0.id) })
    }

    func token(of id: Int32) -> AddedToken? { tokens[id] }

    func id(of content: [UInt8]) -> Int32? { ids[content] }

    /// Whether decoding leaves a token out on request: it asks for what the token decodes to among the contents of special tokens.
    func isSkipped(_ decoded: [UInt8]) -> Bool { specialContents.contains(decoded) }

    /// The highest id; nil if there are no added tokens.
    var highestID: Int32? { tokens.keys.max() }

    /// Whether any token is searched in the normalised text.
    var hasNormalized: Bool { !normalized.isEmpty }

    /// Cuts a text at the tokens searched in the original text.
    func split(original text: UTF8Text, allowSpecial: Bool) -> [Segment] { split(text, by: original, allowSpecial: allowSpecial) }

    /// Cuts a normalised text at the tokens searched there.
    func split(normalized text: UTF8Text, allowSpecial: Bool) -> [Segment] { split(text, by: normalized, allowSpecial: allowSpecial) }

    /// The leftmost matches, the longest where several start, none overlapping; a match that its flags forbid becomes plain text.
    private func split(_ text: UTF8Text, by search: TokenSearch, allowSpecial: Bool) -> [Segment] {
        var segments: [Segment] = []
        var plainStart = 0
        var position = 0
        while let match = search.nextMatch(in: text, from: position) {
            position = match.range.upperBound
            guard let token = tokens[match.id], allowSpecial || !specialContents.contains(token.content),
                !token.isSingleWord || standsAlone(match.range, in: text)
            else { continue }
            var (start, end) = (match.range.lowerBound, match.range.upperBound)
            if token.stripsLeft { start = max(plainStart, whitespaceStart(before: start, in: text)) }
            if token.stripsRight { end = whitespaceEnd(from: end, in: text) }
            if plainStart < start { segments.append(Segment(id: nil, range: plainStart..<start)) }
            // White space swallowed before may have been the start of this match.
            segments.append(Segment(id: token.id, range: min(start, end)..<end))
            plainStart = end
        }
        if plainStart < text.count { segments.append(Segment(id: nil, range: plainStart..<text.count)) }
        return segments
    }

    private func standsAlone(_ range: Range<Int>, in text: UTF8Text) -> Bool {
        if range.lowerBound > 0, text.class(at: text.start(before: range.lowerBound)) & CharacterClass.word != 0 { return false }
        return range.upperBound == text.count || text.class(at: range.upperBound) & CharacterClass.word == 0
    }

    private func whitespaceStart(before end: Int, in text: UTF8Text) -> Int {
        var start = end
        while start > 0, text.class(at: text.start(before: start)) & CharacterClass.whitespace != 0 { start = text.start(before: start) }
        return start
    }

    private func whitespaceEnd(from start: Int, in text: UTF8Text) -> Int {
        var end = start
        while end < text.count, text.class(at: end) & CharacterClass.whitespace != 0 { end += text.scalar(at: end).length }
        return end
    }
}

extension UTF8Text {
    /// The `CharacterClass` bits of the character at `position`.
    func `class`(at position: Int) -> UInt8 { CharacterClass.table[scalar(at: position).value] }
}
