internal import CKernels

extension GGUFFile {
    /// The tensor types `read` turns into numbers. Files may hold others: they are listed, but not read.
    public static let readableTypes: Set<GGMLType> = [
        .f32, .f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K, .iq4_NL, .iq4_XS,
    ]

    /// Rows of a tensor (its dimensions but the last taken as one) as FP32, in row-major order, into `buffer` of exactly
    /// `rows.count * tensor.rowLength` elements. Values are those of ggml's reference code, bit for bit.
    ///
    /// Throws when the type is not among `readableTypes`, when a block's scale is infinite or not a number, or when the file was cut short since.
    public func read(_ tensor: GGUFTensor, rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<Float>) throws(GGUFError) {
        precondition(rows.lowerBound >= 0 && rows.upperBound <= tensor.rowCount, "rows \(rows) of a tensor of \(tensor.rowCount)")
        precondition(buffer.count == rows.count * tensor.rowLength, "a buffer of \(buffer.count) for \(rows.count) rows of \(tensor.rowLength)")
        guard let out = buffer.baseAddress, !rows.isEmpty else { return }
        func failure(_ message: String) -> GGUFError {
            GGUFError(path: path, place: "tensor \(quoted(tensor.name.utf8))", message: message)
        }
        guard Self.readableTypes.contains(tensor.type) else {
            let readable = Self.readableTypes.sorted { $0.rawValue < $1.rawValue }.map(\.name).joined(separator: ", ")
            throw failure("is stored as \(tensor.type.name), which cannot be read; expected one of \(readable)")
        }
        let type = tensor.type
        let firstBlock = rows.lowerBound * (tensor.rowLength / type.blockWeights)
        let blockCount = rows.count * (tensor.rowLength / type.blockWeights)
        let start = tensor.offset + firstBlock * type.blockBytes
        if type == .f32 {  // stored as they are wanted: GGUF is little-endian, and so is every machine this runs on
            if let problem = mapping.read(at: start, into: UnsafeMutableRawBufferPointer(buffer)) { throw failure(problem) }
            return
        }
        // Small enough for the cache: the bytes go through it once more, on their way from the page cache to the numbers.
        let chunk = min(blockCount, max(1, (64 << 10) / type.blockBytes))
        let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk * type.blockBytes, alignment: 64)
        defer { scratch.deallocate() }
        var done = 0
        while done < blockCount {
            let blocks = min(chunk, blockCount - done)
            let part = UnsafeMutableRawBufferPointer(rebasing: scratch[..<(blocks * type.blockBytes)])
            if let problem = mapping.read(at: start + done * type.blockBytes, into: part) { throw failure(problem) }
            if let bad = dequantize(part, type, blocks, into: out + done * type.blockWeights) {
                let block = firstBlock + done + bad, perRow = tensor.rowLength / type.blockWeights
                throw failure("row \(block / perRow), block \(block % perRow) has a scale that is infinite or not a number: the file is damaged")
            }
            done += blocks
        }
    }

    /// Bytes of a tensor as the file has them, into `buffer` of exactly their size. Throws when the file was cut short since it was opened.
    public func readBytes(_ tensor: GGUFTensor, _ bytes: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(GGUFError) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= tensor.byteCount && buffer.count == bytes.count, "bytes \(bytes) of another tensor")
        if let problem = mapping.read(at: tensor.offset + bytes.lowerBound, into: buffer) {
            throw GGUFError(path: path, place: "tensor \(quoted(tensor.name.utf8))", message: problem)
        }
    }

    /// The blocks of rows as the file has them, for a type of `ck_block_type`, into `buffer` of exactly their size.
    ///
    /// Throws as `read(_:rows:into:)` does.
    public func readBlocks(_ tensor: GGUFTensor, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(GGUFError) {
        let type = tensor.type, perRow = tensor.rowLength / type.blockWeights, blocks = rows.count * perRow
        precondition(rows.lowerBound >= 0 && rows.upperBound <= tensor.rowCount, "rows \(rows) of a tensor of \(tensor.rowCount)")
        precondition(buffer.count == blocks * type.blockBytes, "a buffer of \(buffer.count) bytes for \(blocks) blocks of \(type.blockBytes)")
        guard let start = buffer.baseAddress, blocks > 0 else { return }
        func failure(_ message: String) -> GGUFError {
            GGUFError(path: path, place: "tensor \(quoted(tensor.name.utf8))", message: message)
        }
        if let problem = mapping.read(at: tensor.offset + rows.lowerBound * perRow * type.blockBytes, into: buffer) { throw failure(problem) }
        let bad = ck_first_nonfinite_block(ck_block_type(type.rawValue), start.assumingMemoryBound(to: UInt8.self), blocks)
        guard bad == blocks else {
            let row = rows.lowerBound + bad / perRow
            throw failure("row \(row), block \(bad % perRow) has a scale that is infinite or not a number: the file is damaged")
        }
    }

    /// Blocks to numbers; the index of a block with a scale that is not finite, if there is one.
    private func dequantize(_ bytes: UnsafeMutableRawBufferPointer, _ type: GGMLType, _ blocks: Int, into out: UnsafeMutablePointer<Float>) -> Int? {
        let start = bytes.baseAddress!
        switch type {
        case .f16: ck_f16_to_f32(out, start.assumingMemoryBound(to: UInt16.self), blocks)
        case .bf16: ck_bf16_to_f32(out, start.assumingMemoryBound(to: UInt16.self), blocks)
        default:
            let codec = ck_block_type(type.rawValue), packed = start.assumingMemoryBound(to: UInt8.self)
            let bad = ck_first_nonfinite_block(codec, packed, blocks)
            guard bad == blocks else { return bad }
            ck_dequantize(codec, out, packed, blocks)
        }
        return nil
    }
}
