/// How much an error in each column of a weight matters: the mean square of the activations that it is multiplied by, over some text. An error e
/// of a weight changes what its row gives by e times the activation, so the squares say what errors cost (llama.cpp's importance matrix).
public struct ImportanceMatrix: Sendable {
    private let columns: [String: [Float]]

    /// From mean squares by the weights' Hugging Face names, a number a column. They are divided by their mean, for only their proportions count;
    /// weights whose numbers are not finite, negative or all zero are left out.
    public init(_ meanSquares: [String: [Float]]) {
        columns = meanSquares.compactMapValues { squares in
            let mean = squares.reduce(0.0) { $0 + Double($1) } / Double(max(1, squares.count))
            guard mean > 0, mean.isFinite, squares.allSatisfy({ $0 >= 0 }) else { return nil }
            return squares.map { Float(Double($0) / mean) }
        }
    }

    /// The importance of each of the columns of a weight; nil where nothing is known.
    func columns(of tensor: TensorInfo) -> [Float]? {
        guard tensor.shape.count == 2, let found = columns[tensor.name], found.count == tensor.rowLength else { return nil }
        return found
    }
}
