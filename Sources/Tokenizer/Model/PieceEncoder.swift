/// Merges pieces of text into ids. The working state of one call of `encode`: scratch, and a cache of short pieces seen before.
struct PieceEncoder: ~Copyable {
    /// The ids so far.
    private(set) var ids: IDBuffer
    /// If asked for, where in its piece each id ends.
    private(set) var ends: IDBuffer

    private let model: BPEModel
    private let tracksEnds: Bool
    private let isByteLevel: Bool
    /// What the piece consists of, where each of it ends, and (up to `shortCount`) the merge of each with its right neighbour.
    private var symbols = IDBuffer(capacity: shortCount)
    private var symbolEnds = IDBuffer(capacity: shortCount)
    private let neighbours = UnsafeMutablePointer<UInt64>.allocate(capacity: shortCount)
    /// Direct-mapped: a newer piece takes the place of an older one. Nil where ends are tracked.
    private let cache: FlatTable<CachedPiece>?

    /// Up to this many symbols the best merge is found by looking at all, beyond it by a heap.
    private static let shortCount = 96
    /// Pieces of up to so many bytes are cached.
    private static let cachedBytes = 15
    private static let mostCached = 1 << 14

    /// A piece of up to 15 bytes (its length in the last), and its ids: up to three here, or where they stand in `ids`.
    private struct CachedPiece: BitwiseCopyable {
        var low: UInt64 = 0
        var high: UInt64 = 0
        var ids: (Int32, Int32, Int32) = (0, 0, 0)
        var count: Int32 = 0
    }

    /// An encoder for a text of about `byteCount` bytes.
    init(_ model: BPEModel, byteCount: Int, tracksEnds: Bool = false) {
        self.model = model
        self.tracksEnds = tracksEnds
        isByteLevel = model.vocabulary.isByteLevel
        ids = IDBuffer(capacity: byteCount / 3 + 16)
        ends = IDBuffer(capacity: tracksEnds ? byteCount / 3 + 16 : 0)
        cache = tracksEnds ? nil : FlatTable(repeating: CachedPiece(), count: powerOfTwo(atLeast: max(16, min(byteCount / 8, Self.mostCached))))
    }

    deinit { neighbours.deallocate() }

    /// Appends the id of an added token of so many bytes.
    mutating func append(_ id: Int32, length: Int) {
        ids.append(id)
        if tracksEnds { ends.append(Int32(truncatingIfNeeded: length)) }
    }

    /// Appends the ids of a piece. `following` bytes behind it may be read.
    @inline(__always)
    mutating func encode(_ piece: UnsafeBufferPointer<UInt8>, following: Int) {
        if let cache, piece.count <= Self.cachedBytes {
            encodeCached(piece, following: following, cache)
        } else {
            encodeUncached(piece)
        }
    }

    @inline(__always)
    private mutating func encodeCached(_ piece: UnsafeBufferPointer<UInt8>, following: Int, _ cache: FlatTable<CachedPiece>) {
        var (low, high) = (UInt64(0), UInt64(0))
        let count = piece.count
        if count + following >= 16 {
            let raw = UnsafeRawPointer(piece.baseAddress.unsafelyUnwrapped)
            low = raw.loadUnaligned(as: UInt64.self)
            if count < 8 {
                low &= (1 << UInt64(truncatingIfNeeded: 8 &* count)) &- 1
            } else {
                high = raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self) & ((1 << UInt64(truncatingIfNeeded: 8 &* count &- 64)) &- 1)
            }
        } else {
            for index in 0..<min(count, 8) { low |= UInt64(piece[index]) << UInt64(8 * index) }
            if count > 8 { for index in 8..<count { high |= UInt64(piece[index]) << UInt64(8 * index - 64) } }
        }
        high |= UInt64(count) << 56
        let hash = (low ^ high &* 0xFF51_AFD7_ED55_8CCD) &* 0x9E37_79B9_7F4A_7C15
        let place = cache.base + (Int(truncatingIfNeeded: hash >> 40) & (cache.count &- 1))
        if place.pointee.low == low, place.pointee.high == high {
            let known = place.pointee
            if known.count <= 3 {
                ids.reserve(3)
                (ids[ahead: 0], ids[ahead: 1], ids[ahead: 2]) = known.ids
                ids.advance(Int(known.count))
            } else {
                ids.repeatFrom(Int(known.ids.0), count: Int(known.count))
            }
            return
        }
        let start = ids.count
        encodeUncached(piece)
        let made = ids.count - start
        guard let place32 = Int32(exactly: start) else { return }
        let first = ids.base + start
        place.pointee = CachedPiece(
            low: low, high: high,
            ids: made > 3 ? (place32, 0, 0) : (made > 0 ? first[0] : 0, made > 1 ? first[1] : 0, made > 2 ? first[2] : 0), count: Int32(made))
    }

    @inline(never)
    private mutating func encodeUncached(_ piece: UnsafeBufferPointer<UInt8>) {
        if model.ignoresMerges, let id = model.vocabulary.id(of: piece) {
            append(id, length: piece.count)
            return
        }
        symbols.removeAll(reserving: piece.count)
        symbolEnds.removeAll(reserving: piece.count)
        if isByteLevel { startFromBytes(UTF8Text(bytes: piece)) } else { startFromCharacters(UTF8Text(bytes: piece)) }
        if symbols.count > Self.shortCount {
            mergeLong()
        } else if symbols.count > 1 {
            mergeShort()
        }
        ids.append(symbols.base, count: symbols.count)
        if tracksEnds { ends.append(symbolEnds.base, count: symbols.count) }
    }

    // MARK: What merging starts from

    private mutating func start(_ id: Int32, endingAt end: Int) {
        symbols.append(id)
        symbolEnds.append(Int32(truncatingIfNeeded: end))
    }

    private mutating func startFromBytes(_ piece: UTF8Text) {
        var position = 0
        while position < piece.count {
            if piece.bytes[position] >= 0xC0 {
                let (scalar, length) = piece.scalar(at: position)
                let character = model.characters[scalar]
                if character.id != CharacterIDs.none, model.characters.isWhole(character, position..<position + length, of: piece) {
                    start(character.id, endingAt: position + length)
                } else {
                    for place in position..<position + length { start(model.byteIDs[Int(piece.bytes[place])], endingAt: place + 1) }
                }
                position += length
            } else {
                start(model.byteIDs[Int(piece.bytes[position])], endingAt: position + 1)
                position += 1
            }
        }
    }

    private mutating func startFromCharacters(_ piece: UTF8Text) {
        // An end is the sum of the lengths so far: where characters vanish, what follows moves up, as in Hugging Face's tokenizers.
        var end = 0
        // Unknown characters wait: the next may join them.
        var waiting: Int?
        var position = 0
        while position < piece.count {
            let (scalar, length) = piece.scalar(at: position)
            let bytes = position..<position + length
            position += length
            let id = model.characters[scalar].id
            if id != CharacterIDs.none {
                giveUnknown(&waiting, &end)
                end += length
                start(id, endingAt: end)
            } else if !model.unknown.byteIDs.isEmpty, bytes.allSatisfy({ model.unknown.byteIDs[Int(piece.bytes[$0])] >= 0 }) {
                for place in bytes {
                    end += 1
                    start(model.unknown.byteIDs[Int(piece.bytes[place])], endingAt: end)
                }
            } else if model.unknown.id != nil {
                if !model.unknown.fuses { giveUnknown(&waiting, &end) }
                waiting = (waiting ?? 0) + length
            }
        }
        giveUnknown(&waiting, &end)
    }

    private mutating func giveUnknown(_ waiting: inout Int?, _ end: inout Int) {
        guard let length = waiting, let id = model.unknown.id else { return }
        end += length
        start(id, endingAt: end)
        waiting = nil
    }

    // MARK: Merging

    /// Merges the pair of lowest rank, the leftmost of equals, until none merges. Quadratic in the length, but free of overhead.
    private mutating func mergeShort() {
        let (symbols, ends, merges) = (self.symbols.base, symbolEnds.base, model.merges)
        var count = self.symbols.count
        for index in 0..<count - 1 { neighbours[index] = merges.merge(symbols[index], symbols[index + 1]) }
        while count > 1 {
            var (best, place) = (MergeTable.none, 0)
            for index in 0..<count - 1 where neighbours[index] < best { (best, place) = (neighbours[index], index) }
            guard best != MergeTable.none else { break }
            symbols[place] = Int32(truncatingIfNeeded: best)
            count -= 1
            for index in place..<count - 1 {
                symbols[index + 1] = symbols[index + 2]
                neighbours[index] = neighbours[index + 1]
            }
            if tracksEnds { for index in place..<count { ends[index] = ends[index + 1] } }
            if place + 1 < count { neighbours[place] = merges.merge(symbols[place], symbols[place + 1]) }
            if place > 0 { neighbours[place - 1] = merges.merge(symbols[place - 1], symbols[place]) }
        }
        self.symbols.truncate(to: count)
        symbolEnds.truncate(to: count)
    }

    /// The same by a heap of (rank, place) over a linked list: a megabyte of one letter takes n log n steps.
    private mutating func mergeLong() {
        let (symbols, ends, merges, count) = (self.symbols.base, symbolEnds.base, model.merges, self.symbols.count)
        let gone: Int32 = -1
        let next = FlatTable<Int32>(repeating: 0, count: count)
        let previous = FlatTable<Int32>(repeating: 0, count: count)
        for index in 0..<count {
            next[index] = Int32(truncatingIfNeeded: index + 1)
            previous[index] = Int32(truncatingIfNeeded: index - 1)
        }
        var heap = MinHeap()
        // Rank in the high half, place in the low half; the id made is looked up again when its turn comes.
        func offer(_ left: Int, _ right: Int) {
            let merge = merges.merge(symbols[left], symbols[right])
            if merge != MergeTable.none { heap.insert(merge & ~0xFFFF_FFFF | UInt64(left)) }
        }
        for left in 0..<count - 1 { offer(left, left + 1) }
        while let entry = heap.popMin() {
            let left = Int(entry & 0xFFFF_FFFF)
            let right = Int(next[left])
            // Stale, if either side has been merged away or into something else since.
            guard symbols[left] != gone, right < count else { continue }
            let merge = merges.merge(symbols[left], symbols[right])
            guard merge != MergeTable.none, merge >> 32 == entry >> 32 else { continue }
            symbols[left] = Int32(truncatingIfNeeded: merge)
            symbols[right] = gone
            ends[left] = ends[right]
            next[left] = next[right]
            if next[left] < count {
                previous[Int(next[left])] = Int32(truncatingIfNeeded: left)
                offer(left, Int(next[left]))
            }
            if previous[left] >= 0 { offer(Int(previous[left]), left) }
        }
        var kept = 0
        for index in 0..<count where symbols[index] != gone {
            (symbols[kept], ends[kept]) = (symbols[index], ends[index])
            kept += 1
        }
        self.symbols.truncate(to: kept)
        symbolEnds.truncate(to: kept)
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
