import Testing

@testable import GRPO

@Suite struct AdaptiveEntropyTests {
    @Test("a fixed coefficient applies from the first step on and stays")
    func fixed() {
        var configuration = GRPOConfiguration()
        configuration.entropyCoefficient = 0.01
        var entropy = AdaptiveEntropy(configuration)
        #expect(entropy.applied(configuration) == 0.01)
        entropy.end(sum: 100, tokens: 10, configuration)
        #expect(entropy.applied(configuration) == 0.01 && entropy.coefficient == 0.01)
    }

    @Test("an adaptive one grows below the target, shrinks above it, and is off in the step after one above it")
    func adaptive() {
        var configuration = GRPOConfiguration()
        configuration.entropyCoefficient = 0.3
        configuration.usesAdaptiveEntropy = true
        configuration.entropyCoefficientDelta = 0.25
        configuration.entropyCoefficientMax = 0.5
        configuration.entropyTarget = 2
        var entropy = AdaptiveEntropy(configuration)
        #expect(entropy.applied(configuration) == 0)
        entropy.end(sum: 20, tokens: 10, configuration)
        #expect(entropy.coefficient == 0.5 && entropy.applied(configuration) == 0.5)
        entropy.end(sum: 21, tokens: 10, configuration)
        #expect(entropy.coefficient == 0.25 && entropy.applied(configuration) == 0)
        entropy.end(sum: 30, tokens: 10, configuration)
        entropy.end(sum: 30, tokens: 10, configuration)
        #expect(entropy.coefficient == 0)
        entropy.end(sum: 0, tokens: 0, configuration)
        #expect(entropy.applied(configuration) == 0.25)
    }
}
