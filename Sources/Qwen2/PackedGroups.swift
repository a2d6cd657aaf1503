import CKernels

/// The row of every token of a group that is fed: its prompt's, and of its completions, the empty ones included, all but the last,
/// whose successor nobody asks for.
struct GroupRows: Equatable {
    var prompt: [Int32]
    var completions: [[Int32]] = []
}

/// Groups laid out without padding: the tokens with which all prompts begin, then each group's prompt behind them and its completions.
struct PackedGroups {
    private(set) var rows = DecoderRows()
    private(set) var groups: [GroupRows] = []
    /// For every completion token, group by group and completion by completion: the row that predicts it, and its id.
    private(set) var predictors: [Int32] = []
    private(set) var targets: [Int32] = []

    /// Lays groups out with the first `shared` tokens of their prompts, which are the same, only once.
    init(_ groups: [TokenGroup], shared: Int) {
        for group in groups {
            let prefix = self.groups.first?.prompt.prefix(shared) ?? []
            var members = GroupRows(prompt: Array(prefix) + feed(group.prompt.dropFirst(prefix.count), at: prefix.count))
            for completion in group.completions {
                let own = feed(completion.dropLast(), at: group.prompt.count)
                members.completions.append(own)
                if !completion.isEmpty { predictors += members.prompt.suffix(1) + own }
                targets += completion
            }
            self.groups.append(members)
        }
        rows.keys = .init(repeating: ck_keys(), count: rows.count)
        rows.places = [(0, 0, rows.count)]
        for (index, group) in self.groups.enumerated() { placeKeys(group, shared: index == 0 ? 0 : shared) }
    }

    /// Lays groups out with what all their prompts begin with only once.
    init(_ groups: [TokenGroup]) { self.init(groups, shared: sharedPrefix(groups.map(\.prompt))) }

    /// For each row, the row that the same token has elsewhere.
    func order(_ elsewhere: [GroupRows]) -> [Int32] {
        var order = [Int32](repeating: 0, count: rows.count)
        for (here, there) in zip(groups, elsewhere) {
            for (row, other) in zip(here.prompt, there.prompt) { order[Int(row)] = other }
            for (rows, others) in zip(here.completions, there.completions) {
                for (row, other) in zip(rows, others) { order[Int(row)] = other }
            }
        }
        return order
    }

    /// Adds rows for consecutive tokens of one sequence.
    private mutating func feed(_ tokens: ArraySlice<Int32>, at position: Int) -> [Int32] {
        let first = Int32(rows.count)
        rows.tokens += tokens
        rows.positions += (0..<tokens.count).map { Int32(position + $0) }
        return (0..<tokens.count).map { first + Int32($0) }
    }

    /// The place of a row's key has the row's number. But a query looks for its prompt's keys in one run, so a prompt that begins with another one's
    /// rows has all its keys once more, behind everything else.
    private mutating func placeKeys(_ group: GroupRows, shared: Int) {
        let own = group.prompt.dropFirst(shared)
        guard let first = own.first else { return }
        let start = shared > 0 ? rows.placeCount : Int(first)
        if shared > 0 { rows.places += [(0, start, shared), (Int(first), start + shared, own.count)] }
        for (i, row) in own.enumerated() { rows.keys[Int(row)] = ck_keys(start0: 0, n0: 0, start1: start, n1: shared + i + 1) }
        for completion in group.completions {
            for (i, row) in completion.enumerated() {
                rows.keys[Int(row)] = ck_keys(start0: start, n0: group.prompt.count, start1: Int(completion[0]), n1: i + 1)
            }
        }
    }
}
