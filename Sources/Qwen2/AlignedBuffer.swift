#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Memory that one owner uses for numbers, aligned to a page and zero at first.
///
/// Large buffers come straight from the system, so pages that are never touched cost nothing.
package final class AlignedBuffer {
    package let bytes: UnsafeMutableRawBufferPointer
    let pointer: UnsafeMutableRawPointer
    /// The buffer whose memory this is a part of.
    private let whole: AlignedBuffer?

    package init(byteCount: Int) {
        // The system maps no empty piece.
        let memory = mmap(nil, max(byteCount, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let memory, memory != MAP_FAILED else {
            // Nothing from outside reaches this: sizes are checked against the plan, so only the machine's memory can be short.
            fatalError("out of memory: the system gave no \(byteCount) bytes")
        }
        bytes = UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
        // Huge pages spare the address translation of a gigabyte of weights a second; where there are none the call does nothing.
        if byteCount >= 4 << 20 { madvise(memory, byteCount, MADV_HUGEPAGE) }
        pointer = memory
        whole = nil
    }

    /// Some bytes of another buffer, which lives as long.
    init(partOf whole: AlignedBuffer, from offset: Int, byteCount: Int) {
        bytes = UnsafeMutableRawBufferPointer(rebasing: whole.bytes[offset..<offset + byteCount])
        pointer = whole.pointer + offset
        self.whole = whole
    }

    package convenience init(floats count: Int) { self.init(byteCount: count * 4) }

    convenience init(bf16 count: Int) { self.init(byteCount: count * 2) }

    deinit { if whole == nil { munmap(pointer, max(byteCount, 1)) } }

    var byteCount: Int { bytes.count }

    package var floats: UnsafeMutablePointer<Float> { pointer.assumingMemoryBound(to: Float.self) }

    var bf16: UnsafeMutablePointer<UInt16> { pointer.assumingMemoryBound(to: UInt16.self) }

    package var codes: UnsafeMutablePointer<UInt8> { pointer.assumingMemoryBound(to: UInt8.self) }
}

/// Memory that grows to the largest use and is kept.
final class GrowingBuffer {
    private var buffer = AlignedBuffer(byteCount: 0)

    func raw(byteCount: Int) -> UnsafeMutableRawPointer {
        if byteCount > buffer.byteCount { buffer = AlignedBuffer(byteCount: byteCount) }
        return buffer.pointer
    }

    func bf16(count: Int) -> UnsafeMutablePointer<UInt16> { raw(byteCount: count * 2).assumingMemoryBound(to: UInt16.self) }

    func floats(count: Int) -> UnsafeMutablePointer<Float> { raw(byteCount: count * 4).assumingMemoryBound(to: Float.self) }
}

/// Buffers whose owners are gone, for the next ones: a system may take long to give and clear pages, in virtual machines above all.
final class SpareMemory {
    private var buffers: [AlignedBuffer] = []

    /// At least so many bytes, of any content. Where none of the spare buffers is large enough, one is let go.
    func take(byteCount: Int) -> AlignedBuffer {
        let fitting = buffers.indices.filter { buffers[$0].byteCount >= byteCount }
        guard let tightest = fitting.min(by: { buffers[$0].byteCount < buffers[$1].byteCount }) else {
            _ = buffers.popLast()
            return AlignedBuffer(byteCount: byteCount)
        }
        return buffers.remove(at: tightest)
    }

    func give(_ buffers: [AlignedBuffer]) { self.buffers += buffers }
}
