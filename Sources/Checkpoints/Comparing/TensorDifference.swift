internal import CKernels
internal import SafeTensors

/// How one tensor differs between two checkpoints.
public struct TensorDifference: Sendable {
    /// Its name.
    public let name: String
    /// Its elements.
    public let count: Int
    /// Elements whose bits differ, in the type of the comparison.
    public let changed: Int
    /// The largest distance in units in the last place of that type.
    public let largestUlp: UInt64
    /// The largest difference of two elements.
    public let largest: Float
    /// The root-mean-square difference relative to the root mean square of the left side; 0 when nothing differs.
    public let relativeError: Double
    /// The cosine of the angle between the two; 1 when nothing differs.
    public let cosine: Double
}

extension TensorProvider {
    /// Compares a tensor that both have in the same shape. Numbers are read as `type` from both sides; what is no number is compared as it is stored, and is
    /// changed as a whole when its stored type differs.
    public func difference(of name: String, from other: some TensorProvider, as type: ElementType) throws(CheckpointError) -> TensorDifference {
        guard let left = tensors.tensor(named: name), let right = other.tensors.tensor(named: name), left.shape == right.shape else {
            throw CheckpointError(path: "comparison", tensor: name, message: "is not in both checkpoints, or has another shape in each")
        }
        if left.isNumeric, right.isNumeric { return try numbers(left, other, type) }
        return try bytes(left, right, other)
    }

    private func numbers(_ tensor: TensorInfo, _ other: some TensorProvider, _ type: ElementType) throws(CheckpointError) -> TensorDifference {
        var bits = ck_bit_difference(), difference = ck_difference()
        let rowBytes = tensor.rowLength * type.byteCount
        try forEachPair(
            tensor, rowBytes,
            read: { provider, rows, buffer throws(CheckpointError) in
                try provider.read(tensor.name, rows: rows, as: type, into: buffer)
            }, other
        ) { left, right in
            let count = left.count / type.byteCount
            guard let a = left.baseAddress, let b = right.baseAddress else { return }
            ck_add_bit_difference(&bits, a, b, count, type.byteCount)
            guard type != .float32 else {
                ck_add_difference(&difference, a.assumingMemoryBound(to: Float.self), b.assumingMemoryBound(to: Float.self), count)
                return
            }
            withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * count) { singles in
                guard let start = singles.baseAddress else { return }
                for (bytes, out) in [(a, start), (b, start + count)] {
                    let halves = bytes.assumingMemoryBound(to: UInt16.self)
                    if type == .float16 { ck_f16_to_f32(out, halves, count) } else { ck_bf16_to_f32(out, halves, count) }
                }
                ck_add_difference(&difference, start, start + count, count)
            }
        }
        let norm = (difference.left_squares * difference.right_squares).squareRoot()
        return TensorDifference(
            name: tensor.name, count: tensor.count, changed: bits.changed, largestUlp: bits.largest_distance, largest: difference.largest,
            relativeError: difference.squared_difference == 0 ? 0 : (difference.squared_difference / difference.left_squares).squareRoot(),
            cosine: bits.changed == 0 ? 1 : norm > 0 ? difference.products / norm : 0)
    }

    private func bytes(_ tensor: TensorInfo, _ right: TensorInfo, _ other: some TensorProvider) throws(CheckpointError) -> TensorDifference {
        var changed = tensor.count
        if tensor.storedType == right.storedType, let rowBytes = tensor.storedRowBytes {
            changed = 0
            try forEachPair(
                tensor, rowBytes,
                read: { provider, rows, buffer throws(CheckpointError) in
                    try provider.readStored(tensor.name, rows: rows, into: buffer)
                }, other
            ) { left, right in
                let size = max(1, rowBytes / max(1, tensor.rowLength))
                for start in stride(from: 0, to: left.count, by: size)
                where !left[start..<min(start + size, left.count)].elementsEqual(right[start..<min(start + size, left.count)]) {
                    changed += 1
                }
            }
        }
        return TensorDifference(
            name: tensor.name, count: tensor.count, changed: changed, largestUlp: 0, largest: 0, relativeError: changed > 0 ? .infinity : 0,
            cosine: changed > 0 ? 0 : 1)
    }

    /// The same rows of both sides, block by block.
    private func forEachPair(
        _ tensor: TensorInfo, _ rowBytes: Int,
        read: (any TensorProvider, Range<Int>, UnsafeMutableRawBufferPointer) throws(CheckpointError) -> Void, _ other: some TensorProvider,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) throws(CheckpointError) {
        let rowCount = rowBytes > 0 ? tensor.rowCount : 0
        let step = max(1, (1 << 18) / max(1, tensor.rowLength))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * min(step, rowCount) * rowBytes, alignment: 64)
        defer { buffer.deallocate() }
        for start in stride(from: 0, to: rowCount, by: step) {
            let rows = start..<min(start + step, rowCount)
            let left = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(rows.count * rowBytes)])
            let right = UnsafeMutableRawBufferPointer(rebasing: buffer[(rows.count * rowBytes)..<(2 * rows.count * rowBytes)])
            try read(self, rows, left)
            try read(other, rows, right)
            body(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
        }
    }
}
