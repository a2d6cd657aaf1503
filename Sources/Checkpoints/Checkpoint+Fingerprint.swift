internal import CKernels
internal import SafeTensors
internal import Synchronization

extension Checkpoint {
    /// XXH64 of the names, types, shapes and stored bytes of every tensor that has a `storedType`: two checkpoints with the same fingerprint hold the
    /// same weights, however they lie on disk. Reads everything, the first time.
    public func fingerprint() throws(CheckpointError) -> UInt64 {
        if let known = knownFingerprint.withLock({ $0 }) { return known }
        var digest: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 8 << 20, alignment: 64)
        defer { buffer.deallocate() }
        for tensor in tensors {
            guard let type = tensor.storedType, type.bitCount % 8 == 0 else { continue }
            digest += Array("\(tensor.name) \(type.rawValue) \(tensor.shape)\n".utf8)
            let step = buffer.count / (type.bitCount / 8)
            for start in stride(from: 0, to: tensor.count, by: step) {
                let part = start..<min(start + step, tensor.count)
                let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(part.count * type.bitCount / 8)])
                try readStored(tensor.name, elements: part, into: bytes)
                if let first = bytes.baseAddress { withUnsafeBytes(of: ck_hash(first, bytes.count).littleEndian) { digest.append(contentsOf: $0) } }
            }
        }
        let found = digest.withUnsafeBytes { $0.baseAddress.map { ck_hash($0, digest.count) } ?? 0 }
        knownFingerprint.withLock { $0 = found }
        return found
    }

    /// Sixteen hexadecimal digits, as checksums are printed.
    public static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
