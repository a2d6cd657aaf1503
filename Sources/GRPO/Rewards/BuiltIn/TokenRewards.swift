// TRL's rewards that look at token ids only.

extension RewardFunction where Self == ClosureReward {
    /// TRL's `repetition_penalty_reward`: `maxPenalty` (at most 0) times the share of n-grams of tokens that have been there before.
    ///
    /// (1 - unique / total) p, "Demystifying Long Chain-of-Thought Reasoning" (2025), appendix C.2; 0 for completions shorter than an n-gram.
    static func repetitionPenalty(size: Int, maxPenalty: Double) -> Self {
        ClosureReward("repetition_penalty_reward") { batch in
            batch.completionIDs.map { ids in
                guard ids.count >= size else { return 0 }
                let total = ids.count - size + 1
                let unique = Set((0..<total).map { ids[$0..<$0 + size] }).count
                return unique == total ? 0 : (1 - Double(unique) / Double(total)) * maxPenalty
            }
        }
    }

    /// TRL's `soft_overlong_punishment_reward`: 0 up to `maxLength - cache` tokens, from there down to -1 at `maxLength`, and -1 beyond.
    ///
    /// Equation 13 of DAPO (Yu et al. 2025).
    static func softOverlongPunishment(maxLength: Int, cache: Int) -> Self {
        ClosureReward("soft_overlong_punishment_reward") { batch in
            batch.completionIDs.map { ids in
                if ids.count <= maxLength - cache { return 0 }
                return ids.count > maxLength ? -1 : Double(maxLength - cache - ids.count) / Double(cache)
            }
        }
    }
}
