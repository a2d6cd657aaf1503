internal import JSON
internal import SafeTensors

/// The delta layout: what a fine-tuned checkpoint changes in its base, without loss. `docs/checkpoints.md` documents it.
///
/// `__metadata__["delta"]` is a `BlobEntries` object with one more member, `base`: `{"path": where it was, seen from the delta, "xxh64": its
/// fingerprint}`. A blob is
///
///     the chunks, each: nothing if no element differs, else the coded differences (`ck_code_differences`), or, were that not less, the elements
///     the table, for each chunk: UInt32 bytes of it, UInt64 XXH64 of its elements, UInt64 XXH64 of the base's; little-endian
///
/// A tensor that the base has not, or has in another shape or type, is packed, or stored as it is.
struct DeltaLayout {
    private static let key = "delta"
    private static let version = 2
    /// Checksums of a chunk in the table at the end of a blob.
    static let checksums = 2
    /// Bytes of a chunk in that table.
    static let tableEntry = BlobTable.entryBytes(checksums: checksums)

    /// The base, opened.
    let base: Checkpoint
    private let entries: BlobEntries

    /// Whether a file holds differences.
    static func isDelta(_ file: SafeTensorsFile) -> Bool { file.metadata(key) != nil }

    /// What the tensor of that name stands for; nil if it is no difference.
    func entry(of name: String) -> BlobEntries.Entry? { entries.entry(of: name) }

    /// The layout as `__metadata__` carries it; `path` leads from the delta to the base.
    static func metadata(_ entries: BlobEntries, basePath: String, fingerprint: UInt64) -> (key: String, value: String) {
        let base: JSONValue = ["path": .string(basePath), "xxh64": .string(Checkpoint.hexadecimal(fingerprint))]
        return (key, JSONValue.object(JSONObject(entries.members(version: version) + [("base", base)])).serialized())
    }

    /// The layout of a file; nil if it holds no differences. `given` stands for the base that the file names.
    init?(metadataOf file: SafeTensorsFile, base given: Checkpoint?) throws(CheckpointError) {
        guard let layout = try BlobEntries.layout(Self.key, of: file) else { return nil }
        entries = try BlobEntries(layout, key: Self.key, version: Self.version, of: file, chunkBytes: Self.tableEntry) { _ in 0 }
        guard let path = layout["base"]?["path"]?.string, let fingerprint = layout["base"]?["xxh64"]?.string else {
            throw CheckpointError(path: file.path, message: "__metadata__, delta: base has no path or no xxh64")
        }
        if let given {
            base = given
            return
        }
        let place = Self.resolve(path, from: file.path)
        do {
            base = try Checkpoint(opening: place, anyModel: true, allowingDelta: false)
        } catch {
            throw CheckpointError(
                path: file.path,
                message:
                    "this is a delta, and its base (fingerprint \(fingerprint)) cannot be opened at \(place): \(error.message); put the base there, or "
                    + "restore the whole checkpoint: grpo-cli convert DELTA OUT --to safetensors --base BASE")
        }
    }

    /// A path as the file's directory sees it.
    private static func resolve(_ path: String, from file: String) -> String {
        guard !path.hasPrefix("/"), let slash = file.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
        return String(file[..<slash]) + "/" + path
    }
}
