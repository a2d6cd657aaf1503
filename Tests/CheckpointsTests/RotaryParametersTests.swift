import JSON
import Testing

@testable import Checkpoints

/// The three spellings of the rotary embedding, in transformers' order of precedence.
@Suite struct RotaryParametersTests {
    private func parameters(_ config: JSONValue) throws -> RotaryParameters { try RotaryParameters(config, path: "model") }

    @Test func threeSpellingsSayTheSame() throws {
        #expect(try parameters([:]) == RotaryParameters(theta: 10000, scaling: .none))
        #expect(try parameters(["rope_theta": 5e5]) == RotaryParameters(theta: 5e5, scaling: .none))
        #expect(try parameters(["rope_parameters": ["rope_type": "default", "rope_theta": 5e5]]) == RotaryParameters(theta: 5e5, scaling: .none))
        let linear = RotaryParameters(theta: 1e6, scaling: .linear(factor: 2))
        #expect(try parameters(["rope_theta": 1e6, "rope_scaling": ["type": "linear", "factor": 2.0]]) == linear)
        #expect(try parameters(["rope_theta": 1e6, "rope_scaling": ["rope_type": "linear", "factor": 2]]) == linear)
        #expect(try parameters(["rope_parameters": ["rope_type": "linear", "rope_theta": 1e6, "factor": 2.0]]) == linear)
        #expect(try parameters(["rope_scaling": nil, "rope_parameters": ["rope_type": "linear", "rope_theta": 1e6, "factor": 2.0]]) == linear)
        // What lies within comes before what lies beside.
        #expect(try parameters(["rope_theta": 1, "rope_parameters": ["rope_type": "linear", "rope_theta": 1e6, "factor": 2.0]]) == linear)
        let llama3: JSONValue = [
            "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        ]
        let scaling = RotaryParameters.Scaling.llama3(factor: 32, lowFactor: 1, highFactor: 4, context: 8192)
        #expect(try parameters(["rope_theta": 5e5, "rope_scaling": llama3]) == RotaryParameters(theta: 5e5, scaling: scaling))
        #expect(try parameters(["rope_scaling": ["rope_type": "yarn"]]).scaling == .other("yarn"))
    }

    /// Llama 3.2's own numbers: the frequencies from 29 on are divided by 32, the first 15 not at all.
    @Test func llama3DividesTheLowFrequencies() throws {
        let scaling = RotaryParameters.Scaling.llama3(factor: 32, lowFactor: 1, highFactor: 4, context: 8192)
        let divisors = try #require(RotaryParameters(theta: 5e5, scaling: scaling).divisors(headSize: 64))
        #expect(divisors.count == 32)
        #expect(divisors.prefix(15).allSatisfy { $0 == 1 })
        #expect(divisors.suffix(14).allSatisfy { $0 == 32 })
        #expect(zip(divisors, divisors.dropFirst()).allSatisfy { $0 <= $1 } && divisors[15] > 1 && divisors[17] < 32)
        #expect(RotaryParameters(theta: 5e5, scaling: .none).divisors(headSize: 64) == nil)
    }

    @Test func numbersThatAreNoneAreRefused() {
        for (config, message) in [
            (["rope_theta": 0], "`rope_theta` is 0"), (["rope_theta": "1e4"], "`rope_theta` is \"1e4\""),
            (["rope_scaling": ["rope_type": "linear"]], "`rope_scaling.factor` is missing"),
            (["rope_parameters": ["rope_type": "linear", "factor": -1]], "`rope_parameters.factor` is -1"),
            (
                ["rope_scaling": ["rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4]],
                "`low_freq_factor` is 4.0, expected less than `high_freq_factor`"
            ),
        ] as [(JSONValue, String)] {
            let error = #expect(throws: CheckpointError.self) { try parameters(config) }
            #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        }
    }
}
