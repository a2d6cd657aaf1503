/// Bytes that grow; read and written through pointers, for inner loops that an array's checks would slow down.
struct ByteBuffer: ~Copyable {
    private var storage = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 256)
    /// How many bytes there are; may be set to less.
    var count = 0

    deinit { storage.deallocate() }

    /// The bytes; valid until the buffer changes.
    var contents: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(rebasing: storage[..<count]) }

    /// Where the bytes are; valid until the buffer grows.
    var base: UnsafeMutablePointer<UInt8> { storage.baseAddress.unsafelyUnwrapped }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        if count == storage.count { grow(to: count + 1) }
        storage[count] = byte
        count += 1
    }

    /// Makes room for so many more.
    @inline(__always)
    mutating func reserve(_ more: Int) {
        if count + more > storage.count { grow(to: count + more) }
    }

    @inline(__always)
    mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        reserve(bytes.count)
        for index in 0..<bytes.count { storage[count + index] = bytes[index] }
        count += bytes.count
    }

    /// Appends a scalar's UTF-8.
    @inline(__always)
    mutating func append(scalar: UInt32) {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: 0x80 | (scalar >> shift & 0x3F)) }
        if scalar < 0x80 {
            append(UInt8(truncatingIfNeeded: scalar))
        } else if scalar < 0x800 {
            append(UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6))
            append(tail(0))
        } else if scalar < 0x10000 {
            append(UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12))
            append(tail(6))
            append(tail(0))
        } else {
            append(UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18))
            append(tail(12))
            append(tail(6))
            append(tail(0))
        }
    }

    private mutating func grow(to needed: Int) {
        let larger = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(needed, 2 * storage.count))
        for index in 0..<count { larger[index] = storage[index] }
        storage.deallocate()
        storage = larger
    }
}
