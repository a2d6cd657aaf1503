/// The bytes of every learned id, packed one behind the other, and the way back from bytes to id.
///
/// Two spellings. Behind a `ByteLevel` pre-tokenizer every text is spelled in the byte alphabet, and so are the pieces (`Ġthe`): then `bytes`
/// keeps what the spelling stands for (` the`), and texts need not be respelled. Else `bytes` is the spelling.
struct Vocabulary: Sendable {
    /// Whether `bytes` is what the byte alphabet's spelling stands for.
    let isByteLevel: Bool
    /// One more than the highest id.
    private(set) var count = 0
    /// How many ids there are; fewer than `count` if there are holes.
    private(set) var entries = 0

    private static let absent = UInt32.max
    /// For each entry its id and its length (four bytes each), then its bytes: one place in memory to look at.
    private var packed: FlatTable<UInt8>
    private var packedCount = 0
    private static let headerSize = 8
    /// Where the entry of each id is in `packed`; `absent` for a hole.
    private var places: FlatTable<UInt32>
    /// Open addressing, at most two thirds full, a power of two: the high half of the hash, and the entry's place plus one; 0 is empty.
    private let slots: FlatTable<UInt64>
    private let multiplier = randomMultiplier()
    /// In a byte-level vocabulary, ids whose spelling is not of the byte alphabet: no text leads to them, and `bytes` is the spelling.
    private(set) var foreign: [[UInt8]: Int32] = [:]

    /// An empty vocabulary for so many entries of so many bytes in all.
    init(isByteLevel: Bool, entries: Int, byteCount: Int) {
        self.isByteLevel = isByteLevel
        packed = FlatTable(unwritten: byteCount + entries * Self.headerSize)
        places = FlatTable(repeating: Self.absent, count: Self.idLimit(entries: entries))
        slots = FlatTable(repeating: 0, count: powerOfTwo(atLeast: entries + entries / 2 + 2))
    }

    /// Ids are below this: holes are fine, but may not cost more memory than the file has bytes.
    static func idLimit(entries: Int) -> Int { 2 * entries + 65536 }

    // MARK: Building

    /// Why an entry was not taken.
    enum Refusal { case idOutOfRange, idTaken, spellingTaken }

    /// Gives an id to a spelling, or says why not. Nothing is found before `finish`.
    mutating func insert(_ spelling: UnsafeBufferPointer<UInt8>, id: Int32) -> Refusal? {
        guard Int(id) < places.count else { return .idOutOfRange }
        guard places[Int(id)] == Self.absent else { return .idTaken }
        let start = packed.base + packedCount + Self.headerSize
        let mapped = isByteLevel ? ByteAlphabet.map(spelling, to: start) : nil
        if mapped == nil { for index in 0..<spelling.count { start[index] = spelling[index] } }
        let length = mapped ?? spelling.count
        let header = UnsafeMutableRawPointer(packed.base + packedCount)
        header.storeBytes(of: id, as: Int32.self)
        header.storeBytes(of: UInt32(length), toByteOffset: 4, as: UInt32.self)
        if isByteLevel, mapped == nil, foreign.updateValue(id, forKey: Array(spelling)) != nil { return .spellingTaken }
        places[Int(id)] = UInt32(packedCount)
        packedCount += Self.headerSize + length
        count = max(count, Int(id) + 1)
        entries += 1
        return nil
    }

    /// Makes the entries findable, and gives back the memory that building needed more than the result. The id of an entry whose spelling
    /// another has already, if there is one; the vocabulary is then of no use.
    mutating func finish() -> Int32? {
        packed = packed.prefix(packedCount)
        places = places.prefix(count)
        // A block at a time, so that its reads of the table wait for memory together.
        let block = FlatTable<(place: Int, hash: UInt64)>(unwritten: 64)
        var touched: UInt64 = 0
        defer { withExtendedLifetime(touched) {} }
        var place = 0
        while place < packedCount {
            var count = 0
            while place < packedCount, count < block.count {
                let entry = entry(at: place)
                if foreign.isEmpty || foreign[Array(entry.bytes)] != entry.id {
                    block[count] = (place, hash(entry.bytes))
                    touched ^= touchSlot(block[count].hash)
                    count += 1
                }
                place += Self.headerSize + entry.bytes.count
            }
            for index in 0..<count {
                let (place, hash) = block[index]
                let (slot, found) = slot(of: entry(at: place).bytes, hash: hash)
                guard found == nil else { return entry(at: place).id }
                slots[slot] = hash & 0xFFFF_FFFF_0000_0000 | UInt64(place + 1)
            }
        }
        return nil
    }

    // MARK: Looking up

    /// The bytes of an id; nil if there is no such id.
    @inline(__always)
    func bytes(of id: Int32) -> UnsafeBufferPointer<UInt8>? {
        guard id >= 0, Int(id) < min(count, places.count) else { return nil }
        let place = places[Int(id)]
        return place == Self.absent ? nil : entry(at: Int(place)).bytes
    }

    /// An id and its bytes.
    typealias Entry = (id: Int32, bytes: UnsafeBufferPointer<UInt8>)

    @inline(__always)
    private func entry(at place: Int) -> Entry {
        let raw = UnsafeRawPointer(packed.base + place)
        let (id, length) = (raw.loadUnaligned(as: Int32.self), raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        return (id, UnsafeBufferPointer(start: packed.base + place + Self.headerSize, count: Int(length)))
    }

    /// How `tokenizer.json` spells an id.
    func spelling(of id: Int32) -> [UInt8]? {
        guard let bytes = bytes(of: id) else { return nil }
        guard isByteLevel, foreign.isEmpty || foreign[Array(bytes)] != id else { return Array(bytes) }
        return ByteAlphabet.spelling(of: bytes)
    }

    /// The id of bytes that a text may lead to.
    @inline(__always)
    func id(of bytes: UnsafeBufferPointer<UInt8>) -> Int32? { slot(of: bytes, hash: hash(bytes)).entry?.id }

    /// The id of a spelling.
    func id(spelled spelling: UnsafeBufferPointer<UInt8>, scratch: inout ByteBuffer) -> Int32? { entry(spelled: spelling, scratch: &scratch)?.id }

    /// The id and the bytes of a spelling.
    func entry(spelled spelling: UnsafeBufferPointer<UInt8>, scratch: inout ByteBuffer) -> Entry? {
        guard isByteLevel else { return slot(of: spelling, hash: hash(spelling)).entry }
        scratch.count = 0
        if ByteAlphabet.append(spelling, to: &scratch) { return slot(of: scratch.contents, hash: hash(scratch.contents)).entry }
        guard !foreign.isEmpty, let id = foreign[Array(spelling)] else { return nil }
        return bytes(of: id).map { (id, $0) }
    }

    /// The id and the bytes of what a text may lead to, its hash given.
    @inline(__always)
    func entry(of bytes: UnsafeBufferPointer<UInt8>, hash: UInt64) -> Entry? { slot(of: bytes, hash: hash).entry }

    /// Reads what a look-up by a hash will read first. Many of these in a row wait for memory all at once, look-ups one after the other.
    @inline(__always)
    func touchSlot(_ hash: UInt64) -> UInt64 { slots[Int(truncatingIfNeeded: hash >> 20) & (slots.count - 1)] }

    /// Reads what a look-up that `touchSlot` gave this for will read then.
    @inline(__always)
    func touchEntry(_ slot: UInt64) -> UInt8 { packed[max(0, Int(slot & 0xFFFF_FFFF) - 1)] }

    private func slot(of bytes: UnsafeBufferPointer<UInt8>, hash: UInt64) -> (slot: Int, entry: Entry?) {
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash >> 20) & mask
        while slots[slot] != 0 {
            if (slots[slot] ^ hash) >> 32 == 0 {
                let known = entry(at: Int(slots[slot] & 0xFFFF_FFFF) - 1)
                if Self.equal(known.bytes, bytes) { return (slot, known) }
            }
            slot = (slot + 1) & mask
        }
        return (slot, nil)
    }

    /// Eight bytes at a time: multiply, and fold the product's halves together. The last eight may overlap those before.
    @inline(__always)
    func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        let raw = UnsafeRawBufferPointer(bytes)
        var hash = UInt64(raw.count) &* 0x9E37_79B9_7F4A_7C15
        func mix(_ word: UInt64) {
            let (high, low) = (hash ^ word).multipliedFullWidth(by: multiplier)
            hash = high ^ low ^ multiplier
        }
        if raw.count >= 8 {
            for position in stride(from: 0, to: raw.count - 8, by: 8) { mix(raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)) }
            mix(raw.loadUnaligned(fromByteOffset: raw.count - 8, as: UInt64.self))
        } else if raw.count >= 4 {
            let (low, high) = (raw.loadUnaligned(as: UInt32.self), raw.loadUnaligned(fromByteOffset: raw.count - 4, as: UInt32.self))
            mix(UInt64(high) << 32 | UInt64(low))
        } else if raw.count > 0 {
            mix(UInt64(raw[0]) << 16 | UInt64(raw[raw.count / 2]) << 8 | UInt64(raw[raw.count - 1]))
        }
        mix(0x2545_F491_4F6C_DD1D)
        return hash
    }

    @inline(__always)
    static func equal(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        let (left, right) = (UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
        func differ<Word: FixedWidthInteger & BitwiseCopyable>(at position: Int, _: Word.Type) -> Bool {
            left.loadUnaligned(fromByteOffset: position, as: Word.self) != right.loadUnaligned(fromByteOffset: position, as: Word.self)
        }
        if left.count >= 8 {
            for position in stride(from: 0, to: left.count - 8, by: 8) where differ(at: position, UInt64.self) { return false }
            return !differ(at: left.count - 8, UInt64.self)
        }
        if left.count >= 4 { return !differ(at: 0, UInt32.self) && !differ(at: left.count - 4, UInt32.self) }
        for position in 0..<left.count where left[position] != right[position] { return false }
        return true
    }
}
