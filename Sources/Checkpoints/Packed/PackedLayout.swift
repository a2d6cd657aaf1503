internal import JSON
internal import SafeTensors

/// The packed layout: floats without loss, BF16 in about two thirds of its size. `docs/checkpoints.md` documents it, `scripts/unpack.py` reads it.
///
/// A packed file is a valid safetensors file. `__metadata__["packed"]` lists the tensors that are stored as blobs (`BlobEntries`); all others are
/// stored as they are. A blob is
///
///     the chunks, each: a zstd frame of the elements' highest bytes, then their other bytes
///     the table, for each chunk: UInt32 bytes of its frame, UInt64 XXH64 of its elements; little-endian
///
/// An element is first rotated left by one bit, which brings its exponent to the top and its sign to the bottom. Exponents of trained weights carry
/// about 2.6 bits, mantissas all of theirs: so the former go through zstd, told to look for no matches and only code bytes by Huffman, and the
/// latter are stored.
struct PackedLayout {
    private static let key = "packed"
    private static let version = 1
    /// Checksums of a chunk in the table at the end of a blob.
    static let checksums = 1
    /// Bytes of a chunk in that table.
    static let tableEntry = BlobTable.entryBytes(checksums: checksums)

    private let entries: BlobEntries

    init(_ entries: BlobEntries) { self.entries = entries }

    /// What the tensor of that name stands for; nil if it is stored as it is.
    func entry(of name: String) -> BlobEntries.Entry? { entries.entry(of: name) }

    /// The layout as `__metadata__` carries it.
    var metadata: (key: String, value: String) { (Self.key, JSONValue.object(JSONObject(entries.members(version: Self.version))).serialized()) }

    /// The layout of a file; nil if the file is not packed.
    init?(metadataOf file: SafeTensorsFile) throws(CheckpointError) {
        guard let layout = try BlobEntries.layout(Self.key, of: file) else { return nil }
        entries = try BlobEntries(layout, key: Self.key, version: Self.version, of: file, chunkBytes: Self.tableEntry) { $0.bitCount / 8 - 1 }
    }
}
