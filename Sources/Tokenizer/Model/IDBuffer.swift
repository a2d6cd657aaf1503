/// Ids that grow, written through a pointer.
struct IDBuffer: ~Copyable {
    private(set) var base: UnsafeMutablePointer<Int32>
    private(set) var count = 0
    private var capacity: Int

    init(capacity: Int) {
        self.capacity = max(capacity, 64)
        base = .allocate(capacity: self.capacity)
    }

    deinit { base.deallocate() }

    @inline(__always)
    mutating func append(_ id: Int32) {
        reserve(1)
        base[count] = id
        count += 1
    }

    @inline(__always)
    mutating func append(_ ids: UnsafePointer<Int32>, count added: Int) {
        reserve(added)
        for index in 0..<added { base[count + index] = ids[index] }
        count += added
    }

    /// Copies ids that are already here.
    @inline(__always)
    mutating func repeatFrom(_ start: Int, count added: Int) {
        reserve(added)
        for index in 0..<added { base[count + index] = base[start + index] }
        count += added
    }

    /// Makes room for so many more.
    @inline(__always)
    mutating func reserve(_ added: Int) { if count + added > capacity { grow(to: count + added) } }

    /// Writes past the end, where `reserve` has made room; `advance` makes it count.
    @inline(__always)
    subscript(ahead offset: Int) -> Int32 {
        get { base[count + offset] }
        set { base[count + offset] = newValue }
    }

    @inline(__always)
    mutating func advance(_ added: Int) { count += added }

    /// Forgets all, and makes room for so many.
    @inline(__always)
    mutating func removeAll(reserving needed: Int) {
        count = 0
        reserve(needed)
    }

    @inline(__always)
    mutating func truncate(to kept: Int) { count = kept }

    /// The ids as an array.
    var array: [Int32] { Array(UnsafeBufferPointer(start: base, count: count)) }

    @inline(never)
    private mutating func grow(to needed: Int) {
        capacity = max(needed, 2 * capacity)
        let larger = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
        larger.update(from: base, count: count)
        base.deallocate()
        base = larger
    }
}
