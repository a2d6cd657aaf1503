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
    private let original: Trie
    private let normalized: Trie

    init(_ list: [AddedToken]) {
        tokens = Dictionary(list.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        ids = Dictionary(list.map { ($0.content, $0.id) }, uniquingKeysWith: { $1 })
        original = Trie(list.filter { !$0.isNormalized }.map { ($0.searched, $0.id) })
        normalized = Trie(list.filter(\.isNormalized).map { ($0.searched, $0.id) })
    }

    func token(of id: Int32) -> AddedToken? { tokens[id] }

    func id(of content: [UInt8]) -> Int32? { ids[content] }

    /// Cuts a text at the tokens searched in the original text.
    func split(original text: UTF8Text, allowSpecial: Bool) -> [Segment] { split(text, by: original, allowSpecial: allowSpecial) }

    /// Cuts a normalised text at the tokens searched there.
    func split(normalized text: UTF8Text, allowSpecial: Bool) -> [Segment] { split(text, by: normalized, allowSpecial: allowSpecial) }

    /// The leftmost matches, the longest where several start, none overlapping; a match that its flags forbid becomes plain text.
    private func split(_ text: UTF8Text, by trie: Trie, allowSpecial: Bool) -> [Segment] {
        guard !trie.isEmpty else { return [Segment(id: nil, range: 0..<text.count)] }
        var segments: [Segment] = []
        var plainStart = 0
        var position = 0
        while let match = trie.nextMatch(in: text, from: position) {
            position = match.range.upperBound
            guard let token = tokens[match.id], allowSpecial || !token.isSpecial, !token.isSingleWord || standsAlone(match.range, in: text)
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
        if range.lowerBound > 0 {
            let before = text.scalar(at: text.start(before: range.lowerBound)).value
            if CharacterClass.table[before] & CharacterClass.word != 0 { return false }
        }
        guard range.upperBound < text.count else { return true }
        return CharacterClass.table[text.scalar(at: range.upperBound).value] & CharacterClass.word == 0
    }

    private func whitespaceStart(before end: Int, in text: UTF8Text) -> Int {
        var start = end
        while start > 0 {
            let previous = text.start(before: start)
            guard CharacterClass.table[text.scalar(at: previous).value] & CharacterClass.whitespace != 0 else { break }
            start = previous
        }
        return start
    }

    private func whitespaceEnd(from start: Int, in text: UTF8Text) -> Int {
        var end = start
        while end < text.count {
            let (scalar, length) = text.scalar(at: end)
            guard CharacterClass.table[scalar] & CharacterClass.whitespace != 0 else { break }
            end += length
        }
        return end
    }
}

/// Finds the longest of many byte strings at a place.
private struct Trie: Sendable {
    /// The node reached from a node (high bits) by a byte (low 8 bits); node 0 is the root.
    private var edges: [Int: Int] = [:]
    private var ids: [Int32?] = [nil]
    /// Whether any string starts with a byte: most places are passed over by this alone.
    private var starts = [Bool](repeating: false, count: 256)

    init(_ strings: [([UInt8], Int32)]) {
        for (string, id) in strings {
            guard let first = string.first else { continue }
            starts[Int(first)] = true
            var node = 0
            for byte in string {
                let edge = node << 8 | Int(byte)
                if let next = edges[edge] {
                    node = next
                } else {
                    edges[edge] = ids.count
                    node = ids.count
                    ids.append(nil)
                }
            }
            ids[node] = id
        }
    }

    var isEmpty: Bool { edges.isEmpty }

    func nextMatch(in text: UTF8Text, from start: Int) -> (id: Int32, range: Range<Int>)? {
        starts.withUnsafeBufferPointer { starts in
            for position in start..<text.count where starts[Int(text.bytes[position])] {
                var longest: (id: Int32, range: Range<Int>)?
                var (node, end) = (0, position)
                while end < text.count, let next = edges[node << 8 | Int(text.bytes[end])] {
                    (node, end) = (next, end + 1)
                    if let id = ids[node] { longest = (id, position..<end) }
                }
                if let longest { return longest }
            }
            return nil
        }
    }
}
