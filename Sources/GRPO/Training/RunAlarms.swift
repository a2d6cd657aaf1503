internal import Checkpoints
internal import Qwen2

/// Signs that a run learns nothing, or comes apart; each is told once, with what to do.
struct RunAlarms {
    /// What is looked at: means over this many generations.
    private static let window = 5

    private var told: Set<String> = []
    private var clipped: [Double] = []
    private var withoutSpread: [Double] = []
    private var rewards: [(mean: Double, deviation: Double)] = []
    private var firstEntropy: Double?

    /// Looks at a generation: the share of completions without an end token, the share of completions in groups whose rewards are all equal, the
    /// rewards, and the log line of each reward function that had nothing to say.
    mutating func noteGeneration(clipped share: Double, withoutSpread dead: Double, rewards values: [Double?], limit: Int) -> [String] {
        keep(share, in: &clipped)
        keep(dead, in: &withoutSpread)
        let statistics = Statistics(values)
        rewards = (rewards + [(statistics.mean, statistics.deviation)]).suffix(2 * Self.window)
        var alarms: [String?] = []
        if let mean = mean(clipped), mean > 0.5 {
            alarms.append(
                tell(
                    "clipped",
                    "\(percent(mean)) of the completions end at max_completion_length (\(limit)) without an end token, so that their answers are "
                        + "cut off: raise max_completion_length, ask for shorter answers, or set mask_truncated_completions"))
        }
        if let mean = mean(withoutSpread), mean > 0.8 {
            alarms.append(
                tell(
                    "spread",
                    "in \(percent(mean)) of the groups all rewards are equal, which teaches nothing: the prompts are too easy or too hard for this "
                        + "model, or the reward too coarse; add a reward with degrees, raise num_generations or temperature, or select prompts"))
        }
        if rewards.count == 2 * Self.window, let first = rewards.first, rewards.allSatisfy({ $0.mean == first.mean && !($0.deviation > 0) }) {
            alarms.append(
                tell(
                    "constant",
                    "the reward has been \(first.mean) for every completion of \(rewards.count) generations: look at a file under completions/ and "
                        + "at what the reward function expects"))
        }
        if rewards.count >= Self.window, rewards.suffix(Self.window).allSatisfy({ $0.mean.isNaN }) {
            alarms.append(tell("silent", "no reward function has scored any completion of \(Self.window) generations: nothing is learned"))
        }
        return alarms.compactMap { $0 }
    }

    /// Looks at an optimizer step: the mean entropy of its tokens, its KL estimate (nil without a reference), and whether its gradient was finite.
    mutating func noteStep(entropy: Double, kl: Double?, isFinite: Bool) -> [String] {
        var alarms: [String?] = []
        if !isFinite {
            alarms.append(
                tell(
                    "gradient",
                    "the gradient is not finite: the step is skipped (counted as skipped_steps); if it goes on, lower learning_rate or max_grad_norm")
            )
            return alarms.compactMap { $0 }
        }
        let first = firstEntropy ?? entropy
        if !entropy.isNaN { firstEntropy = first }
        if entropy < 0.05 * first {
            alarms.append(
                tell(
                    "collapse",
                    "the entropy has fallen from \(rounded(first)) to \(rounded(entropy)) nats a token: the completions are becoming all alike; lower "
                        + "learning_rate, raise epsilon_high, or set entropy_coef or beta"))
        }
        if entropy > 3 * first && entropy > first + 1 {
            alarms.append(
                tell(
                    "explosion",
                    "the entropy has risen from \(rounded(first)) to \(rounded(entropy)) nats a token: the model is coming apart; lower learning_rate, "
                        + "or set beta"))
        }
        if let kl, kl > 10 {
            alarms.append(
                tell("kl", "the policy is \(rounded(kl)) nats a token away from the reference: lower learning_rate or raise beta"))
        }
        return alarms.compactMap { $0 }
    }

    /// Whether all steps together are too small for weights that are rounded to BF16 to show: below half a rounding step of a typical weight.
    static func learningRate(_ schedule: LearningRateSchedule, model: Qwen2Model) -> String? {
        // An adapter begins at zero, where BF16 shows every step.
        guard model.computeType == .bfloat16, model.adapter == nil, schedule.peak > 0 else { return nil }
        let total = (0..<schedule.totalSteps).reduce(0) { $0 + schedule.learningRate(at: $1) }
        let matrices = model.parameters.filter { $0.shape.count > 1 && $0.name.contains("layers.") }
        let (sum, count) = matrices.reduce((0.0, 0)) { result, parameter in
            // The first row of each tells enough.
            var row = [Float](repeating: 0, count: parameter.shape[1])
            row.withUnsafeMutableBytes { try? model.read(parameter.name, rows: 0..<1, as: .float32, into: $0) }
            return (result.0 + row.reduce(0.0) { $0 + Double(abs($1)) }, result.1 + row.count)
        }
        // AdamW moves a weight by at most about the learning rate a step; BF16 has 8 bits, half a step of a weight w is w / 512.
        let typical = sum / Double(max(count, 1))
        guard count > 0, total < typical / 512 else { return nil }
        return
            "learning_rate is so small that all \(schedule.totalSteps) steps together move a weight by at most \(total), while a typical one, \(Float(typical)), "
            + "changes in BF16 only from \(Float(typical / 512)) on: the model will hardly change; raise learning_rate or the number of steps"
    }

    private mutating func tell(_ name: String, _ text: String) -> String? { told.insert(name).inserted ? text : nil }

    private func keep(_ value: Double, in values: inout [Double]) { values = (values + [value]).suffix(Self.window) }

    private func mean(_ values: [Double]) -> Double? { values.count < Self.window ? nil : values.reduce(0, +) / Double(values.count) }

    private func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }

    private func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}
