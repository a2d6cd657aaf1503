/// The id of every character that has one of its own: what merging starts from.
///
/// Where it starts from bytes, a character of several bytes may be taken as a whole all the same, if nothing else could become of its bytes
/// between its neighbours: three times fewer steps for Chinese. `isWhole` says whether it may.
struct CharacterIDs: Sendable {
    static let none: Int32 = -1

    /// A character's id, and the highest rank of the merges that make it of its bytes.
    struct Start: BitwiseCopyable, Sendable {
        var id: Int32
        var rank: UInt32
    }

    /// Two stages: blocks of 64 scalars, block 0 being empty.
    private let blocks: FlatTable<UInt16>
    private let starts: FlatTable<Start>
    /// For a lead byte (high) and the byte before it (low), the lowest rank of a merge across that takes only a part of the character behind.
    private let partsBehind: FlatTable<UInt32>
    /// For a byte that is no continuation (high) and the byte before it (low), the lowest rank of a merge across that takes only a part of the
    /// character before.
    private let partsBefore: FlatTable<UInt32>

    private init(_ characters: [(scalar: UInt32, start: Start)], partsBehind: FlatTable<UInt32>, partsBefore: FlatTable<UInt32>) {
        blocks = FlatTable(repeating: 0, count: 0x110000 >> 6)
        var used: UInt16 = 0
        for (scalar, _) in characters where blocks[Int(scalar >> 6)] == 0 {
            used += 1
            blocks[Int(scalar >> 6)] = used
        }
        starts = FlatTable(repeating: Start(id: Self.none, rank: 0), count: (Int(used) + 1) << 6)
        for (scalar, start) in characters { starts[Int(blocks[Int(scalar >> 6)]) << 6 | Int(scalar & 63)] = start }
        self.partsBehind = partsBehind
        self.partsBefore = partsBefore
    }

    /// The start of a scalar, below 0x110000; its id is `none` if it has none.
    @inline(__always)
    subscript(scalar: UInt32) -> Start { starts[Int(blocks[Int(scalar >> 6)]) << 6 | Int(scalar & 63)] }

    /// Whether the bytes of the character at `range` of a piece become its id before anything else can happen to them.
    ///
    /// While the character is not whole, one of the merges that make it is always possible, so nothing of a rank above its own happens to its
    /// bytes; and a merge across one of its ends that takes but a part of it, which could get in between, has a rank above that.
    @inline(__always)
    func isWhole(_ start: Start, _ range: Range<Int>, of piece: UTF8Text) -> Bool {
        if range.lowerBound > 0 {
            let place = Int(piece.bytes[range.lowerBound]) << 8 | Int(piece.bytes[range.lowerBound - 1])
            if partsBehind[place] <= start.rank { return false }
        }
        if range.upperBound < piece.count {
            let place = Int(piece.bytes[range.upperBound]) << 8 | Int(piece.bytes[range.upperBound - 1])
            if partsBefore[place] <= start.rank { return false }
        }
        return true
    }

    // MARK: Making

    /// For merging that starts from characters: every character that is an id.
    init(of vocabulary: Vocabulary) {
        let empty = FlatTable<UInt32>(repeating: .max, count: 0)
        self.init(
            Self.singleCharacters(of: vocabulary).map { ($0.scalar, Start(id: $0.id, rank: 0)) }, partsBehind: empty, partsBefore: empty)
    }

    /// For merging that starts from bytes: every character of several bytes that is an id, is what its bytes merge to, and is not merged
    /// itself by anything of a lower rank than makes it.
    init(of vocabulary: Vocabulary, merges: MergeTable, byteIDs: FlatTable<Int32>) {
        // Which ids begin inside a character, and which are but the beginning of one: a few, and only their merges need their bytes.
        let beginsInside = FlatTable<Bool>(repeating: false, count: vocabulary.count)
        let isBeginning = FlatTable<Bool>(repeating: false, count: vocabulary.count)
        for id in 0..<vocabulary.count {
            guard let bytes = vocabulary.bytes(of: Int32(id)), let first = bytes.first else { continue }
            beginsInside[id] = first & 0xC0 == 0x80
            isBeginning[id] = UTF8Text.wholeLength(first) > bytes.count
        }
        // The lowest rank of the merges that take an id.
        let use = FlatTable<UInt32>(repeating: .max, count: vocabulary.count)
        let partsBehind = FlatTable<UInt32>(repeating: .max, count: 1 << 16)
        let partsBefore = FlatTable<UInt32>(repeating: .max, count: 1 << 16)
        merges.forEach { left, right, rank in
            let rank = UInt32(truncatingIfNeeded: rank)
            use[Int(left)] = min(use[Int(left)], rank)
            use[Int(right)] = min(use[Int(right)], rank)
            guard beginsInside[Int(left)] || isBeginning[Int(right)], !beginsInside[Int(right)], let last = vocabulary.bytes(of: left)?.last,
                let next = vocabulary.bytes(of: right)?.first
            else { return }
            let place = Int(next) << 8 | Int(last)
            if isBeginning[Int(right)] { partsBehind[place] = min(partsBehind[place], rank) }
            if beginsInside[Int(left)] { partsBefore[place] = min(partsBefore[place], rank) }
        }
        let scratch = UnsafeMutablePointer<Int32>.allocate(capacity: 4)
        defer { scratch.deallocate() }
        var characters: [(scalar: UInt32, start: Start)] = []
        for (scalar, id) in Self.singleCharacters(of: vocabulary) {
            guard let bytes = vocabulary.bytes(of: id), bytes.count > 1 else { continue }
            for index in 0..<bytes.count { scratch[index] = byteIDs[Int(bytes[index])] }
            guard let rank = Self.highestRank(merging: scratch, count: bytes.count, to: id, merges), use[Int(id)] > rank else { continue }
            characters.append((scalar, Start(id: id, rank: rank)))
        }
        self.init(characters, partsBehind: partsBehind, partsBefore: partsBefore)
    }

    /// The highest rank of the merges that make an id of up to four symbols; nil if they do not.
    private static func highestRank(
        merging symbols: UnsafeMutablePointer<Int32>, count: Int, to id: Int32, _ merges: MergeTable
    ) -> UInt32? {
        var (count, highest) = (count, UInt32(0))
        while count > 1 {
            var (best, place) = (MergeTable.none, 0)
            for index in 0..<count - 1 {
                let merge = merges.merge(symbols[index], symbols[index + 1])
                if merge < best { (best, place) = (merge, index) }
            }
            guard best != MergeTable.none else { return nil }
            highest = max(highest, UInt32(truncatingIfNeeded: best >> 32))
            symbols[place] = Int32(truncatingIfNeeded: best)
            count -= 1
            for index in place + 1..<max(place + 1, count) { symbols[index] = symbols[index + 1] }
        }
        return symbols[0] == id ? highest : nil
    }

    private static func singleCharacters(of vocabulary: Vocabulary) -> [(scalar: UInt32, id: Int32)] {
        (0..<Int32(vocabulary.count)).compactMap { id in
            guard let bytes = vocabulary.bytes(of: id), let lead = bytes.first, bytes.count <= 4, UTF8Text.wholeLength(lead) == bytes.count,
                UTF8Text.wellFormedLength(bytes, at: 0, end: bytes.count) == bytes.count
            else { return nil }
            return (UTF8Text(bytes: bytes).scalar(at: 0).value, id)
        }
    }
}
