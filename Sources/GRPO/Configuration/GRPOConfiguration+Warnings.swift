extension GRPOConfiguration {
    /// What is allowed and probably not meant, one line each: combinations that TRL's users fell for.
    public var warnings: [String] {
        var warnings: [String] = []
        let high = epsilonHigh ?? epsilon
        if lossType == .cispo && high < 1 {
            warnings.append(
                "loss_type cispo cuts every ratio at epsilon_high, which is \(high): that scales all gradients by \(high) and ignores the ratio. "
                    + "Set epsilon_high above 1; ScaleRL has 5.0")
        }
        if lossType == .luspo && importanceSamplingLevel != .sequence {
            warnings.append("loss_type luspo is meant for importance_sampling_level sequence, it is token")
        }
        if lossType == .vespo && importanceSamplingLevel != .token {
            warnings.append("loss_type vespo has a ratio of the whole completion of its own: leave importance_sampling_level at token")
        }
        if importanceSamplingLevel == .sequence && [.bnpo, .drGRPO, .dapo, .cispo].contains(lossType) {
            warnings.append(
                "importance_sampling_level sequence with loss_type \(lossType.rawValue) weights every completion by its length; "
                    + "GSPO has loss_type grpo")
        }
        if rewardAggregation == .normalizeThenSum && scaleRewards != .group {
            warnings.append("scale_rewards has no effect with multi_objective_aggregation normalize_then_sum")
        }
        let keys = ["lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_rslora"]
        if !usesLoRA, let key = Self.fields.first(where: { keys.contains($0.name) && $0.yaml(self) != $0.defaultYAML }) {
            warnings.append("\(key.name) is set and use_peft is not: all weights are trained")
        }
        return warnings
    }
}
