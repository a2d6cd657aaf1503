/// The nearer a completion's length to the ideal one, the better: -|ideal - length|, in Unicode scalars as Python's `len` counts.
public struct LengthReward: RewardFunction {
    /// `length`
    public let name = "length"
    /// The length wanted.
    public let ideal: Int

    /// A reward for texts of `ideal` characters.
    public init(ideal: Int) { self.ideal = ideal }

    /// 0 for the ideal length, less for every character away from it.
    public func rewards(for batch: RewardBatch) -> [Double?] {
        batch.completions.map { -abs(Double(ideal) - Double($0.unicodeScalars.count)) }
    }
}
