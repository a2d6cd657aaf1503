/// What a length is counted in.
public enum LengthUnit: String, Sendable, CaseIterable {
    /// Unicode scalars, as Python's `len` counts.
    case characters
    /// The completion's token ids, the end token among them.
    case tokens
}

/// The nearer a completion's length to the ideal one, the better: -|ideal - length|.
public struct LengthReward: RewardFunction {
    /// `length`
    public let name = "length"
    /// The length wanted.
    public let ideal: Int
    /// What it is counted in.
    public let unit: LengthUnit

    /// A reward for texts of `ideal` characters or tokens.
    public init(ideal: Int, unit: LengthUnit = .characters) {
        self.ideal = ideal
        self.unit = unit
    }

    /// 0 for the ideal length, less for everything away from it.
    public func rewards(for batch: RewardBatch) -> [Double?] {
        let lengths = unit == .tokens ? batch.completionIDs.map(\.count) : batch.completions.map(\.unicodeScalars.count)
        return lengths.map { -abs(Double(ideal) - Double($0)) }
    }
}
