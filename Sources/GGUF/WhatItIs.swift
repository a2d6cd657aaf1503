/// What was given instead of a GGUF file, with what to do about it; nil when the magic number is right.
func whatItIs(_ bytes: UnsafeRawBufferPointer) -> String? {
    func starts(_ prefix: String) -> Bool { bytes.starts(with: prefix.utf8) }
    if starts("GGUF") { return nil }
    if starts("version https://git-lfs") { return "this is a Git LFS pointer, not the file it stands for: run `git lfs pull`" }
    if starts("PK\u{3}\u{4}") { return "this is a ZIP archive (a PyTorch checkpoint?), not GGUF; weights in pickles are not loaded" }
    if bytes.starts(with: [0x80, 0x02]) { return "this is a Python pickle, not GGUF; weights in pickles are not loaded" }
    if ["ggml", "lmgg", "fmgg", "tjgg", "algg"].contains(where: starts) {
        return "this is a GGML file from before GGUF: convert the original checkpoint again"
    }
    if starts("FUGG") { return "this GGUF file is byte-swapped: gguf-convert-endian turns it" }
    if bytes.count > 9, bytes[8] == UInt8(ascii: "{"), UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self)) < UInt64(bytes.count) {
        return "this is a safetensors file, not GGUF: give the directory that holds it and its config.json"
    }
    if starts("<") || starts("{") { return "this is a text (a web page or JSON, perhaps an error saved by a download), not GGUF" }
    return
        "this is not a GGUF file: it starts with bytes \(bytes.prefix(4).map { String($0, radix: 16) }.joined(separator: " ")), expected 47 47 55 46"
}
