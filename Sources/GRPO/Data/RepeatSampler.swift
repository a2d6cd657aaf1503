/// The order in which TRL's `RepeatSampler` visits the rows of a dataset.
///
/// Every epoch: shuffle, cut into chunks of `prompts` rows, drop an incomplete last one; every chunk is visited `repeats` times, each of its
/// rows `generations` times in a row. The generator goes on from epoch to epoch, as TRL's does.
public struct RepeatSampler: Sendable {
    /// Rows in the dataset.
    public let rows: Int
    /// Different rows in a generation batch.
    public let prompts: Int
    /// Times a row follows itself (`num_generations`).
    public let generations: Int
    /// Times a chunk is visited (`num_iterations * steps_per_generation`).
    public let repeats: Int
    private var generator: MersenneTwister?

    /// A sampler at its first epoch; without `shuffle` the rows keep the file's order.
    public init(rows: Int, prompts: Int, generations: Int, repeats: Int = 1, shuffle: Bool = true, seed: UInt64) {
        self.rows = rows
        self.prompts = max(prompts, 1)
        self.generations = generations
        self.repeats = repeats
        generator = shuffle ? MersenneTwister(seed: seed) : nil
    }

    /// The next epoch's chunks: the rows of each generation batch, in order, each row once.
    public mutating func nextEpoch() -> [[Int]] {
        let order = generator?.permutation(rows) ?? Array(0..<rows)
        return stride(from: 0, through: rows - prompts, by: prompts).map { Array(order[$0..<$0 + prompts]) }
    }

    /// The same epoch as TRL's iterator yields it, row by row with every repetition.
    public func indices(of epoch: [[Int]]) -> [Int] {
        epoch.flatMap { chunk in
            let once = chunk.flatMap { repeatElement($0, count: generations) }
            return repeatElement(once, count: repeats).flatMap(\.self)
        }
    }
}
