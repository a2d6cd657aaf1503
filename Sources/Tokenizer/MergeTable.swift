/// The learned merges: a pair of neighbouring ids to the merge's rank (0 was learned first) and the id it makes.
struct MergeTable: Sendable {
    /// One merge; an empty slot has the pair `none`.
    struct Slot: Sendable {
        var pair: UInt64
        var merge: UInt64
    }

    /// No pair, and also no merge: it sorts behind every rank.
    static let none = UInt64.max

    /// Open addressing, at most half full, a power of two.
    private var slots: [Slot]

    init(capacity: Int) {
        slots = [Slot](repeating: Slot(pair: Self.none, merge: Self.none), count: powerOfTwo(atLeast: 2 * capacity + 2))
    }

    /// Learns a merge; a pair learned again takes the later rank, as in Hugging Face's tokenizers.
    mutating func insert(left: Int32, right: Int32, rank: Int, id: Int32) {
        let pair = Self.pair(left, right)
        let index = slots.withUnsafeBufferPointer { Lookup($0).index(of: pair) }
        slots[index] = Slot(pair: pair, merge: UInt64(rank) << 32 | UInt64(UInt32(bitPattern: id)))
    }

    /// Lends the table for look-ups.
    func withLookup<Result>(_ body: (Lookup) -> Result) -> Result {
        slots.withUnsafeBufferPointer { body(Lookup($0)) }
    }

    @inline(__always)
    private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// The borrowed table.
    struct Lookup {
        private let slots: UnsafeBufferPointer<Slot>
        private let mask: Int

        init(_ slots: UnsafeBufferPointer<Slot>) {
            self.slots = slots
            mask = slots.count - 1
        }

        /// Rank in the high half, the id made in the low half; `none` if the pair does not merge.
        @inline(__always)
        func merge(_ left: Int32, _ right: Int32) -> UInt64 {
            slots[index(of: MergeTable.pair(left, right))].merge
        }

        /// Where the pair is, or the empty slot where it would go.
        @inline(__always)
        fileprivate func index(of pair: UInt64) -> Int {
            // Fibonacci hashing: the product's high bits depend on all bits of the pair.
            var index = Int(truncatingIfNeeded: (pair &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
            while slots[index].pair != pair, slots[index].pair != MergeTable.none { index = (index + 1) & mask }
            return index
        }
    }
}
