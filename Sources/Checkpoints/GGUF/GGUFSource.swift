internal import CKernels
internal import GGUF
internal import JSON
internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A GGUF file seen as a Hugging Face checkpoint: its tensors under Hugging Face names, config.json and the tokenizer's files made from its
/// metadata. Rows that the architecture stores in another order are put back into Hugging Face's.
final class GGUFSource: CheckpointSource {
    let format = CheckpointFormat.gguf
    let config: JSONValue
    let tensors: [TensorInfo]
    let companionNames: [String]

    /// The types whose blocks a matrix product takes as they are (`ck_pack_blocks`).
    private static let packable: Set<GGMLType> = [.q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q4_K, .q5_K, .q6_K]

    private let file: GGUFFile
    private let metadata: GGUFMetadata
    private let stored: [String: GGUFTensor]  // by Hugging Face name; these are ASCII, made by us
    private let family: ModelFamily
    private let headSize: Int

    /// Whether a path is for this source: every file is (one that is not GGUF is told what it is instead), and a missing one by its name.
    static func accepts(_ path: String) -> Bool {
        var status = stat()
        guard stat(path, &status) == 0 else { return path.hasSuffix(".gguf") }
        return status.st_mode & S_IFMT != S_IFDIR
    }

    /// Opens a file of a known architecture and checks that it holds exactly the tensors of such a model, in their shapes.
    init(opening path: String) throws(CheckpointError) {
        let file: GGUFFile
        do { file = try GGUFFile(opening: path) } catch { throw CheckpointError(error) }
        let metadata = GGUFMetadata(file: file)
        let model = try GGUFConfig(metadata)
        let embedding = try GGUFEmbedding(of: file, hiddenSize: model.hiddenSize)
        stored = try model.tensors(in: file, embedding)
        config = model.json(vocabularySize: embedding.vocabularySize, tied: embedding.head == nil)
        tensors = stored.map { name, tensor in
            let hasBlocks = tensor.shape.count == 2 && Self.packable.contains(tensor.type) && !model.family.reorders(name)
            return TensorInfo(
                name: name, shape: tensor.shape, storage: tensor.type.name, type: ElementType(tensor.type),
                blockType: hasBlocks ? tensor.type.rawValue : nil)
        }
        .sorted { TensorInfo.precedes($0.name, $1.name) }
        companionNames = try GGUFTokenizer.companionNames(metadata, vocabularySize: embedding.vocabularySize)
        self.file = file
        self.metadata = metadata
        family = model.family
        headSize = model.headSize
    }

    func read(_ tensor: TensorInfo, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let stored = stored[tensor.name] else { throw CheckpointError(path: file.path, tensor: tensor.name, message: "no such tensor") }
        if family.reorders(tensor.name), rows.count > 1 {
            let size = tensor.rowLength * type.byteCount
            for row in rows {
                let start = (row - rows.lowerBound) * size
                let one = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + size])
                try read(tensor, rows: row..<row + 1, as: type, into: one)
            }
            return
        }
        let rows = family.reorders(tensor.name) && !rows.isEmpty ? ModelFamily.place(of: rows.lowerBound, headSize) : rows
        // A vector is one row of the file and many rows of a checkpoint; it is as long as a row of a matrix, so it is read whole.
        let isVector = stored.shape.count == 1
        let rowsAtOnce = isVector ? 1 : max(1, (64 << 10) / max(1, stored.rowLength))
        let scratch = UnsafeMutableBufferPointer<Float>.allocate(capacity: rowsAtOnce * stored.rowLength)
        defer { scratch.deallocate() }
        var overflowed = 0, done = 0
        while done < rows.count {
            let count = isVector ? rows.count : min(rowsAtOnce, rows.count - done)
            let part = isVector ? 0..<1 : rows.lowerBound + done..<rows.lowerBound + done + count
            do { try file.read(stored, rows: part, into: .init(rebasing: scratch[..<(part.count * stored.rowLength)])) } catch {
                throw CheckpointError(error)
            }
            let values = isVector ? scratch.baseAddress! + rows.lowerBound : scratch.baseAddress!
            let out = buffer.baseAddress! + done * tensor.rowLength * type.byteCount
            overflowed += convert(values, count * tensor.rowLength, to: type, at: out)
            done += count
        }
        guard overflowed == 0 else {
            throw CheckpointError(
                path: file.path, tensor: tensor.name,
                message: "\(overflowed) numbers are beyond float16's range of 65504: take bfloat16 or float32")
        }
    }

    func readStored(_ tensor: TensorInfo, elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let stored = stored[tensor.name], let size = tensor.type?.byteCount else {
            throw CheckpointError(path: file.path, tensor: tensor.name, message: "no such tensor, or one of blocks")
        }
        if family.reorders(tensor.name) {
            var position = elements.lowerBound
            while position < elements.upperBound {
                let row = position / tensor.rowLength
                let end = min(elements.upperBound, (row + 1) * tensor.rowLength)
                let start = ModelFamily.place(of: row, headSize).lowerBound * tensor.rowLength + position - row * tensor.rowLength
                let out = (position - elements.lowerBound) * size..<(end - elements.lowerBound) * size
                do {
                    try file.readBytes(
                        stored, start * size..<(start + end - position) * size, into: UnsafeMutableRawBufferPointer(rebasing: buffer[out]))
                } catch { throw CheckpointError(error) }
                position = end
            }
            return
        }
        do { try file.readBytes(stored, elements.lowerBound * size..<elements.upperBound * size, into: buffer) } catch {
            throw CheckpointError(error)
        }
    }

    func readBlocks(_ tensor: TensorInfo, rows: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let stored = stored[tensor.name] else { throw CheckpointError(path: file.path, tensor: tensor.name, message: "no such tensor") }
        do { try file.readBlocks(stored, rows: rows, into: buffer) } catch { throw CheckpointError(error) }
    }

    /// Numbers to an element type; returns how many finite ones became infinite.
    private func convert(_ values: UnsafePointer<Float>, _ count: Int, to type: ElementType, at out: UnsafeMutableRawPointer) -> Int {
        switch type {
        case .float32: out.copyMemory(from: values, byteCount: count * 4)
        case .bfloat16: ck_f32_to_bf16(out.assumingMemoryBound(to: UInt16.self), values, count)
        case .float16: return ck_f32_to_f16(out.assumingMemoryBound(to: UInt16.self), values, count)
        }
        return 0
    }

    func companion(_ name: String) throws(CheckpointError) -> [UInt8] {
        switch name {
        case "tokenizer.json": Array(try GGUFTokenizer(metadata).json.serialized().utf8)
        case "tokenizer_config.json": Array((try GGUFTokenizer(metadata).configuration.serialized(pretty: true) + "\n").utf8)
        case "generation_config.json": Array((try GGUFTokenizer(metadata).generation.serialized(pretty: true) + "\n").utf8)
        case "chat_template.jinja": Array(try metadata.string("tokenizer.chat_template").utf8)
        default: throw CheckpointError(path: file.path, message: "a GGUF file has no \(name)")
        }
    }
}

extension ElementType {
    /// The element type a GGUF tensor is stored in; nil for blocks.
    fileprivate init?(_ type: GGMLType) {
        switch type {
        case .f32: self = .float32
        case .f16: self = .float16
        case .bf16: self = .bfloat16
        default: return nil
        }
    }
}

extension CheckpointError {
    init(_ error: GGUFError) { self.init(path: error.path, message: error.place.isEmpty ? error.message : "\(error.place): \(error.message)") }
}
