internal import Qwen2

/// Completions that are forwarded and backpropagated together, each prompt among them once.
struct MicroBatch {
    /// The completions' places in the generation batch, in the order of `groups`.
    let rollouts: [Int]
    let groups: [TokenGroup]
    /// For each group its number in the generation batch and its completions' numbers in that group.
    let members: [(request: Int, completions: [Int])]

    /// Gathers the completions of one group behind one copy of their prompt.
    init(_ rollouts: [Rollout], _ indices: Range<Int>, generations: Int) {
        var order: [Int] = []
        var byGroup: [Int: [Int]] = [:]
        for index in indices {
            let group = rollouts[index].group
            if byGroup[group] == nil { order.append(group) }
            byGroup[group, default: []].append(index)
        }
        let grouped = order.compactMap { byGroup[$0] }
        self.rollouts = grouped.flatMap { $0 }
        groups = grouped.map { indices in TokenGroup(prompt: rollouts[indices[0]].promptIDs, completions: indices.map { rollouts[$0].ids }) }
        members = grouped.map { indices in (rollouts[indices[0]].group, indices.map { $0 % generations }) }
    }
}
