internal import CKernels
internal import SafeTensors
internal import Synchronization

extension Checkpoint {
    /// XXH64 of the names, types, shapes and elements of every tensor, of quantised ones as the FP32 numbers that they stand for: two checkpoints with
    /// the same fingerprint hold the same weights, however they lie on disk. Reads everything, the first time.
    public func fingerprint() throws(CheckpointError) -> UInt64 {
        if let known = knownFingerprint.withLock({ $0 }) { return known }
        var digest: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 64)
        defer { buffer.deallocate() }
        func add(_ bytes: UnsafeMutableRawBufferPointer) {
            if let first = bytes.baseAddress { withUnsafeBytes(of: ck_hash(first, bytes.count).littleEndian) { digest.append(contentsOf: $0) } }
        }
        for tensor in tensors {
            digest += Array("\(tensor.name) \((tensor.storedType ?? .f32).rawValue) \(tensor.shape)\n".utf8)
            guard let type = tensor.storedType else {
                try forEachRowsInSinglePrecision(of: tensor, most: buffer.count, add)
                continue
            }
            guard type.bitCount % 8 == 0 else { continue }
            let step = buffer.count / (type.bitCount / 8)
            for start in stride(from: 0, to: tensor.count, by: step) {
                let part = start..<min(start + step, tensor.count)
                let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(part.count * type.bitCount / 8)])
                try readStored(tensor.name, elements: part, into: bytes)
                add(bytes)
            }
        }
        let found = digest.withUnsafeBytes { $0.baseAddress.map { ck_hash($0, digest.count) } ?? 0 }
        knownFingerprint.withLock { $0 = found }
        return found
    }

    /// Whole rows, as many as `most` bytes hold, at least one.
    private func forEachRowsInSinglePrecision(
        of tensor: TensorInfo, most: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) throws(CheckpointError) {
        let rowBytes = tensor.rowLength * 4, step = max(1, most / max(1, rowBytes))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(step, tensor.rowCount) * rowBytes, alignment: 64)
        defer { buffer.deallocate() }
        for start in stride(from: 0, to: tensor.rowCount, by: step) {
            let rows = start..<min(start + step, tensor.rowCount)
            let numbers = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(rows.count * rowBytes)])
            try read(tensor.name, rows: rows, as: .float32, into: numbers)
            body(numbers)
        }
    }

    /// Sixteen hexadecimal digits, as checksums are printed.
    public static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
