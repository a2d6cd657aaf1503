internal import Qwen2

/// What `beta` holds the policy to.
enum ReferencePolicy {
    /// A model of its own.
    case model(Qwen2Model)
    /// The policy itself with the adapter that it began with; without one where that was new, and changed nothing.
    case policy(ModelAdapter?)
}

extension GRPOTrainer {
    /// Log-probabilities of every completion's tokens under the reference; nil without one.
    func referenceLogps(of rollouts: [Rollout], groupSize: Int) -> [[Float]]? {
        guard configuration.beta != 0 else { return nil }
        switch reference {
        case .model(let model): return logps(of: rollouts, under: model, groupSize: groupSize)
        case .policy(let adapter): return policy.model.with(adapter) { logps(of: rollouts, under: policy.model, groupSize: groupSize) }
        case nil: return nil
        }
    }

    /// Lets the reference follow the policy (`sync_ref_model`), every `ref_model_sync_steps` steps.
    func syncReference(after step: Int) {
        guard configuration.syncsReference, step % configuration.referenceSyncSteps == 0, case .model(let model) = reference else { return }
        model.mix(policy.model, share: Float(configuration.referenceMixupAlpha))
    }
}
