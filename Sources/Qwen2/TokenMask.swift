/// The tokens that may come next: a bit an id.
public struct TokenMask: Sendable {
    private let words: [UInt64]

    /// Allows these ids and no others; ids outside the vocabulary are left out.
    public init(allowing ids: some Sequence<Int32>, vocabularySize: Int) {
        var words = [UInt64](repeating: 0, count: (vocabularySize + 63) / 64)
        for id in ids where id >= 0 && id < vocabularySize { words[Int(id) >> 6] |= 1 << UInt64(id & 63) }
        self.words = words
    }

    /// Whether an id may come next.
    public subscript(id: Int) -> Bool { words[id >> 6] >> UInt64(id & 63) & 1 != 0 }
}
