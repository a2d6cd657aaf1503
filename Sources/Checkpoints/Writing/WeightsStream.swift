internal import CKernels
internal import SafeTensors

/// Streams tensors from a provider into files, a block of rows at a time.
struct WeightsStream<Provider: TensorProvider> {
    private let provider: Provider
    private let saturating: Bool
    private let total: Int
    private var done = 0
    /// Numbers beyond FP16's range, of each tensor that has any.
    private var overflowed: [(tensor: String, count: Int)] = []

    /// Elements that are read at a time, unless one row has more.
    private static var block: Int { 1 << 20 }

    init(_ provider: Provider, saturating: Bool, total: Int) {
        self.provider = provider
        self.saturating = saturating
        self.total = total
    }

    /// Writes one file.
    mutating func write(_ shard: WeightsPlan.Shard, to path: String, progress: (Int, Int) -> Void) throws(CheckpointError) {
        let file = try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try SafeTensorsWriter(creating: path, tensors: shard.items.map(\.target), metadata: shard.metadata)
        }
        let items = shard.items.sorted { TensorInfo.precedes($0.target.name, $1.target.name) }
        while let next = file.next {
            guard let item = items.first(where: { $0.target.name.utf8.elementsEqual(next.name.utf8) }) else {
                throw CheckpointError(path: path, tensor: next.name, message: "was not planned")
            }
            switch item.storing {
            case .plain(let type):
                try forEachBlock(of: item, type, progress) { bytes throws(CheckpointError) in try Self.append(bytes, to: file) }
            case .packed(let type):
                try write(item, type, to: file, progress) { () throws(CheckpointError) in try PackedEncoder(type, path: path) }
            case .delta(let type, let base):
                try write(item, type, to: file, progress) { DeltaEncoder(item.source.name, type, base: base) }
            case .integers(let part, let bits, let group, let importance):
                let encoder = IntegerEncoder(item.source, part, bits: bits, group: group, importance: importance, path: path)
                if part == .shape {
                    try encoder.appendShape(to: file)
                } else {
                    try forEachBlock(of: item, .f32, progress) { bytes throws(CheckpointError) in try encoder.append(bytes, to: file) }
                }
            }
        }
        try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.finish() }
    }

    /// Writes one tensor as a blob.
    private mutating func write(
        _ item: WeightsPlan.Item, _ type: SafeTensorsType, to file: SafeTensorsWriter, _ progress: (Int, Int) -> Void,
        by encoder: () throws(CheckpointError) -> any ChunkEncoder
    ) throws(CheckpointError) {
        var blob = try BlobWriter(type, into: file, by: encoder)
        try forEachBlock(of: item, type, progress) { bytes throws(CheckpointError) in try blob.append(bytes) }
        try blob.finish()
    }

    /// Refuses the whole when numbers did not fit.
    func finish(_ directory: String) throws(CheckpointError) {
        guard !overflowed.isEmpty, !saturating else { return }
        let count = overflowed.reduce(0) { $0 + $1.count }
        let worst = overflowed.sorted { $0.count > $1.count }.prefix(3).map { "\($0.tensor): \($0.count)" }.joined(separator: ", ")
        throw CheckpointError(
            path: directory,
            message:
                "\(count) values in \(overflowed.count) tensors are beyond 65504, which float16 cannot hold (\(worst)); use bfloat16, or make them 65504 "
                + "(--saturate)")
    }

    /// Gives `body` the rows of an item's source, block by block, in the type it is stored in.
    private mutating func forEachBlock(
        of item: WeightsPlan.Item, _ type: SafeTensorsType, _ progress: (Int, Int) -> Void,
        _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let info = item.source
        let isCopy = info.storedType == type
        // A cast to FP16 goes through FP32, so that what does not fit can be counted.
        let numbers = type == .f16 ? ElementType.float32 : ElementType(safeTensorsName: type.rawValue)
        let rowBytes = info.rowLength * type.bitCount / 8
        let readBytes = isCopy ? rowBytes : info.rowLength * (numbers?.byteCount ?? 0)
        // An empty tensor may claim any number of empty rows.
        let rowCount = rowBytes > 0 ? info.rowCount : 0
        let step = max(1, Self.block / max(1, info.rowLength))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(step, rowCount) * readBytes, alignment: 64)
        defer { buffer.deallocate() }
        var beyond = 0
        for start in stride(from: 0, to: rowCount, by: step) {
            let rows = start..<min(start + step, rowCount)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(rows.count * readBytes)])
            if isCopy {
                try provider.readStored(info.name, rows: rows, into: part)
            } else if let numbers {
                try provider.read(info.name, rows: rows, as: numbers, into: part)
            }
            if !isCopy, type == .f16 { beyond += Self.toHalf(part) }
            try body(UnsafeRawBufferPointer(rebasing: part[..<(rows.count * rowBytes)]))
            done += item.sourceBytes / max(1, info.count) * rows.count * info.rowLength
            progress(min(done, total), total)
        }
        if beyond > 0 { overflowed.append((info.name, beyond)) }
    }

    /// FP32 numbers to FP16 in place, those beyond its range to 65504; returns how many they are.
    private static func toHalf(_ numbers: UnsafeMutableRawBufferPointer) -> Int {
        guard let start = numbers.baseAddress else { return 0 }
        let count = numbers.count / 4
        let singles = start.assumingMemoryBound(to: Float.self), halves = start.assumingMemoryBound(to: UInt16.self)
        var beyond = 0
        for index in 0..<count where singles[index].isFinite && singles[index].magnitude >= 65520 {
            singles[index] = singles[index] < 0 ? -65504 : 65504
            beyond += 1
        }
        // Each result lies before the numbers that are still to be read, 2048 of them at a time.
        withUnsafeTemporaryAllocation(of: UInt16.self, capacity: 2048) { scratch in
            guard let scratch = scratch.baseAddress else { return }
            for first in stride(from: 0, to: count, by: 2048) {
                let size = min(2048, count - first)
                _ = ck_f32_to_f16(scratch, singles + first, size)
                UnsafeMutableRawPointer(halves + first).copyMemory(from: scratch, byteCount: 2 * size)
            }
        }
        return beyond
    }

    private static func append(_ bytes: UnsafeRawBufferPointer, to file: SafeTensorsWriter) throws(CheckpointError) {
        try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.append(bytes) }
    }
}
