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

/// How many tokens all the prompts begin with, each keeping its last one for itself; 0 for a single prompt.
func sharedPrefix(_ prompts: [[Int32]]) -> Int {
    guard prompts.count > 1, let first = prompts.first else { return 0 }
    return prompts.reduce(first.count - 1) { shared, prompt in
        zip(first.prefix(shared), prompt.dropLast()).prefix { $0 == $1 }.count
    }
}
