/// The part of a forward pass that has a gradient: completions with a derivative that is not zero, behind their prompts.
///
/// What is left out would have added zeros, so no bit of any gradient depends on it.
struct ActiveTokens {
    private(set) var groups: [TokenGroup] = []
    /// Where the tape has each row of the packed groups.
    private(set) var order: [Int32] = []
    private(set) var statistics = TokenStatistics(logprobs: [], entropies: [], logSumExps: [])
    private(set) var dLogprobs: [Float] = []
    private(set) var dEntropies: [Float]?

    init(_ pass: ForwardPass, dLogprobs all: [Float], dEntropies allEntropies: [Float]?) {
        dEntropies = allEntropies.map { _ in [] }
        var (token, row) = (0, 0)
        for group in pass.groups {
            let promptRows = row..<row + group.prompt.count
            row = promptRows.upperBound
            var kept: [[Int32]] = []
            for completion in group.completions where !completion.isEmpty {
                let tokens = token..<token + completion.count
                let rows = row..<row + completion.count - 1
                (token, row) = (tokens.upperBound, rows.upperBound)
                guard all[tokens].contains(where: { $0 != 0 }) || allEntropies?[tokens].contains(where: { $0 != 0 }) ?? false else { continue }
                if kept.isEmpty { order += pass.order[promptRows] }
                kept.append(completion)
                order += pass.order[rows]
                statistics.logprobs += pass.statistics.logprobs[tokens]
                statistics.entropies += pass.statistics.entropies[tokens]
                statistics.logSumExps += pass.statistics.logSumExps[tokens]
                dLogprobs += all[tokens]
                if let allEntropies { dEntropies? += allEntropies[tokens] }
            }
            if !kept.isEmpty { groups.append(TokenGroup(prompt: group.prompt, completions: kept)) }
        }
    }
}
