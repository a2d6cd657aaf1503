import Foundation
import GRPO
import JSON
import Testing

/// What TRL's own functions and open-r1's formulas say of random completions (scripts/goldens/rewards.py).
@Suite struct RewardGoldenTests {
    private static let records: [JSONValue] = {
        let url = Bundle.module.url(forResource: "rewards", withExtension: "json", subdirectory: "Goldens")
        return (try? JSONValue.parse(contentsOf: url?.path ?? "", limits: JSONLimits()))?.array ?? []
    }()

    @Test("every built-in of TRL and open-r1 says what theirs says, the regex reward what Python's re.search says")
    func goldens() throws {
        #expect(Self.records.count > 50)
        for record in Self.records { try check(record) }
    }

    private func check(_ record: JSONValue) throws {
        let reward = try #require(record["reward"]?.string)
        let completions = try #require(record["completions"]?.array).compactMap(\.string)
        var configuration = GRPOConfiguration()
        configuration.rewardFunctions = [reward]
        let parameters = try #require(record["parameters"]?.object).members
        _ = try configuration.apply(parameters.map { .init(key: $0.key, values: [$0.value.string ?? $0.value.serialized()]) })
        let columns = try #require(record["columns"]?.object).members
        let batch = RewardBatch(
            prompts: completions.map { _ in .text("q") }, completions: completions,
            completionIDs: try #require(record["completion_ids"]?.array).map { ($0.array ?? []).compactMap { $0.int.map(Int32.init) } },
            columns: completions.indices.map { row in JSONObject(columns.map { ($0.key, $0.value.array?[row] ?? .null) }) })
        let rewards = try WeightedRewards(configuration).evaluate(batch).values[0]
        let expected = try #require(record["rewards"]?.array)
        for (row, (found, wanted)) in zip(rewards, expected).enumerated() {
            let same = found == nil ? wanted.isNull : abs(found! - (wanted.double ?? .nan)) < 1e-12
            #expect(same, "\(reward) \(parameters) of \(completions[row]), \(batch.columns[row]): \(String(describing: found)), not \(wanted)")
        }
        #expect(rewards.count == expected.count)
    }
}
