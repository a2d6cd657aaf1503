/// Merges the bytes of pieces into ids. The working state of one call of `encode`: scratch, and a cache of short pieces seen before.
struct PieceEncoder: ~Copyable {
    /// The ids so far.
    private(set) var ids: [Int32] = []

    private let merges: MergeTable.Lookup
    private let byteIDs: UnsafeBufferPointer<Int32>
    /// For pieces up to `shortCount` bytes: the ids, and the merge of each with its right neighbour.
    private let symbols = UnsafeMutablePointer<Int32>.allocate(capacity: Self.shortCount)
    private let neighbours = UnsafeMutablePointer<UInt64>.allocate(capacity: Self.shortCount)
    /// Direct-mapped: a newer piece takes the place of an older one.
    private var cache: [CachedPiece]

    /// Up to this many bytes the best merge is found by looking at all, beyond it by a heap.
    private static let shortCount = 96
    private static let cachedCount = 15

    /// A piece of up to 15 bytes (its length in the last), and where in `ids` its ids stand.
    private struct CachedPiece {
        var low: UInt64 = 0
        var high: UInt64 = 0
        var start: UInt32 = 0
        var count: UInt32 = 0
    }

    /// An encoder for a text of about `byteCount` bytes.
    init(merges: MergeTable.Lookup, byteIDs: UnsafeBufferPointer<Int32>, byteCount: Int) {
        self.merges = merges
        self.byteIDs = byteIDs
        ids.reserveCapacity(byteCount / 3 + 16)
        cache = [CachedPiece](repeating: CachedPiece(), count: powerOfTwo(atLeast: max(16, min(byteCount / 8, 1 << 14))))
    }

    deinit {
        symbols.deallocate()
        neighbours.deallocate()
    }

    /// Appends the id of an added token.
    mutating func append(_ id: Int32) { ids.append(id) }

    /// Appends the ids of a piece (not empty).
    mutating func encode(_ piece: UnsafeBufferPointer<UInt8>) {
        if piece.count == 1 {
            ids.append(byteIDs[Int(piece[0])])
        } else if piece.count <= Self.cachedCount {
            encodeCached(piece)
        } else if piece.count <= Self.shortCount {
            mergeShort(piece)
        } else {
            mergeLong(piece)
        }
    }

    private mutating func encodeCached(_ piece: UnsafeBufferPointer<UInt8>) {
        var (low, high) = (UInt64(0), UInt64(piece.count) << 56)
        for index in 0..<min(piece.count, 8) { low |= UInt64(piece[index]) << UInt64(8 * index) }
        if piece.count > 8 { for index in 8..<piece.count { high |= UInt64(piece[index]) << UInt64(8 * index - 64) } }
        let hash = (low ^ high &* 0xFF51_AFD7_ED55_8CCD) &* 0x9E37_79B9_7F4A_7C15
        let place = Int(truncatingIfNeeded: hash >> 40) & (cache.count - 1)
        let known = cache[place]
        if known.low == low, known.high == high {
            for index in Int(known.start)..<Int(known.start) + Int(known.count) { ids.append(ids[index]) }
            return
        }
        let start = ids.count
        mergeShort(piece)
        if let start = UInt32(exactly: start) { cache[place] = CachedPiece(low: low, high: high, start: start, count: UInt32(ids.count) - start) }
    }

    /// Merges the pair of lowest rank, the leftmost of equals, until none merges. Quadratic in the length, but free of overhead.
    private mutating func mergeShort(_ piece: UnsafeBufferPointer<UInt8>) {
        var count = piece.count
        for index in 0..<count { symbols[index] = byteIDs[Int(piece[index])] }
        for index in 0..<count - 1 { neighbours[index] = merges.merge(symbols[index], symbols[index + 1]) }
        while count > 1 {
            var (best, place) = (MergeTable.none, 0)
            for index in 0..<count - 1 where neighbours[index] < best { (best, place) = (neighbours[index], index) }
            guard best != MergeTable.none else { break }
            symbols[place] = Int32(truncatingIfNeeded: best)
            count -= 1
            for index in place + 1..<max(place + 1, count) {
                symbols[index] = symbols[index + 1]
                neighbours[index - 1] = neighbours[index]
            }
            if place + 1 < count { neighbours[place] = merges.merge(symbols[place], symbols[place + 1]) }
            if place > 0 { neighbours[place - 1] = merges.merge(symbols[place - 1], symbols[place]) }
        }
        ids.append(contentsOf: UnsafeBufferPointer(start: symbols, count: count))
    }

    /// The same by a heap of (rank, place) over a linked list: a megabyte of one letter takes n log n steps.
    private mutating func mergeLong(_ piece: UnsafeBufferPointer<UInt8>) {
        var list = piece.map { byteIDs[Int($0)] }
        let gone: Int32 = -1
        var next = (0..<piece.count).map { $0 + 1 }
        var previous = (0..<piece.count).map { $0 - 1 }
        var heap = MinHeap()
        // Rank in the high half, place in the low half; the id made is looked up again when its turn comes.
        func offer(_ left: Int, _ right: Int) {
            let merge = merges.merge(list[left], list[right])
            if merge != MergeTable.none { heap.insert(merge & ~0xFFFF_FFFF | UInt64(left)) }
        }
        for left in 0..<piece.count - 1 { offer(left, left + 1) }
        while let entry = heap.popMin() {
            let left = Int(entry & 0xFFFF_FFFF)
            let right = next[left]
            // Stale, if either side has been merged away or into something else since.
            guard list[left] != gone, right < piece.count else { continue }
            let merge = merges.merge(list[left], list[right])
            guard merge != MergeTable.none, merge >> 32 == entry >> 32 else { continue }
            list[left] = Int32(truncatingIfNeeded: merge)
            list[right] = gone
            next[left] = next[right]
            if next[left] < piece.count {
                previous[next[left]] = left
                offer(left, next[left])
            }
            if previous[left] >= 0 { offer(previous[left], left) }
        }
        for id in list where id != gone { ids.append(id) }
    }
}

/// A binary heap of numbers, the smallest first.
private struct MinHeap {
    private var entries: [UInt64] = []

    mutating func insert(_ entry: UInt64) {
        var place = entries.count
        entries.append(entry)
        while place > 0, entries[(place - 1) / 2] > entry {
            entries[place] = entries[(place - 1) / 2]
            place = (place - 1) / 2
        }
        entries[place] = entry
    }

    mutating func popMin() -> UInt64? {
        guard let smallest = entries.first, let last = entries.popLast() else { return nil }
        guard !entries.isEmpty else { return smallest }
        var place = 0
        while 2 * place + 1 < entries.count {
            var child = 2 * place + 1
            if child + 1 < entries.count, entries[child + 1] < entries[child] { child += 1 }
            guard entries[child] < last else { break }
            entries[place] = entries[child]
            place = child
        }
        entries[place] = last
        return smallest
    }
}
