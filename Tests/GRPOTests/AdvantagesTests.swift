import GRPO
import Testing

/// Golden numbers from TRL's formulas in plain Python.
@Suite struct AdvantagesTests {
    private func expectClose(_ found: [Double], _ expected: [Double], _ tolerance: Double = 1e-6, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) <= tolerance }, sourceLocation: sourceLocation)
    }

    @Test("one group: deviations over the Bessel-corrected standard deviation plus 1e-4")
    func oneGroup() {
        expectClose(Advantages(rewards: [1, 0], groupSize: 2, scale: .group).values, [0.7070068, -0.7070068])
        expectClose(Advantages(rewards: [1, 0, 0, 1], groupSize: 4, scale: .group).values, [0.865875, -0.865875, -0.865875, 0.865875])
        expectClose(
            Advantages(rewards: [1, 1, 1, 1, 0, 0, 0, 0], groupSize: 8, scale: .group).values,
            [0.935239, 0.935239, 0.935239, 0.935239, -0.935239, -0.935239, -0.935239, -0.935239])
    }

    @Test("two groups under the three scales")
    func scales() {
        let rewards: [Double?] = [1, 0, 0.5, 2]
        expectClose(Advantages(rewards: rewards, groupSize: 2, scale: .group).values, [0.707007, -0.707007, -0.707040, 0.707040])
        expectClose(Advantages(rewards: rewards, groupSize: 2, scale: .batch).values, [0.585471, -0.585471, -0.878207, 0.878207])
        expectClose(Advantages(rewards: rewards, groupSize: 2, scale: .none).values, [0.5, -0.5, -0.75, 0.75], 0)
    }

    @Test("a completion without a reward takes part in no mean and gets 0")
    func missingRewards() {
        let advantages = Advantages(rewards: [1, nil, 0, nil], groupSize: 4, scale: .group).values
        expectClose(advantages, [0.7070068, 0, -0.7070068, 0])
        expectClose(Advantages(rewards: [3, nil, nil, nil], groupSize: 2, scale: .group).values, [0, 0, 0, 0], 0)
    }

    @Test("groups without variance are counted, by completion; under batch it is all or nothing")
    func zeroDeviation() {
        let rewards: [Double?] = [1, 1, 0, 2]
        #expect(Advantages(rewards: rewards, groupSize: 2, scale: .group).zeroDeviationShare == 0.5)
        #expect(Advantages(rewards: rewards, groupSize: 2, scale: .none).zeroDeviationShare == 0.5)
        #expect(Advantages(rewards: rewards, groupSize: 2, scale: .batch).zeroDeviationShare == 0)
        #expect(Advantages(rewards: [1, 1, 1, 1], groupSize: 2, scale: .batch).zeroDeviationShare == 1)
        #expect(Advantages(rewards: [1, 1], groupSize: 2, scale: .group).values == [0, 0])
    }

    @Test("GDPO: every reward normalised in its group, their weighted sum over the batch")
    func normalizeThenSum() {
        // The second function has one reward in the second group: no deviation, no part.
        let advantages = Advantages(rewardsByFunction: [[1, 0, 0.5, 2], [0, 1, 3, nil]], weights: [1, 0.5], groupSize: 2)
        expectClose(advantages.values, [0.5476171, -0.5476171, -1.0952857, 1.0952857])
        #expect(advantages.zeroDeviationShare == 0)
        let silent = Advantages(rewardsByFunction: [[1, nil, 3, 3], [1, nil, 2, 2]], weights: [1, 1], groupSize: 2)
        expectClose(silent.values, [0, 0, 0, 0], 0)
        #expect(silent.zeroDeviationShare == 1)
    }
}
