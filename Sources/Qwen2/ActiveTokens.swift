/// The part of a forward pass that has a gradient: completions with a derivative that is not zero, behind their prompts.
///
/// What is left out would have added zeros, so no bit of any gradient depends on it.
struct ActiveTokens {
    private(set) var groups: [TokenGroup] = []
    /// Where the tape has their tokens.
    private(set) var rows: [GroupRows] = []
    private(set) var statistics = TokenStatistics()
    private(set) var dLogprobs: [Float] = []
    private(set) var dEntropies: [Float]?

    init(_ pass: ForwardPass, dLogprobs all: [Float], dEntropies allEntropies: [Float]?) {
        dEntropies = allEntropies.map { _ in [] }
        var token = 0
        for (group, groupRows) in zip(pass.groups, pass.rows) {
            var kept = (TokenGroup(prompt: group.prompt, completions: []), GroupRows(prompt: groupRows.prompt))
            for (completion, rows) in zip(group.completions, groupRows.completions) {
                let tokens = token..<token + completion.count
                token = tokens.upperBound
                guard all[tokens].contains(where: { $0 != 0 }) || allEntropies?[tokens].contains(where: { $0 != 0 }) ?? false else { continue }
                kept.0.completions.append(completion)
                kept.1.completions.append(rows)
                statistics.append(pass.statistics, tokens)
                dLogprobs += all[tokens]
                if let allEntropies { dEntropies? += allEntropies[tokens] }
            }
            if !kept.0.completions.isEmpty {
                groups.append(kept.0)
                rows.append(kept.1)
            }
        }
    }
}
