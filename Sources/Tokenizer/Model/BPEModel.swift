/// `model`: what turns a piece of text into ids.
struct BPEModel: Sendable {
    let vocabulary: Vocabulary
    let merges: MergeTable
    /// In a byte-level vocabulary, the id of each byte; else empty.
    let byteIDs: FlatTable<Int32>
    /// The id that a character starts from; see there.
    let characters: CharacterIDs
    /// Whether a piece that is in the vocabulary as a whole is that id, whatever the merges say.
    let ignoresMerges: Bool
    /// What becomes of a character without an id; never asked in a byte-level vocabulary.
    let unknown: UnknownCharacters

    init(vocabulary: Vocabulary, merges: MergeTable, ignoresMerges: Bool = false, unknown: UnknownCharacters = UnknownCharacters()) {
        self.vocabulary = vocabulary
        self.merges = merges
        self.ignoresMerges = ignoresMerges
        self.unknown = unknown
        if vocabulary.isByteLevel {
            byteIDs = FlatTable(repeating: 0, count: 256)
            for byte in UInt8.min...UInt8.max {
                byteIDs[Int(byte)] = withUnsafePointer(to: byte) { vocabulary.id(of: UnsafeBufferPointer(start: $0, count: 1)) } ?? 0
            }
            characters = CharacterIDs(of: vocabulary, merges: merges, byteIDs: byteIDs)
        } else {
            byteIDs = FlatTable(repeating: 0, count: 0)
            characters = CharacterIDs(of: vocabulary)
        }
    }
}

/// `unk_token`, `fuse_unk` and `byte_fallback`: what becomes of a character that is not in the vocabulary. Without any of them it vanishes.
struct UnknownCharacters: Sendable {
    /// `unk_token`.
    var id: Int32?
    /// Whether neighbouring unknown characters become one `unk_token`.
    var fuses = false
    /// The ids of `<0x00>` to `<0xFF>`, -1 for one that is missing; empty without `byte_fallback`.
    var byteIDs: [Int32] = []
}
