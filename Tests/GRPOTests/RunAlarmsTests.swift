import Testing

@testable import GRPO

@Suite struct RunAlarmsTests {
    private func alarms(_ generations: Int, clipped: Double = 0, dead: Double = 0, rewards: [Double?] = [0, 1]) -> [String] {
        var alarms = RunAlarms()
        return (0..<generations).flatMap { _ in alarms.noteGeneration(clipped: clipped, withoutSpread: dead, rewards: rewards, limit: 64) }
    }

    @Test("each alarm comes once, after enough generations, with a remedy")
    func once() {
        #expect(alarms(20).isEmpty)
        #expect(alarms(4, clipped: 0.9, dead: 1).isEmpty)
        let clipped = alarms(20, clipped: 0.9)
        #expect(clipped.count == 1 && clipped[0].contains("90 %") && clipped[0].contains("raise max_completion_length"))
        let dead = alarms(20, dead: 0.9)
        #expect(dead.count == 1 && dead[0].contains("select prompts"))
        #expect(alarms(9, rewards: [0, 0]).isEmpty)
        let constant = alarms(20, rewards: [0, 0])
        #expect(constant.count == 1 && constant[0].contains("has been 0.0 for every completion of 10 generations"))
        #expect(alarms(20, rewards: [nil, nil]).count == 1)
    }

    @Test("entropy, divergence and gradients that are not finite")
    func steps() {
        var alarms = RunAlarms()
        #expect(alarms.noteStep(entropy: 1, kl: 0.1, isFinite: true).isEmpty)
        #expect(alarms.noteStep(entropy: 0.5, kl: nil, isFinite: true).isEmpty)
        #expect(alarms.noteStep(entropy: 0.04, kl: nil, isFinite: true).first?.contains("from 1.0 to 0.04 nats") == true)
        #expect(alarms.noteStep(entropy: 0.04, kl: nil, isFinite: true).isEmpty)
        #expect(alarms.noteStep(entropy: 4, kl: 11, isFinite: true).count == 2)
        #expect(alarms.noteStep(entropy: .nan, kl: .nan, isFinite: false).first?.contains("the step is skipped") == true)
        #expect(alarms.noteStep(entropy: .nan, kl: .nan, isFinite: true).isEmpty)
    }
}
