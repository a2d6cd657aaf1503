/// Reads `model.merges` into a table.
///
/// Merges are looked up a block at a time: the vocabulary is larger than the nearer caches, and a block's look-ups wait for memory together.
struct MergeReader: ~Copyable {
    let table: MergeTable

    private let file: TokenizerFile
    private let vocabulary: Vocabulary
    /// The merges read, comments not counted, and the place of the next in the array.
    private var rank = 0
    private var index = 0
    /// Whether merges are arrays; what the first is, all must be.
    private var arePairs: Bool?
    /// Merges are mostly numbered like the ids they make: the next is looked for where the last was.
    private var lastID: Int32 = -1
    private var left = ByteBuffer()
    private var made = ByteBuffer()
    private var scratch = ByteBuffer()

    /// A merge that waits for its block to be full: the lengths of its pieces, which stand in `pieces`, their hashes, and their ids once
    /// they are known.
    private struct Pending: BitwiseCopyable {
        var index: Int
        var left: Int
        var right: Int
        var leftHash: UInt64
        var rightHash: UInt64
        var leftID: Int32 = 0
        var rightID: Int32 = 0
    }

    private let pending = FlatTable<Pending>(unwritten: 128)
    private var pendingCount = 0
    private var pieces = ByteBuffer()
    /// What touching memory gave: kept, so that it is not optimised away.
    private var touched: UInt64 = 0

    init(file: TokenizerFile, vocabulary: Vocabulary, table: MergeTable) {
        self.file = file
        self.vocabulary = vocabulary
        self.table = table
    }

    private func refused(_ index: Int, _ message: String) -> TokenizerError { file.error("model.merges[\(index)]", message) }

    /// Reads the merge here; the error that is not the text's but a merge's.
    mutating func readMerge(_ cursor: inout JSONCursor) throws(JSONCursor.Malformed) -> TokenizerError? {
        defer { index += 1 }
        let expected = "expected \"a b\" or [\"a\", \"b\"], all of one kind"
        switch cursor.peek {
        case UInt8(ascii: "\"") where arePairs != true:
            arePairs = false
            let merge = try cursor.string()
            // A list of lines, as merges.txt has them: comments and all.
            if merge.first == UInt8(ascii: "#"), merge.starts(with: "#version".utf8) { return nil }
            guard let space = merge.firstIndex(of: UInt8(ascii: " ")), !merge[(space + 1)...].contains(UInt8(ascii: " ")) else {
                return refused(index, expected)
            }
            return add(UnsafeBufferPointer(rebasing: merge[..<space]), UnsafeBufferPointer(rebasing: merge[(space + 1)...]))
        case UInt8(ascii: "[") where arePairs != false:
            arePairs = true
            guard try cursor.open(UInt8(ascii: "[")), cursor.peek == UInt8(ascii: "\"") else { return refused(index, expected) }
            left.count = 0
            left.append(try cursor.string())
            guard try cursor.next(UInt8(ascii: "[")), cursor.peek == UInt8(ascii: "\"") else { return refused(index, expected) }
            let right = try cursor.string()
            guard try !cursor.next(UInt8(ascii: "[")) else { return refused(index, expected) }
            return add(left.contents, right)
        default: return refused(index, expected)
        }
    }

    /// Looks up what still waits.
    mutating func finish() -> TokenizerError? { lookUpPending() }

    /// Adds a merge of two spellings to the block.
    private mutating func add(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> TokenizerError? {
        let start = pieces.count
        guard let leftCount = append(left), let rightCount = append(right) else {
            // Not of the byte alphabet: only a vocabulary that mixes spellings has such.
            pieces.count = start
            return lookUpPending() ?? passForeign(left, right)
        }
        let base = UnsafePointer(pieces.base + start)
        pending[pendingCount] = Pending(
            index: index, left: leftCount, right: rightCount, leftHash: vocabulary.hash(UnsafeBufferPointer(start: base, count: leftCount)),
            rightHash: vocabulary.hash(UnsafeBufferPointer(start: base + leftCount, count: rightCount)))
        pendingCount += 1
        return pendingCount == pending.count ? lookUpPending() : nil
    }

    /// A merge of two spellings of which one at least is not of the byte alphabet: no text leads to it, but its rank counts.
    private mutating func passForeign(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> TokenizerError? {
        for piece in [left, right] where vocabulary.entry(spelled: piece, scratch: &scratch) == nil { return unknown(index, file.excerpt(piece)) }
        made.count = 0
        made.append(left)
        made.append(right)
        guard vocabulary.entry(spelled: made.contents, scratch: &scratch) != nil else {
            return makesNothing(index, file.excerpt(left), file.excerpt(right))
        }
        rank += 1
        return nil
    }

    /// Appends the bytes of a spelling to `pieces`; how many, or nil if it is not of the byte alphabet and should be.
    private mutating func append(_ spelling: UnsafeBufferPointer<UInt8>) -> Int? {
        let start = pieces.count
        if vocabulary.isByteLevel {
            guard ByteAlphabet.append(spelling, to: &pieces) else { return nil }
        } else {
            pieces.append(spelling)
        }
        return pieces.count - start
    }

    /// Looks up and inserts what waits: first whatever of the tables will be read, all at once, then the work itself.
    private mutating func lookUpPending() -> TokenizerError? {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * pendingCount) { slots in
            for place in 0..<pendingCount {
                slots[2 * place] = vocabulary.touchSlot(pending[place].leftHash)
                slots[2 * place + 1] = vocabulary.touchSlot(pending[place].rightHash)
            }
            for slot in slots { touched ^= UInt64(vocabulary.touchEntry(slot)) }
        }
        var start = UnsafePointer(pieces.base)
        for place in 0..<pendingCount {
            let merge = pending[place]
            let left = UnsafeBufferPointer(start: start, count: merge.left)
            let right = UnsafeBufferPointer(start: start + merge.left, count: merge.right)
            start += merge.left + merge.right
            guard let leftEntry = vocabulary.entry(of: left, hash: merge.leftHash) else { return unknown(merge.index, name(left)) }
            guard let rightEntry = vocabulary.entry(of: right, hash: merge.rightHash) else { return unknown(merge.index, name(right)) }
            (pending[place].leftID, pending[place].rightID) = (leftEntry.id, rightEntry.id)
        }
        for place in 0..<pendingCount { touched ^= table.touch(left: pending[place].leftID, right: pending[place].rightID) }
        start = UnsafePointer(pieces.base)
        for place in 0..<pendingCount {
            let merge = pending[place]
            let left = UnsafeBufferPointer(start: start, count: merge.left)
            let right = UnsafeBufferPointer(start: start + merge.left, count: merge.right)
            start += merge.left + merge.right
            guard insert(merge.leftID, left, merge.rightID, right) else { return makesNothing(merge.index, name(left), name(right)) }
        }
        pendingCount = 0
        pieces.count = 0
        return nil
    }

    /// Learns a merge of two pieces; false if there is no id for what it makes.
    private mutating func insert(
        _ left: Int32, _ leftBytes: UnsafeBufferPointer<UInt8>, _ right: Int32, _ rightBytes: UnsafeBufferPointer<UInt8>
    ) -> Bool {
        guard let id = id(of: leftBytes, and: rightBytes) else { return false }
        table.insert(left: left, right: right, rank: rank, id: id)
        rank += 1
        lastID = id
        return true
    }

    private func unknown(_ index: Int, _ piece: String) -> TokenizerError { refused(index, "piece '\(piece)' is not in model.vocab") }

    private func makesNothing(_ index: Int, _ left: String, _ right: String) -> TokenizerError {
        refused(index, "what '\(left)' and '\(right)' make is not in model.vocab")
    }

    /// How a piece is spelled, for an error message.
    private func name(_ bytes: UnsafeBufferPointer<UInt8>) -> String {
        file.excerpt(String(decoding: vocabulary.isByteLevel ? ByteAlphabet.spelling(of: bytes) : Array(bytes), as: UTF8.self))
    }

    /// The id of two pieces' bytes together.
    private mutating func id(of left: UnsafeBufferPointer<UInt8>, and right: UnsafeBufferPointer<UInt8>) -> Int32? {
        if vocabulary.foreign.isEmpty, let guess = vocabulary.bytes(of: lastID + 1), guess.count == left.count + right.count,
            Vocabulary.equal(UnsafeBufferPointer(rebasing: guess[..<left.count]), left),
            Vocabulary.equal(UnsafeBufferPointer(rebasing: guess[left.count...]), right)
        {
            return lastID + 1
        }
        made.count = 0
        made.append(left)
        made.append(right)
        return vocabulary.id(of: made.contents)
    }
}
