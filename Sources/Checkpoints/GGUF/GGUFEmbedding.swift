internal import GGUF

/// The embedding of a GGUF file and its output head, if it has one of its own.
///
/// Quantising programs store a tied embedding twice, coarsely as `token_embd.weight` and finely as `output.weight`. Two tensors that differ by
/// no more than the rounding of the coarser one are one tensor: the finer copy is the embedding, and the model is tied.
struct GGUFEmbedding {
    let input: GGUFTensor
    /// nil when the model is tied.
    let head: GGUFTensor?

    var vocabularySize: Int { input.shape[0] }

    private static let rowsCompared = 256
    /// Largest relative root-mean-square difference of two copies: 4-bit blocks differ from their source by 7 to 9 %, unrelated tensors by 140 %.
    private static let blockTolerance = 0.1
    /// The same for two copies in plain types: BF16 rounds by at most 2^-9.
    private static let plainTolerance = 0.004

    init(of file: GGUFFile, hiddenSize: Int) throws(CheckpointError) {
        func checked(_ tensor: GGUFTensor, rows: Int? = nil) throws(CheckpointError) -> GGUFTensor {
            guard tensor.shape.count == 2, tensor.shape[1] == hiddenSize, rows == nil || tensor.shape[0] == rows else {
                let expected = "[\(rows.map(String.init) ?? "vocabulary"), \(hiddenSize)]"
                throw CheckpointError(path: file.path, tensor: tensor.name, message: "has shape \(tensor.shape), expected \(expected)")
            }
            return tensor
        }
        guard let embedding = file.tensor(named: "token_embd.weight") else {
            throw CheckpointError(path: file.path, tensor: "token_embd.weight", message: "is missing; it holds model.embed_tokens.weight")
        }
        let input = try checked(embedding)
        guard let output = file.tensor(named: "output.weight") else {
            self.input = input
            head = nil
            return
        }
        let head = try checked(output, rows: input.shape[0])
        // Bits a weight tell which copy is finer.
        let (fine, coarse) = head.byteCount > input.byteCount ? (head, input) : (input, head)
        do {
            let tolerance = coarse.type.blockWeights > 1 ? Self.blockTolerance : Self.plainTolerance
            let tied = try Self.difference(of: coarse, from: fine, in: file) <= tolerance
            self.input = tied ? fine : input
            self.head = tied ? nil : head
        } catch { throw CheckpointError(error) }
    }

    /// The root-mean-square difference of two tensors relative to the second, over rows spread evenly from the first to the last.
    private static func difference(of coarse: GGUFTensor, from fine: GGUFTensor, in file: GGUFFile) throws(GGUFError) -> Double {
        let width = fine.rowLength, last = fine.rowCount - 1, compared = min(rowsCompared, fine.rowCount)
        let left = UnsafeMutableBufferPointer<Float>.allocate(capacity: width), right = UnsafeMutableBufferPointer<Float>.allocate(capacity: width)
        defer {
            left.deallocate()
            right.deallocate()
        }
        var squares = 0.0, squaredDifferences = 0.0
        for index in 0..<compared {
            let row = compared == 1 ? 0 : index * last / (compared - 1)
            try file.read(coarse, rows: row..<row + 1, into: left)
            try file.read(fine, rows: row..<row + 1, into: right)
            for column in 0..<width {
                let value = Double(right[column]), difference = value - Double(left[column])
                squares += value * value
                squaredDifferences += difference * difference
            }
        }
        return squaredDifferences == 0 ? 0 : (squaredDifferences / squares).squareRoot()
    }
}
