/// The learned merges: a pair of neighbouring ids to the merge's rank (0 was learned first) and the id it makes.
struct MergeTable: Sendable {
    /// One merge; an empty slot has the pair `none`.
    private struct Slot: Sendable, BitwiseCopyable {
        var pair: UInt64
        var merge: UInt64
    }

    /// No pair, and also no merge: it sorts behind every rank.
    static let none = UInt64.max

    /// Open addressing, at most two thirds full, a power of two.
    private let slots: FlatTable<Slot>
    private let shift: UInt64
    private let multiplier = randomMultiplier()

    init(capacity: Int) {
        slots = FlatTable(repeating: Slot(pair: Self.none, merge: Self.none), count: powerOfTwo(atLeast: capacity + capacity / 2 + 2))
        shift = UInt64(64 - slots.count.trailingZeroBitCount)
    }

    /// Learns a merge; a pair learned again takes the later rank, as in Hugging Face's tokenizers.
    func insert(left: Int32, right: Int32, rank: Int, id: Int32) {
        let pair = Self.pair(left, right)
        slots[index(of: pair)] = Slot(pair: pair, merge: UInt64(rank) << 32 | UInt64(UInt32(bitPattern: id)))
    }

    /// Reads what `insert` will read first. Many of these in a row wait for memory all at once, inserts one after the other.
    @inline(__always)
    func touch(left: Int32, right: Int32) -> UInt64 {
        slots[Int(truncatingIfNeeded: (Self.pair(left, right) &* multiplier) >> shift)].pair
    }

    /// Rank in the high half, the id made in the low half; `none` if the pair does not merge.
    @inline(__always)
    func merge(_ left: Int32, _ right: Int32) -> UInt64 { slots[index(of: Self.pair(left, right))].merge }

    /// Calls `body` with every merge.
    func forEach(_ body: (_ left: Int32, _ right: Int32, _ rank: Int) -> Void) {
        for index in 0..<slots.count where slots[index].pair != Self.none {
            let slot = slots[index]
            body(Int32(truncatingIfNeeded: slot.pair >> 32), Int32(truncatingIfNeeded: slot.pair), Int(slot.merge >> 32))
        }
    }

    @inline(__always)
    private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    /// Where the pair is, or the empty slot where it would go.
    @inline(__always)
    private func index(of pair: UInt64) -> Int {
        // The product's high bits depend on all bits of the pair.
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: (pair &* multiplier) >> shift)
        while slots[index].pair != pair, slots[index].pair != Self.none { index = (index + 1) & mask }
        return index
    }
}
