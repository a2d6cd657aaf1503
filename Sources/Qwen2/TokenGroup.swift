import CKernels

/// One prompt and its completions: the unit that GRPO compares, and that every pass runs with the prompt only once.
public struct TokenGroup: Sendable, Equatable {
    /// The prompt's ids; at least one.
    public var prompt: [Int32]
    /// The ids that follow it, one array a completion.
    public var completions: [[Int32]]

    /// A group.
    public init(prompt: [Int32], completions: [[Int32]]) {
        self.prompt = prompt
        self.completions = completions
    }
}

/// Groups laid out without padding: each prompt's tokens, then its completions' tokens but the last, whose successor nobody asks for.
struct PackedGroups {
    var rows = DecoderRows()
    /// Rows [sets[g], sets[g + 1]) are group g.
    var sets: [Int] = [0]
    /// For every completion token, group by group and completion by completion: the row that predicts it, and its id.
    var predictors: [Int32] = []
    var targets: [Int32] = []

    init(_ groups: [TokenGroup]) {
        for group in groups {
            let start = rows.count
            rows.tokens += group.prompt
            for i in group.prompt.indices {
                rows.positions.append(Int32(i))
                rows.keys.append(ck_keys(start0: 0, n0: 0, start1: start, n1: i + 1))
            }
            for completion in group.completions where !completion.isEmpty {
                let first = rows.count
                predictors.append(Int32(start + group.prompt.count - 1))
                for (i, token) in completion.dropLast().enumerated() {
                    predictors.append(Int32(rows.count))
                    rows.tokens.append(token)
                    rows.positions.append(Int32(group.prompt.count + i))
                    rows.keys.append(ck_keys(start0: start, n0: group.prompt.count, start1: first, n1: i + 1))
                }
                targets += completion
            }
            sets.append(rows.count)
        }
        rows.places = [(0, 0, rows.count)]
    }
}
