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

    /// A merge that waits for its block to be full: the lengths of its pieces, which stand in `pieces`, and their hashes.
    private struct Pending: BitwiseCopyable {
        var index = 0
        var left = 0
        var right = 0
        var leftHash: UInt64 = 0
        var rightHash: UInt64 = 0
    }

    private static let blockSize = 128
    private var pending: [Pending] = []
    private var pieces = ByteBuffer()
    /// What touching memory gave: kept, so that it is not optimised away.
    private var touched: UInt64 = 0

    init(file: TokenizerFile, vocabulary: Vocabulary, table: MergeTable) {
        self.file = file
        self.vocabulary = vocabulary
        self.table = table
        pending.reserveCapacity(Self.blockSize)
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
            if merge.starts(with: "#version".utf8) { return nil }
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
            if let failure = lookUpPending() { return failure }
            return insert(
                vocabulary.entry(spelled: left, scratch: &scratch), vocabulary.entry(spelled: right, scratch: &made), left, right, index,
                areSpelled: true)
        }
        let base = UnsafePointer(pieces.base + start)
        pending.append(
            Pending(
                index: index, left: leftCount, right: rightCount,
                leftHash: vocabulary.hash(UnsafeBufferPointer(start: base, count: leftCount)),
                rightHash: vocabulary.hash(UnsafeBufferPointer(start: base + leftCount, count: rightCount))))
        return pending.count == Self.blockSize ? lookUpPending() : nil
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

    private mutating func lookUpPending() -> TokenizerError? {
        withUnsafeTemporaryAllocation(of: UInt64.self, capacity: 2 * Self.blockSize) { slots in
            for (place, merge) in pending.enumerated() {
                slots[2 * place] = vocabulary.touchSlot(merge.leftHash)
                slots[2 * place + 1] = vocabulary.touchSlot(merge.rightHash)
            }
            for place in 0..<2 * pending.count { touched ^= UInt64(vocabulary.touchEntry(slots[place])) }
        }
        var start = 0
        for merge in pending {
            let left = UnsafeBufferPointer(start: UnsafePointer(pieces.base + start), count: merge.left)
            let right = UnsafeBufferPointer(start: UnsafePointer(pieces.base + start + merge.left), count: merge.right)
            start += merge.left + merge.right
            let failure = insert(
                vocabulary.entry(of: left, hash: merge.leftHash), vocabulary.entry(of: right, hash: merge.rightHash), left, right, merge.index)
            if let failure { return failure }
        }
        pending.removeAll(keepingCapacity: true)
        pieces.count = 0
        return nil
    }

    private mutating func insert(
        _ left: Vocabulary.Entry?, _ right: Vocabulary.Entry?, _ leftName: UnsafeBufferPointer<UInt8>, _ rightName: UnsafeBufferPointer<UInt8>,
        _ index: Int,
        areSpelled: Bool = false
    ) -> TokenizerError? {
        guard let left else { return refused(index, "piece '\(name(leftName, areSpelled))' is not in model.vocab") }
        guard let right else { return refused(index, "piece '\(name(rightName, areSpelled))' is not in model.vocab") }
        guard let id = id(of: left.bytes, and: right.bytes) else {
            return refused(index, "what '\(name(leftName, areSpelled))' and '\(name(rightName, areSpelled))' make is not in model.vocab")
        }
        table.insert(left: left.id, right: right.id, rank: rank, id: id)
        rank += 1
        lastID = id
        return nil
    }

    /// A piece for an error message.
    private func name(_ bytes: UnsafeBufferPointer<UInt8>, _ isSpelled: Bool) -> String {
        file.excerpt(String(decoding: vocabulary.isByteLevel && !isSpelled ? ByteAlphabet.spelling(of: bytes) : Array(bytes), as: UTF8.self))
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
