import Foundation
import GRPO
import JSON
import Testing

@Suite struct RepeatSamplerTests {
    @Test("every order is that of TRL's RepeatSampler, over two epochs")
    func ordersAreTRLs() throws {
        let path = try #require(Bundle.module.path(forResource: "Goldens/repeat_sampler", ofType: "json"))
        let cases = try #require(try JSONValue.parse(contentsOf: path).array)
        #expect(cases.count == 6)
        for golden in cases {
            func number(_ key: String) throws -> Int { try #require(golden[key]?.int) }
            var sampler = RepeatSampler(
                rows: try number("rows"), prompts: try number("prompts"), generations: try number("generations"), repeats: try number("repeats"),
                seed: UInt64(try number("seed")))
            for epoch in try #require(golden["epochs"]?.array) {
                let chunks = sampler.nextEpoch()
                #expect(sampler.indices(of: chunks) == (try #require(epoch.array)).compactMap(\.int))
            }
        }
    }

    @Test("without shuffling the file's order is kept and the incomplete chunk dropped")
    func unshuffled() {
        var sampler = RepeatSampler(rows: 7, prompts: 3, generations: 2, repeats: 4, shuffle: false, seed: 0)
        let epoch = sampler.nextEpoch()
        #expect(epoch == [[0, 1, 2], [3, 4, 5]])
        #expect(sampler.indices(of: epoch).count == 48)
        #expect(sampler.nextEpoch() == epoch)
    }

    @Test("fewer rows than a chunk give no chunk")
    func tooFewRows() {
        var sampler = RepeatSampler(rows: 2, prompts: 3, generations: 2, seed: 0)
        #expect(sampler.nextEpoch().isEmpty)
        var empty = RepeatSampler(rows: 0, prompts: 3, generations: 2, seed: 0)
        #expect(empty.nextEpoch().isEmpty)
    }

    @Test("the generator is MT19937: its 10,000th number from seed 5489 is the one of the C++ standard")
    func twister() {
        var generator = MersenneTwister(seed: 5489)
        for _ in 1..<10_000 { _ = generator.next() }
        #expect(generator.next() == 4_123_659_995)
    }
}
