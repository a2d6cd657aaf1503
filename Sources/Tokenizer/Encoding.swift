/// The ids of a text, and where in it each comes from.
public struct Encoding: Sendable, Equatable {
    /// The ids.
    public var ids: [Int32]
    /// For each id, the range of the text's UTF-8 bytes that it stands for; empty, at 0, for special tokens that were added around the text.
    ///
    /// An id that stands for a part of a character has the range of the whole character, so ranges may overlap.
    public var offsets: [Range<Int>]
}

/// How many ids of a long text are kept, and which.
public struct Truncation: Sendable, Equatable {
    /// The end that ids are taken from.
    public enum Side: Sendable { case left, right }

    /// The most ids, special tokens added around the text included.
    public var maxLength: Int
    /// Where the ids that are too many are taken away.
    public var side: Side

    /// At most `maxLength` ids: the first, or with `.left` the last.
    public init(maxLength: Int, side: Side = .right) {
        self.maxLength = maxLength
        self.side = side
    }

    /// The ids that are kept of `count`, where so many more will be added.
    func kept(of count: Int, adding added: Int) -> Range<Int> {
        let length = min(count, max(0, maxLength - added))
        return side == .right ? 0..<length : count - length..<count
    }
}
