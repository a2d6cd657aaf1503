/// The learning rate of every optimizer step, as transformers computes it.
public struct LearningRateSchedule: Sendable {
    /// What the learning rate does after the warm-up (`lr_scheduler_type`).
    public enum Kind: String, Sendable, CaseIterable {
        /// Falls in a straight line to 0 after the last step.
        case linear
        /// Stays at the peak; there is no warm-up.
        case constant
        /// Stays at the peak after the warm-up.
        case constantWithWarmup = "constant_with_warmup"
    }

    /// What it does after the warm-up.
    public let kind: Kind
    /// The highest learning rate.
    public let peak: Double
    /// Steps of warm-up.
    public let warmupSteps: Int
    /// Optimizer steps of the run.
    public let totalSteps: Int

    /// `warmupSteps` of 1 or more counts steps, below 1 (and above 0) it is a share of all; at 0 `warmupRatio` is the share.
    public init(kind: Kind, peak: Double, warmupSteps: Double = 0, warmupRatio: Double = 0, totalSteps: Int) {
        self.kind = kind
        self.peak = peak
        self.totalSteps = totalSteps
        let share = warmupSteps > 0 ? warmupSteps : warmupRatio
        self.warmupSteps = warmupSteps >= 1 ? Int(warmupSteps) : Int((Double(totalSteps) * share).rounded(.up))
    }

    /// The learning rate with which step `step` (from 0) changes the weights. With a warm-up the first one is 0, as in transformers.
    public func learningRate(at step: Int) -> Double {
        if kind != .constant && step < warmupSteps { return peak * (Double(step) / Double(max(1, warmupSteps))) }
        guard kind == .linear else { return peak }
        return peak * max(0, Double(totalSteps - step) / Double(max(1, totalSteps - warmupSteps)))
    }
}
