/// What happens to groups whose rewards are all equal, and which therefore teach nothing (`zero_std_groups`).
public enum DeadGroupPolicy: String, Sendable, CaseIterable {
    /// They stay, as in TRL: their tokens count in the divisor of the loss, and the KL penalty pulls at them.
    case keep
    /// They are left out of the loss, its divisor and the penalty.
    case drop
    /// They are replaced by groups of further prompts, as DAPO's dynamic sampling does; those that are still there after
    /// `max_resample_attempts` are dropped.
    case resample
}

extension DeadGroupPolicy: ConfigurationValue {}

/// Which groups of some completions have rewards that differ.
enum GroupSpread {
    /// The numbers of the groups that teach something: two rewards at least, not all equal.
    static func live(_ rollouts: [Rollout]) -> Set<Int> {
        let groups = Dictionary(grouping: rollouts, by: \.group)
        return Set(groups.filter { Statistics($0.value.map(\.reward)).deviation > 1e-8 }.keys)
    }
}
