#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Memory that one owner uses for FP32 or BF16 numbers, aligned to a cache line and zero at first.
///
/// Large buffers come straight from the system, so pages that are never touched cost nothing.
final class AlignedBuffer {
    let byteCount: Int
    let pointer: UnsafeMutableRawPointer

    init(byteCount: Int) {
        self.byteCount = max(byteCount, 64)
        let memory = mmap(nil, self.byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            // Nothing from outside reaches this: sizes are checked against the plan, so only the machine's memory can be short.
            fatalError("out of memory: the system gave no \(self.byteCount) bytes")
        }
        pointer = memory
        // Huge pages spare the address translation of a gigabyte of weights a second; where there are none the call does nothing.
        if self.byteCount >= 4 << 20 { madvise(memory, self.byteCount, MADV_HUGEPAGE) }
    }

    convenience init(floats count: Int) { self.init(byteCount: count * 4) }

    convenience init(bf16 count: Int) { self.init(byteCount: count * 2) }

    deinit { munmap(pointer, byteCount) }

    var floats: UnsafeMutablePointer<Float> { pointer.assumingMemoryBound(to: Float.self) }

    var bf16: UnsafeMutablePointer<UInt16> { pointer.assumingMemoryBound(to: UInt16.self) }
}
