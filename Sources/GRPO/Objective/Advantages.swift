/// What the deviations of a reward from its group's mean are divided by (`scale_rewards`).
public enum RewardScale: String, Sendable, CaseIterable {
    /// The standard deviation of the group.
    case group
    /// The standard deviation of the whole generation batch.
    case batch
    /// Nothing (Dr. GRPO).
    case none
}

/// Group-relative advantages, as TRL computes them with `multi_objective_aggregation: sum_then_normalize`.
public struct Advantages: Sendable {
    /// What is added to a standard deviation before dividing by it.
    public static let epsilon = 1e-4

    /// One advantage a completion; 0 for a completion that no reward function scored.
    public let values: [Double]
    /// The share of completions whose standard deviation (the one of `scale`, the group's for `none`) is zero: they teach nothing.
    public let zeroDeviationShare: Double

    /// The advantages of rewards laid out group after group, `groupSize` each; nil is a completion without a reward, which takes part in no mean.
    ///
    /// A = (r - mean of the group) / (deviation + 1e-4). The deviation is Bessel-corrected; with fewer than two rewards there is none and A is 0.
    public init(rewards: [Double?], groupSize: Int, scale: RewardScale) {
        precondition(groupSize > 0 && rewards.count.isMultiple(of: groupSize), "rewards come in whole groups")
        let ofBatch = Statistics(rewards)
        var values: [Double] = []
        var zeros = 0
        for start in stride(from: 0, to: rewards.count, by: groupSize) {
            let group = rewards[start..<start + groupSize]
            let ofGroup = Statistics(group)
            let deviation = scale == .batch ? ofBatch.deviation : ofGroup.deviation
            if deviation <= 1e-8 { zeros += groupSize }
            for reward in group {
                let advantage = ((reward ?? .nan) - ofGroup.mean) / (scale == .none ? 1 : deviation + Self.epsilon)
                values.append(advantage.isNaN ? 0 : advantage)
            }
        }
        self.values = values
        zeroDeviationShare = rewards.isEmpty ? .nan : Double(zeros) / Double(rewards.count)
    }
}

/// Mean and Bessel-corrected standard deviation of the values that are there.
struct Statistics {
    /// NaN without a value.
    let mean: Double
    /// NaN with fewer than two values.
    let deviation: Double

    init(_ values: some Sequence<Double?>) {
        let present = values.compactMap(\.self)
        let count = Double(present.count)
        let mean = present.reduce(0, +) / count
        self.mean = mean
        let squares = present.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        deviation = present.count < 2 ? .nan : (squares / (count - 1)).squareRoot()
    }
}
