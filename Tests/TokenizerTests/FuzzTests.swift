import Foundation
import JSON
import Testing
import Tokenizer

/// A short run of what `scripts/fuzz tokenizer` does for longer, under sanitizers.
@Suite struct FuzzTests {
    @Test func damagedFilesAreRefusedOrWork() throws {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Goldens")
        let families = try String(contentsOf: folder.appendingPathComponent("families.golden.json"), encoding: .utf8).utf8
            .split(separator: UInt8(ascii: "\n")).map { try JSONValue.parse(Array($0), source: "golden") }
        let seeds = families.compactMap { $0["tokenizer"].map { Array($0.serialized().utf8) } }
        try #require(seeds.count > 5)
        var fuzzing = TokenizerFuzzing(random: SeededGenerator(state: 1))
        for turn in 0..<1500 {
            let file = fuzzing.mutation(of: seeds.randomElement(using: &fuzzing.random) ?? [])
            let time = try ContinuousClock().measure { try fuzzing.use(file) }
            #expect(time < .seconds(10), "turn \(turn)")
        }
        #expect(fuzzing.loaded > 100)
    }
}
