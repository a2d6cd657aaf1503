internal import JSON

/// What was written, read back and compared with what it was made from.
public struct ExportVerification: Sendable {
    /// The first tensor that is not what it should be, and why.
    public let problem: (tensor: String, message: String)?
    /// How many tensors are the same to the bit, and the largest relative error among the others.
    public let exact, lossy: Int
    /// The largest relative root-mean-square error, and the tensor that has it.
    public let worst: (tensor: String, error: Double)?

    /// An error beyond this is a fault of the program: of four bits the largest usual one is about 0.12.
    private static let bound = 0.3

    /// Compares every tensor. What is stored in an element type must be the source's, rounded to that type, bit for bit; of what is quantised the error
    /// is measured. `progress` is told the elements compared and in all.
    public init(
        source: some TensorProvider, written: Checkpoint, progress: (Int, Int) -> Void = { _, _ in }
    ) throws(CheckpointError) {
        let tensors = source.tensors
        let total = tensors.reduce(0) { $0 + $1.count }
        var done = 0, exact = 0, lossy = 0
        var problem: (tensor: String, message: String)?
        var worst: (tensor: String, error: Double)?
        for tensor in tensors {
            guard let found = written.tensor(named: tensor.name), found.shape == tensor.shape else {
                // A head that is the embedding is written once.
                if tensor.name == "lm_head.weight", written.config["tie_word_embeddings"]?.bool == true { continue }
                problem = (tensor.name, "is missing, or has another shape than its source")
                break
            }
            // Numbers that FP16 cannot hold have been counted or refused before; here FP16 is compared as what it stands for.
            let isExact = found.storedType != nil && (found.type != .float16 || tensor.type == .float16)
            let difference = try source.difference(of: tensor.name, from: written, as: isExact ? found.type ?? .float32 : .float32)
            if isExact, difference.changed > 0 {
                problem = (tensor.name, "\(difference.changed) of \(difference.count) elements are not what they should be")
                break
            }
            if !isExact, !(difference.relativeError <= Self.bound) {
                problem = (tensor.name, "its relative error is \(difference.relativeError), far more than its type explains")
                break
            }
            if isExact { exact += 1 } else { lossy += 1 }
            if difference.relativeError > worst?.error ?? 0 { worst = (tensor.name, difference.relativeError) }
            done += tensor.count
            progress(done, total)
        }
        self.problem = problem
        self.exact = exact
        self.lossy = lossy
        self.worst = worst
    }
}
