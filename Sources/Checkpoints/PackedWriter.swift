internal import CZstd
internal import SafeTensors

/// Packs BF16 tensors, one after the other, into the blobs of a safetensors writer. Keeps one chunk in memory.
final class PackedWriter {
    private let file: SafeTensorsWriter
    private let path: String
    private let context: OpaquePointer
    /// Weights of the chunk that fills.
    private let weights = UnsafeMutableBufferPointer<UInt16>.allocate(capacity: PackedLayout.chunk)
    /// Both planes of the chunk that is written, exponents first.
    private let planes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 2 * PackedLayout.chunk)
    private let frame = UnsafeMutableRawBufferPointer.allocate(byteCount: ZSTD_compressBound(PackedLayout.chunk), alignment: 16)
    private var filled = 0
    private var table: [UInt8] = []

    /// The most bytes that a blob of that many weights takes.
    static func bound(_ weights: Int) -> Int {
        let chunks = PackedLayout.chunkCount(weights)
        return weights + chunks * (ZSTD_compressBound(PackedLayout.chunk) + PackedLayout.tableEntry)
    }

    /// A packer for the blobs of `file`, which come in its order.
    init(into file: SafeTensorsWriter, path: String) throws(CheckpointError) {
        guard let context = ZSTD_createCCtx() else { throw CheckpointError(path: path, message: "out of memory") }
        self.file = file
        self.path = path
        self.context = context
        // Matches among exponents are chance: coding them costs more than it saves. These parameters leave zstd's Huffman coder alone at work.
        let literalCompressionMode = ZSTD_c_experimentalParam5  // zstd.h: #define ZSTD_c_literalCompressionMode
        let parameters: [(ZSTD_cParameter, Int32)] = [
            (ZSTD_c_compressionLevel, 1), (ZSTD_c_strategy, Int32(ZSTD_fast.rawValue)), (ZSTD_c_minMatch, 7), (ZSTD_c_targetLength, 131_072),
            (ZSTD_c_hashLog, 6), (literalCompressionMode, Int32(ZSTD_ps_enable.rawValue)),
        ]
        for (parameter, value) in parameters where ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) != 0 {
            throw CheckpointError(path: path, message: "this libzstd does not know parameter \(parameter.rawValue)")
        }
    }

    deinit {
        ZSTD_freeCCtx(context)
        weights.deallocate()
        planes.deallocate()
        frame.deallocate()
    }

    /// Appends weights, in BF16, to the current blob.
    func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = min(PackedLayout.chunk - filled, rest.count / 2)
            UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: weights[filled..<filled + count]))
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<(2 * count)]))
            filled += count
            rest = UnsafeRawBufferPointer(rebasing: rest[(2 * count)...])
            if filled == PackedLayout.chunk { try writeChunk() }
        }
    }

    /// Ends the current blob: its last chunk and its table.
    func endBlob() throws(CheckpointError) {
        if filled > 0 { try writeChunk() }
        do {
            try file.append(table)
            try file.endBlob()
        } catch {
            throw CheckpointError(error)
        }
        table.removeAll(keepingCapacity: true)
    }

    private func writeChunk() throws(CheckpointError) {
        guard let weights = weights.baseAddress, let exponents = planes.baseAddress else { return }
        PackedLayout.split(weights, count: filled, exponents: exponents, mantissas: exponents + filled)
        let size = ZSTD_compress2(context, frame.baseAddress, frame.count, exponents, filled)
        guard ZSTD_isError(size) == 0 else { throw CheckpointError(path: path, message: "zstd: \(String(cString: ZSTD_getErrorName(size)))") }
        let checksum = XXHash64.hash(UnsafeRawBufferPointer(start: weights, count: 2 * filled))
        do {
            try file.append(UnsafeRawBufferPointer(rebasing: frame[..<size]))
            try file.append(UnsafeRawBufferPointer(start: exponents + filled, count: filled))
        } catch {
            throw CheckpointError(error)
        }
        withUnsafeBytes(of: UInt32(size).littleEndian) { table.append(contentsOf: $0) }
        withUnsafeBytes(of: checksum.littleEndian) { table.append(contentsOf: $0) }
        filled = 0
    }
}
