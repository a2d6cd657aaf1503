internal import Qwen2

/// Completions that are forwarded and backpropagated together, each prompt among them once.
struct MicroBatch {
    /// The completions' places in the generation batch, in the order of `groups`.
    let rollouts: [Int]
    let groups: [TokenGroup]

    /// Gathers the completions of one group behind one copy of their prompt.
    init(_ rollouts: [Rollout], _ indices: Range<Int>) {
        var order: [Int] = []
        var members: [Int: [Int]] = [:]
        for index in indices {
            let group = rollouts[index].group
            if members[group] == nil { order.append(group) }
            members[group, default: []].append(index)
        }
        let grouped = order.compactMap { members[$0] }
        self.rollouts = grouped.flatMap { $0 }
        groups = grouped.map { indices in TokenGroup(prompt: rollouts[indices[0]].promptIDs, completions: indices.map { rollouts[$0].ids }) }
    }
}
