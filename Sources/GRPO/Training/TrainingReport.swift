public import JSON

/// What a trainer is doing, for whoever shows it.
public enum TrainingProgress: Sendable {
    /// Completions are being generated for an optimizer step: tokens so far, completions not ended of how many.
    case generating(step: Int, tokens: Int, active: Int, completions: Int)
    /// The completions of a generation, with their rewards and advantages.
    case judged([Rollout])
    /// Micro-batches of an optimizer step that are done.
    case training(step: Int, microBatch: Int, of: Int)
    /// Held-out prompts that have been completed and judged.
    case evaluating(step: Int, done: Int, of: Int)
    /// A line of metrics, every `logging_steps` steps, and one of each evaluation (`eval_...`): TRL's names, and the seconds of each phase under `time/...`.
    case logged(step: Int, metrics: JSONObject)
    /// A checkpoint or the final model is being written: bytes of how many.
    case saving(path: String, bytes: Int, of: Int)
    /// The trained model is being written in another format (`export`): how much is done, of how much.
    case exporting(path: String, done: Int, of: Int)
}

/// Seconds of each phase of an optimizer step.
struct PhaseClock {
    private var last = ContinuousClock.now
    private(set) var seconds: [(name: String, value: Double)] = []

    /// Adds the time since the last call to a phase.
    mutating func end(_ phase: String) {
        let now = ContinuousClock.now
        let elapsed = (now - last) / .seconds(1)
        last = now
        if let place = seconds.firstIndex(where: { $0.name == phase }) {
            seconds[place].value += elapsed
        } else {
            seconds.append((phase, elapsed))
        }
    }
}
