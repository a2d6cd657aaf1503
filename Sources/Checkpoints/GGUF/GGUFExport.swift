internal import CKernels
internal import GGUF
internal import SafeTensors

/// A checkpoint as one GGUF file, for llama.cpp and what is built on it.
public struct GGUFExport<Source: CheckpointView>: CheckpointExport {
    /// The file, its tensors and their types, and what cannot have the type asked for.
    public var plan: ExportPlan { file.summary }
    private let file: GGUFPlan
    private let source: Source
    private let path: String
    private let allowingFallback: Bool
    private let importance: ImportanceMatrix?

    /// An export to a file. With `importance` the scales of all types but Q8_0 are searched for, errors weighed by it. A tensor whose rows do not
    /// divide into the blocks of its type is refused, or, if `allowingFallback`, gets the type that llama.cpp would give it.
    public init(
        _ source: Source, to path: String, recipe: GGUFRecipe, allowingFallback: Bool = false, importance: ImportanceMatrix? = nil
    ) throws(CheckpointError) {
        file = try GGUFPlan(source, path: path, recipe: recipe)
        self.source = source
        self.path = path
        self.allowingFallback = allowingFallback
        self.importance = importance
    }

    /// Whether the file may be written; refuses substitutions unless they are allowed.
    public func check(overwrite: Bool) throws(CheckpointError) {
        try CheckpointDirectory.checkReplaceable(file: path, overwrite: overwrite)
        if !allowingFallback { try file.refuseSubstitutions() }
        try plan.checkSpace(at: path)
    }

    /// Writes the file; `progress` is told the weights written and in all.
    public func write(overwrite: Bool, progress: (Int, Int) -> Void) throws(CheckpointError) {
        try check(overwrite: overwrite)
        let (items, layout) = (file.items, file.layout)
        let file = try CheckpointError.wrapping { () throws(SafeTensorsError) in
            let file = try AtomicFile(creating: path)
            try file.write(layout.header)
            return file
        }
        let total = items.reduce(0) { $0 + ($1.info?.count ?? 0) }
        var done = 0
        progress(0, total)
        for (item, tensor) in zip(items, layout.tensors) {
            try write(item, as: tensor.type, to: file) { count in
                done += count
                progress(done, total)
            }
            try CheckpointError.wrapping { () throws(SafeTensorsError) in
                try file.write([UInt8](repeating: 0, count: GGUFLayout.padding(after: tensor)))
            }
        }
        try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.commit() }
    }

    /// One tensor, a block of rows at a time.
    private func write(_ item: GGUFPlan.Item, as type: GGMLType, to file: AtomicFile, done: (Int) -> Void) throws(CheckpointError) {
        guard let info = item.info else {
            let bytes = item.numbers.flatMap { number in withUnsafeBytes(of: number.bitPattern.littleEndian) { Array($0) } }
            return try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.write(bytes) }
        }
        // Whole heads, so that rows can change places within them.
        let head = item.headSize ?? 1
        let step = max(1, (1 << 18) / info.rowLength / head) * head
        let rowBytes = info.rowLength * 4
        let read = UnsafeMutableRawBufferPointer.allocate(byteCount: min(step, info.rowCount) * rowBytes, alignment: 64)
        let turned = UnsafeMutableRawBufferPointer.allocate(byteCount: item.headSize == nil ? 0 : read.count, alignment: 64)
        let encoded = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(step, info.rowCount) * info.rowLength / type.blockWeights * type.blockBytes, alignment: 64)
        defer {
            read.deallocate()
            turned.deallocate()
            encoded.deallocate()
        }
        for start in stride(from: 0, to: info.rowCount, by: step) {
            let rows = start..<min(start + step, info.rowCount)
            var numbers = UnsafeMutableRawBufferPointer(rebasing: read[..<(rows.count * rowBytes)])
            try source.read(info.name, rows: rows, as: .float32, into: numbers)
            if let head = item.headSize {
                for place in 0..<rows.count {
                    let row = ModelFamily.row(at: place, head)
                    UnsafeMutableRawBufferPointer(rebasing: turned[place * rowBytes..<(place + 1) * rowBytes])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: numbers[row * rowBytes..<(row + 1) * rowBytes]))
                }
                numbers = UnsafeMutableRawBufferPointer(rebasing: turned[..<numbers.count])
            }
            let count = rows.count * info.rowLength
            let out = UnsafeMutableRawBufferPointer(rebasing: encoded[..<(count / type.blockWeights * type.blockBytes)])
            try encode(numbers, count, as: type, of: info, into: out)
            try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.write(UnsafeRawBufferPointer(out)) }
            done(count)
        }
    }

    /// FP32 numbers to a type of GGUF.
    private func encode(
        _ numbers: UnsafeMutableRawBufferPointer, _ count: Int, as type: GGMLType, of info: TensorInfo, into out: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        guard let singles = numbers.baseAddress?.assumingMemoryBound(to: Float.self), let start = out.baseAddress else { return }
        let halves = start.assumingMemoryBound(to: UInt16.self)
        switch type {
        case .f32: out.copyMemory(from: UnsafeRawBufferPointer(numbers))
        case .bf16: ck_f32_to_bf16(halves, singles, count)
        case .f16:
            let beyond = ck_f32_to_f16(halves, singles, count)
            guard beyond == 0 else {
                throw CheckpointError(
                    path: path, tensor: info.name, message: "\(beyond) values are beyond 65504, which F16 cannot hold; use --quantize bf16")
            }
        default:
            let blocks = count / type.blockWeights
            let refused = ck_quantize(
                ck_block_type(type.rawValue), start.assumingMemoryBound(to: UInt8.self), singles, blocks, importance?.columns(of: info),
                info.rowLength)
            guard refused == 0 else {
                throw CheckpointError(
                    path: path, tensor: info.name, message: "\(refused) blocks hold numbers that are infinite, NaN or too large for \(type.name)")
            }
        }
    }
}
