internal import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The learning rate of every optimizer step, as transformers computes it.
public struct LearningRateSchedule: Sendable {
    /// What the learning rate does after the warm-up (`lr_scheduler_type`).
    public enum Kind: String, Sendable, CaseIterable {
        /// Falls in a straight line to 0 after the last step.
        case linear
        /// Falls along half a cosine to 0; `num_cycles` is the number of waves, 0.5.
        case cosine
        /// Falls along a cosine to 0, `num_cycles` times from the peak.
        case cosineWithRestarts = "cosine_with_restarts"
        /// Falls along half a cosine to `min_lr`, or to the share `min_lr_rate` of the peak.
        case cosineWithMinimum = "cosine_with_min_lr"
        /// Falls to `lr_end` along the power `power` of what is left.
        case polynomial
        /// Stays at the peak; there is no warm-up.
        case constant
        /// Stays at the peak after the warm-up.
        case constantWithWarmup = "constant_with_warmup"
        /// Falls with the square root of the steps, counted in `timescale` (the warm-up's length, or 10000).
        case inverseSquareRoot = "inverse_sqrt"
        /// As `cosine_with_min_lr`, a step ahead of it, so that the first step moves the weights; the warm-up begins at the share `warmup_lr_rate`.
        case cosineWarmupWithMinimum = "cosine_warmup_with_min_lr"
        /// Stays at the peak after the warm-up for `num_stable_steps` (what the others leave), then falls over `num_decay_steps` to the share
        /// `min_lr_ratio`; `warmup_type` and `decay_type` are linear, cosine or 1-sqrt.
        case warmupStableDecay = "warmup_stable_decay"

        /// What `lr_scheduler_kwargs` may set.
        var arguments: [String] {
            switch self {
            case .linear, .constant, .constantWithWarmup: []
            case .cosine, .cosineWithRestarts: ["num_cycles"]
            case .cosineWithMinimum: ["num_cycles", "min_lr", "min_lr_rate"]
            case .polynomial: ["lr_end", "power"]
            case .inverseSquareRoot: ["timescale"]
            case .cosineWarmupWithMinimum: ["num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"]
            case .warmupStableDecay: ["num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles"]
            }
        }
    }

    /// What it does after the warm-up.
    public let kind: Kind
    /// The highest learning rate.
    public let peak: Double
    /// Steps of warm-up.
    public let warmupSteps: Int
    /// Optimizer steps of the run.
    public let totalSteps: Int
    private let arguments: [String: Double]
    /// `warmup_type` and `decay_type`.
    private let ramps: [String: Ramp]

    /// How `warmup_stable_decay` goes from 0 to 1, or back.
    private enum Ramp: String {
        case linear, cosine
        case squareRoot = "1-sqrt"
    }

    /// `warmupSteps` of 1 or more counts steps, below 1 (and above 0) it is a share of all; at 0 `warmupRatio` is the share.
    /// - Throws: `ConfigurationError` for arguments that the kind does not have, or that are no numbers it can use.
    public init(
        kind: Kind, peak: Double, warmupSteps: Double = 0, warmupRatio: Double = 0, arguments: KeywordArguments = .init(), totalSteps: Int
    ) throws(ConfigurationError) {
        self.kind = kind
        self.peak = peak
        self.totalSteps = totalSteps
        let share = warmupSteps > 0 ? warmupSteps : warmupRatio
        self.warmupSteps = warmupSteps >= 1 ? Int(warmupSteps) : Int((Double(totalSteps) * share).rounded(.up))
        func fail(_ message: String) -> ConfigurationError { ConfigurationError(message: "lr_scheduler_kwargs: \(message)") }
        if let unknown = arguments.unknown(among: kind.arguments) {
            let known = kind.arguments.isEmpty ? "nothing" : kind.arguments.joined(separator: ", ")
            throw fail("found '\(unknown)', expected \(known) with lr_scheduler_type \(kind.rawValue)")
        }
        var numbers: [String: Double] = [:]
        var ramps: [String: Ramp] = [:]
        for (name, value) in arguments.members where !value.isNull {
            if name.hasSuffix("_type") {
                guard let ramp = value.string.flatMap(Ramp.init(rawValue:)) else {
                    throw fail("\(name) is \(value.serialized()), expected linear, cosine or 1-sqrt")
                }
                ramps[name] = ramp
                continue
            }
            guard let number = value.double, number >= 0 else { throw fail("\(name) is \(value.serialized()), expected a number of at least 0") }
            numbers[name] = number
        }
        if kind == .warmupStableDecay, numbers["num_decay_steps"] == nil {
            throw fail("expected num_decay_steps with lr_scheduler_type \(kind.rawValue)")
        }
        if kind == .cosineWithMinimum || kind == .cosineWarmupWithMinimum {
            guard (numbers["min_lr"] == nil) != (numbers["min_lr_rate"] == nil) else { throw fail("expected one of min_lr and min_lr_rate") }
        }
        if kind == .polynomial {
            guard numbers["lr_end"] ?? 1e-7 < peak else { throw fail("lr_end is \(numbers["lr_end"] ?? 1e-7), expected less than learning_rate") }
        }
        self.arguments = numbers
        self.ramps = ramps
    }

    /// The learning rate with which step `step` (from 0) changes the weights. With a warm-up the first one is 0, as in transformers.
    public func learningRate(at step: Int) -> Double {
        if kind == .warmupStableDecay { return peak * stableDecay(at: step) }
        if kind == .cosineWarmupWithMinimum { return peak * warmedCosine(at: step) }
        if kind != .constant && step < warmupSteps { return peak * (Double(step) / Double(max(1, warmupSteps))) }
        let progress = Double(step - warmupSteps) / Double(max(1, totalSteps - warmupSteps))
        func cosine(_ waves: Double) -> Double { 0.5 * (1 + cos(Double.pi * waves * 2 * progress)) }
        switch kind {
        case .linear: return peak * max(0, Double(totalSteps - step) / Double(max(1, totalSteps - warmupSteps)))
        case .cosine: return peak * max(0, cosine(arguments["num_cycles"] ?? 0.5))
        case .cosineWithRestarts:
            let cycle = ((arguments["num_cycles"] ?? 1) * progress).truncatingRemainder(dividingBy: 1)
            return progress >= 1 ? 0 : peak * max(0, 0.5 * (1 + cos(Double.pi * cycle)))
        case .cosineWithMinimum:
            let least = arguments["min_lr_rate"] ?? (arguments["min_lr"] ?? 0) / peak
            return peak * max(0, cosine(arguments["num_cycles"] ?? 0.5) * (1 - least) + least)
        case .polynomial:
            let end = arguments["lr_end"] ?? 1e-7
            return step > totalSteps ? end : (peak - end) * pow(1 - progress, arguments["power"] ?? 1) + end
        case .constant, .constantWithWarmup, .cosineWarmupWithMinimum, .warmupStableDecay: return peak
        case .inverseSquareRoot:
            let scale = arguments["timescale"] ?? Double(warmupSteps == 0 ? 10_000 : warmupSteps)
            return peak / ((Double(step - warmupSteps) + scale) / scale).squareRoot()
        }
    }

    /// transformers' get_cosine_with_min_lr_schedule_with_warmup_lr_rate, as a share of the peak.
    private func warmedCosine(at step: Int) -> Double {
        let (step, warmup) = (Double(step), Double(warmupSteps))
        if step < warmup {
            guard let first = arguments["warmup_lr_rate"] else { return (step + 1) / max(1, warmup) }
            return first + (1 - first) * step / max(1, warmup - 1)
        }
        let progress = (step - warmup + 1) / max(1, Double(totalSteps) - warmup)
        let least = arguments["min_lr_rate"] ?? (arguments["min_lr"] ?? 0) / peak
        return max(0, 0.5 * (1 + cos(Double.pi * (arguments["num_cycles"] ?? 0.5) * 2 * progress)) * (1 - least) + least)
    }

    /// transformers' get_wsd_schedule, as a share of the peak.
    private func stableDecay(at step: Int) -> Double {
        let (step, warmup) = (Double(step), Double(warmupSteps))
        let least = arguments["min_lr_ratio"] ?? 0
        let decaySteps = (arguments["num_decay_steps"] ?? 0).rounded(.down)
        let decayStart = warmup + (arguments["num_stable_steps"]?.rounded(.down) ?? Double(totalSteps) - warmup - decaySteps)
        if step < warmup {
            let progress = step / max(1, warmup)
            let share =
                switch ramps["warmup_type"] ?? .linear {
                case .linear: progress
                case .cosine: 0.5 * (1 - cos(Double.pi * progress))
                case .squareRoot: 1 - (1 - progress).squareRoot()
                }
            return max(0, share * (1 - least) + least)
        }
        if step < decayStart { return 1 }
        guard step < decayStart + decaySteps else { return least }
        let progress = (step - decayStart) / max(1, decaySteps)
        let share =
            switch ramps["decay_type"] ?? .cosine {
            case .linear: 1 - progress
            case .cosine: 0.5 * (1 + cos(Double.pi * (arguments["num_cycles"] ?? 0.5) * 2 * progress))
            case .squareRoot: 1 - progress.squareRoot()
            }
        return max(0, share * (1 - least) + least)
    }
}
