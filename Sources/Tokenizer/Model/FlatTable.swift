#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A fixed number of plain values on the heap, read through a pointer: the tables that inner loops look into.
final class FlatTable<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    // Invariant: only whoever makes a table writes to it, and nobody does once the tokenizer that holds it is made.
    let base: UnsafeMutablePointer<Element>
    let count: Int

    /// Nothing is written yet: whoever reads an element has written it.
    init(unwritten count: Int) {
        self.count = count
        base = Self.memory(for: max(count, 1))
    }

    convenience init(repeating value: Element, count: Int) {
        self.init(unwritten: count)
        base.initialize(repeating: value, count: count)
    }

    deinit { base.deallocate() }

    @inline(__always)
    subscript(index: Int) -> Element {
        get { base[index] }
        set { base[index] = newValue }
    }

    /// The first elements alone.
    func prefix(_ length: Int) -> FlatTable {
        let shorter = FlatTable(unwritten: length)
        shorter.base.update(from: base, count: length)
        return shorter
    }

    /// Large tables lie in huge pages where the system has them: they are filled and read at random, and each small page would cost a fault
    /// when it is first written and a walk through the page tables whenever it is come back to.
    private static func memory(for count: Int) -> UnsafeMutablePointer<Element> {
        let hugePage = 2 << 20
        let (size, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        precondition(!overflow, "a table of \(count) elements")
        guard size >= hugePage else { return .allocate(capacity: count) }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: hugePage)
        #if os(Linux)
            madvise(memory, size, MADV_HUGEPAGE)
        #endif
        return memory.bindMemory(to: Element.self, capacity: count)
    }
}

/// The smallest power of two that is not less than `count`.
func powerOfTwo(atLeast count: Int) -> Int {
    count <= 1 ? 1 : 1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
}

/// A random odd number: what hash tables multiply by, so that nobody can write a file whose keys all meet in one slot.
func randomMultiplier() -> UInt64 { UInt64.random(in: .min ... .max) | 1 }
