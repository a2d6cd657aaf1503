/// 1 for `<think>...</think><answer>...</answer>`, else 0.
///
/// Python's `re.match(r"^<think>.*?</think>\s*<answer>.*?</answer>$", text, re.DOTALL)`, in linear time.
public struct FormatReward: RewardFunction {
    /// `format`
    public let name = "format"

    /// The reward; it has no parameters.
    public init() {}

    /// 1 or 0 a completion.
    public func rewards(for batch: RewardBatch) -> [Double?] {
        batch.completions.map { Self.matches($0) ? 1 : 0 }
    }

    /// Whether the pattern matches the whole text; Python's `$` lets one newline follow.
    static func matches(_ text: String) -> Bool {
        var scalars = Array(text.unicodeScalars)
        if scalars.last == "\n" { scalars.removeLast() }
        guard scalars.starts(with: Tag.think), scalars.count >= Tag.endAnswer.count, scalars.suffix(Tag.endAnswer.count).elementsEqual(Tag.endAnswer)
        else { return false }
        // A dot matches everything, tags too, so any seam between the two parts will do; tags cannot overlap.
        var position = Tag.think.count
        while let seam = scalars.firstOccurrence(of: Tag.endThink, from: position) {
            position = seam + Tag.endThink.count
            while position < scalars.count, scalars[position].isPythonSpace { position += 1 }
            if scalars[position...].starts(with: Tag.answer) { return true }
        }
        return false
    }
}

/// The tags of R1's template.
enum Tag {
    static let think = Array("<think>".unicodeScalars)
    static let endThink = Array("</think>".unicodeScalars)
    static let answer = Array("<answer>".unicodeScalars)
    static let endAnswer = Array("</answer>".unicodeScalars)
}

extension [Unicode.Scalar] {
    /// Where `tag` begins at or after a position. Linear, for a tag is short and its first scalar is not in it again.
    func firstOccurrence(of tag: [Unicode.Scalar], from start: Int) -> Int? {
        guard count >= tag.count, start <= count - tag.count else { return nil }
        return (start...count - tag.count).first { self[$0] == tag[0] && self[$0..<$0 + tag.count].elementsEqual(tag) }
    }
}

extension Unicode.Scalar {
    /// What `\s` matches and `str.strip` strips: Unicode's white space and the four separators of ASCII.
    var isPythonSpace: Bool { properties.isWhitespace || (0x1C...0x1F).contains(value) }
}
