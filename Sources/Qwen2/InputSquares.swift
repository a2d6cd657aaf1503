public import Checkpoints

/// Sums of the squares of what linear layers read, a sum for each column of their weights.
final class InputSquares {
    /// Whether layers report what they read.
    var isCollecting = false
    private var sums: [String: [Double]] = [:]
    private var rows: [String: Int] = [:]

    /// Adds the rows of one layer's input, BF16 or FP32.
    func add(_ weight: Parameter, _ x: UnsafeRawPointer, isFloat: Bool, rows count: Int) {
        let width = weight.rowLength
        rows[weight.name, default: 0] += count
        sums[weight.name, default: .init(repeating: 0, count: width)].withUnsafeMutableBufferPointer { sums in
            for row in 0..<count {
                let floats = x.assumingMemoryBound(to: Float.self) + row * width
                let halves = x.assumingMemoryBound(to: UInt16.self) + row * width
                for column in 0..<width {
                    let value = isFloat ? floats[column] : Float(bitPattern: UInt32(halves[column]) << 16)
                    sums[column] += Double(value * value)
                }
            }
        }
    }

    /// The means of everything added, which is forgotten.
    func take() -> ImportanceMatrix {
        defer { (sums, rows) = ([:], [:]) }
        return ImportanceMatrix(
            Dictionary(
                uniqueKeysWithValues: sums.map { name, squares in
                    (name, squares.map { Float($0 / Double(max(1, rows[name] ?? 1))) })
                }))
    }
}

extension Qwen2Model {
    /// How much each column of each matrix matters on these texts: what a quantisation of the weights should weigh its errors with.
    /// - Parameter progress: told after each sequence how many were read.
    public func importance(of sequences: [[Int32]], progress: (Int) -> Void = { _ in }) -> ImportanceMatrix {
        linear.inputs.isCollecting = true
        defer { linear.inputs.isCollecting = false }
        for (index, ids) in sequences.enumerated() where ids.count > 1 {
            _ = score([TokenGroup(prompt: [ids[0]], completions: [Array(ids.dropFirst())])])
            progress(index + 1)
        }
        return linear.inputs.take()
    }
}
