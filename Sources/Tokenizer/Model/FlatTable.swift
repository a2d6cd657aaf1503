/// A fixed number of plain values on the heap, read through a pointer: the tables that inner loops look into.
final class FlatTable<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    // Invariant: only whoever makes a table writes to it, and nobody does once the tokenizer that holds it is made.
    let base: UnsafeMutablePointer<Element>
    let count: Int

    init(repeating value: Element, count: Int) {
        self.count = count
        base = .allocate(capacity: max(count, 1))
        base.initialize(repeating: value, count: count)
    }

    deinit { base.deallocate() }

    @inline(__always)
    subscript(index: Int) -> Element {
        get { base[index] }
        set { base[index] = newValue }
    }

    /// The first elements alone.
    func prefix(_ length: Int, filler: Element) -> FlatTable {
        let shorter = FlatTable(repeating: filler, count: length)
        shorter.base.update(from: base, count: length)
        return shorter
    }
}

/// The smallest power of two that is not less than `count`.
func powerOfTwo(atLeast count: Int) -> Int {
    count <= 1 ? 1 : 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
}

/// A random odd number: what hash tables multiply by, so that nobody can write a file whose keys all meet in one slot.
func randomMultiplier() -> UInt64 { UInt64.random(in: .min ... .max) | 1 }
