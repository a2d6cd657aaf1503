/// The nearer a completion's length to the ideal one, the better: -|ideal - length|, in Unicode scalars as Python's `len` counts.
public struct LengthReward: RewardFunction {
    public let name = "length"
    /// The length wanted.
    public let ideal: Int

    /// A reward for texts of `ideal` characters.
    public init(ideal: Int) { self.ideal = ideal }

    public func rewards(for batch: RewardBatch) -> [Double?] {
        batch.completions.map { -abs(Double(ideal) - Double($0.unicodeScalars.count)) }
    }
}
