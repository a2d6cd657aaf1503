/// The bytes of every id, packed one behind the other, and the way back from bytes to id.
struct Vocabulary: Sendable {
    private var packed: [UInt8] = []
    /// Where the bytes of each id start; one more at the end.
    private var offsets: [Int] = [0]
    /// Open addressing: an id or -1. At most half full, a power of two.
    private var slots: [Int32]

    init(capacity: Int) {
        packed.reserveCapacity(capacity * 8)
        offsets.reserveCapacity(capacity + 1)
        slots = [Int32](repeating: -1, count: powerOfTwo(atLeast: 2 * capacity + 2))
    }

    /// The number of ids.
    var count: Int { offsets.count - 1 }

    /// Gives the next id to these bytes. One that is not `findable` is only decoded, never the result of a look-up.
    mutating func append(_ bytes: [UInt8], findable: Bool) {
        let id = Int32(count)
        packed += bytes
        offsets.append(packed.count)
        guard findable else { return }
        let mask = slots.count - 1
        var slot = bytes.withUnsafeBufferPointer { Self.hash($0) } & mask
        while slots[slot] >= 0 { slot = (slot + 1) & mask }
        slots[slot] = id
    }

    /// The bytes of an id; nil if there is no such id.
    func bytes(of id: Int32) -> ArraySlice<UInt8>? {
        guard id >= 0, id < count else { return nil }
        return packed[offsets[Int(id)]..<offsets[Int(id) + 1]]
    }

    /// The id of a learned piece.
    func id(of bytes: [UInt8]) -> Int32? {
        let mask = slots.count - 1
        return bytes.withUnsafeBufferPointer { wanted in
            packed.withUnsafeBufferPointer { packed in
                var slot = Self.hash(wanted) & mask
                while slots[slot] >= 0 {
                    let (start, end) = (offsets[Int(slots[slot])], offsets[Int(slots[slot]) + 1])
                    if end - start == wanted.count, wanted.indices.allSatisfy({ packed[start + $0] == wanted[$0] }) { return slots[slot] }
                    slot = (slot + 1) & mask
                }
                return nil
            }
        }
    }

    /// FNV-1a, with its good high bits folded down.
    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: hash ^ hash >> 32)
    }
}

/// The smallest power of two that is not less than `count`.
func powerOfTwo(atLeast count: Int) -> Int {
    count <= 1 ? 1 : 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
}
