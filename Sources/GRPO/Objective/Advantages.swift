/// What the deviations of a reward from its group's mean are divided by (`scale_rewards`).
public enum RewardScale: String, Sendable, CaseIterable {
    /// The standard deviation of the group.
    case group
    /// The standard deviation of the whole generation batch.
    case batch
    /// Nothing (Dr. GRPO).
    case none
}

/// In which order several rewards become one advantage (`multi_objective_aggregation`).
public enum RewardAggregation: String, Sendable, CaseIterable {
    /// The weighted sum of the rewards is normalised within the group.
    case sumThenNormalize = "sum_then_normalize"
    /// Each reward is normalised within the group, their weighted sum over the whole generation batch (GDPO).
    case normalizeThenSum = "normalize_then_sum"
}

/// Group-relative advantages, as TRL computes them.
public struct Advantages: Sendable {
    /// What is added to a standard deviation before dividing by it.
    public static let epsilon = 1e-4

    /// One advantage a completion; 0 for a completion that no reward function scored.
    public let values: [Double]
    /// The share of completions whose standard deviation (the one of `scale`, the group's for `none`) is zero: they teach nothing.
    public let zeroDeviationShare: Double

    /// With `sum_then_normalize`: the advantages of rewards laid out group after group, `groupSize` each; nil is a completion without a reward, which takes part in no mean.
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
            if deviation <= 1e-8 || groupSize == 1 { zeros += groupSize }
            for reward in group {
                let advantage = ((reward ?? .nan) - ofGroup.mean) / (scale == .none ? 1 : deviation + Self.epsilon)
                values.append(advantage.isNaN ? 0 : advantage)
            }
        }
        self.values = values
        zeroDeviationShare = rewards.isEmpty ? .nan : Double(zeros) / Double(rewards.count)
    }

    /// With `normalize_then_sum`: each function's rewards, laid out group after group, become z = (r - mean of the group) / (deviation + 1e-4), and
    /// A = (R - mean of the batch) / (deviation of the batch + 1e-4), where R is the weighted sum of a completion's z.
    public init(rewardsByFunction rewards: [[Double?]], weights: [Double], groupSize: Int) {
        let count = rewards.first?.count ?? 0
        precondition(rewards.count == weights.count && rewards.allSatisfy { $0.count == count }, "one weight a function, one reward a completion")
        precondition(groupSize > 0 && count.isMultiple(of: groupSize), "rewards come in whole groups")
        var sums = [Double?](repeating: nil, count: count)
        for (rewards, weight) in zip(rewards, weights) {
            for start in stride(from: 0, to: count, by: groupSize) {
                let ofGroup = Statistics(rewards[start..<start + groupSize])
                for index in start..<start + groupSize {
                    guard let reward = rewards[index] else { continue }
                    let normalized = (reward - ofGroup.mean) / (ofGroup.deviation + Self.epsilon)
                    sums[index] = (sums[index] ?? 0) + (normalized.isNaN ? 0 : weight * normalized)
                }
            }
        }
        let ofBatch = Statistics(sums)
        values = sums.map { sum in
            let advantage = ((sum ?? .nan) - ofBatch.mean) / (ofBatch.deviation + Self.epsilon)
            return advantage.isNaN ? 0 : advantage
        }
        zeroDeviationShare = count == 0 ? .nan : ofBatch.deviation <= 1e-8 ? 1 : 0
    }
}

extension Advantages {
    /// The advantages that a configuration asks for; `order` lists the completions group after group.
    init(_ table: WeightedRewards.Table, order: [Int], groupSize: Int, _ configuration: GRPOConfiguration) {
        switch configuration.rewardAggregation {
        case .sumThenNormalize: self.init(rewards: order.map { table.totals[$0] }, groupSize: groupSize, scale: configuration.scaleRewards)
        case .normalizeThenSum:
            self.init(
                rewardsByFunction: table.values.map { rewards in order.map { rewards[$0] } }, weights: table.weights, groupSize: groupSize)
        }
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
        // From the first value on, so that equal values have exactly that mean and no deviation.
        let first = present.first ?? .nan
        let mean = first + present.reduce(0) { $0 + ($1 - first) } / count
        self.mean = mean
        let squares = present.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
        deviation = present.count < 2 ? .nan : (squares / (count - 1)).squareRoot()
    }
}
