internal import CKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What the numbers of one tensor are like.
public struct TensorStatistics: Sendable {
    /// The smallest and the largest finite number; nil when there is none.
    public let range: ClosedRange<Float>?
    /// Mean and standard deviation of the finite numbers.
    public let mean, deviation: Double
    /// Numbers that are none, infinite, or 0.
    public let nans, infinities, zeros: Int
    /// Rows of a matrix that hold nothing but 0.
    public let zeroRows: Int
    /// Bits of information in an exponent: what it takes at least when it is coded alone.
    public let exponentEntropy: Double
    /// The elements.
    public let count: Int
    /// Where the first number that is NaN or infinite stands; nil when all are finite.
    public let firstNonFinite: Int?
}

extension Checkpoint {
    /// Reads a tensor of numbers and looks at every one.
    public func statistics(of name: String) throws(CheckpointError) -> TensorStatistics {
        guard let tensor = tensor(named: name) else { throw CheckpointError(path: path, tensor: name, message: "there is no such tensor") }
        var found = ck_statistics()
        found.least = .infinity
        found.most = -.infinity
        var zeroRows = 0
        var firstNonFinite: Int?
        let rowCount = tensor.rowLength > 0 ? tensor.rowCount : 0
        let step = max(1, (1 << 18) / max(1, tensor.rowLength))
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(step, rowCount) * tensor.rowLength * 4, alignment: 64)
        defer { buffer.deallocate() }
        for start in stride(from: 0, to: rowCount, by: step) {
            let rows = start..<min(start + step, rowCount)
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<(rows.count * tensor.rowLength * 4)])
            try read(name, rows: rows, as: .float32, into: part)
            guard let numbers = part.baseAddress?.assumingMemoryBound(to: Float.self) else { continue }
            ck_add_statistics(&found, numbers, rows.count * tensor.rowLength)
            if firstNonFinite == nil, found.nans + found.infinities > 0 {
                firstNonFinite = (0..<rows.count * tensor.rowLength).first { !numbers[$0].isFinite }.map { start * tensor.rowLength + $0 }
            }
            if tensor.shape.count > 1 {
                for row in 0..<rows.count where (0..<tensor.rowLength).allSatisfy({ numbers[row * tensor.rowLength + $0] == 0 }) { zeroRows += 1 }
            }
        }
        let finite = Double(max(1, tensor.count - found.nans - found.infinities))
        let mean = found.sum / finite
        return TensorStatistics(
            range: found.least <= found.most ? found.least...found.most : nil, mean: mean,
            deviation: max(0, found.squares / finite - mean * mean).squareRoot(), nans: found.nans, infinities: found.infinities, zeros: found.zeros,
            zeroRows: zeroRows, exponentEntropy: Self.entropy(withUnsafeBytes(of: found.exponents) { Array($0.bindMemory(to: Int.self)) }),
            count: tensor.count, firstNonFinite: firstNonFinite)
    }

    private static func entropy(_ counts: [Int]) -> Double {
        let total = Double(max(1, counts.reduce(0, +)))
        return counts.reduce(0) { $0 - ($1 > 0 ? Double($1) / total * log2(Double($1) / total) : 0) }
    }
}
