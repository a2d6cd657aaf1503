import CKernels

/// The activations of a generation, so that training on its completions needs no forward pass: in `bfloat16` decoding computed what the training
/// forward would, bit for bit.
public final class RolloutTape {
    let temperature: Float
    private(set) var activations: ActivationTape?
    /// The row of each request's tokens that were fed.
    private var rows: [GroupRows]
    private var entropies: [[[Float]]]
    private var logSumExps: [[[Float]]]
    private var logprobs: [[[Float]]]

    /// A tape for one call of `generate` at this temperature.
    /// - Parameters:
    ///   - completions: how many completions each request asks for.
    ///   - capacity: tokens, prompts once a request; a generation that needs more is not kept.
    ///   - recomputes: as of `Qwen2Model.forward`.
    public init(_ model: Qwen2Model, completions: [Int], capacity: Int, temperature: Float, recomputes: Bool = false) {
        self.temperature = temperature
        activations = ActivationTape(
            model.configuration, model.computeType, capacity: capacity, recomputes: recomputes, memory: model.workspace.spare)
        rows = completions.map { GroupRows(prompt: [], completions: .init(repeating: [], count: $0)) }
        (entropies, logSumExps, logprobs) = completions.reduce(into: ([], [], [])) { sums, count in
            let none = [[Float]](repeating: [], count: count)
            (sums.0, sums.1, sums.2) = (sums.0 + [none], sums.1 + [none], sums.2 + [none])
        }
    }

    /// Whether everything was kept.
    public var isWhole: Bool { activations != nil }

    /// The tape for the next `count` rows, or nil when they are too many: then everything is forgotten.
    func room(for count: Int) -> ActivationTape? {
        if let activations, activations.count + count > activations.capacity { self.activations = nil }
        return activations
    }

    /// Says that a request's prompt begins with the first `shared` tokens of another one's and that the next `count` rows are the rest of it.
    func notePrompt(_ request: Int, shared: Int, with other: Int, count: Int) {
        guard let activations else { return }
        rows[request].prompt = rows[other].prompt.prefix(shared) + (0..<count).map { Int32(activations.count + $0) }
    }

    func noteTokens(_ fed: [(request: Int, completion: Int)]) {
        guard let activations else { return }
        for (row, token) in fed.enumerated() { rows[token.request].completions[token.completion].append(Int32(activations.count + row)) }
    }

    func note(_ drawn: Sampler.Drawn, _ row: Int, request: Int, completion: Int) {
        entropies[request][completion].append(drawn.entropies[row])
        logSumExps[request][completion].append(drawn.logSumExps[row])
        logprobs[request][completion].append(drawn.logprobs[row])
    }

    /// The forward pass of some of the completions, as `Qwen2Model.forward` would give it.
    /// - Parameter members: for each group the request and the completions that it consists of.
    public func pass(_ groups: [TokenGroup], members: [(request: Int, completions: [Int])]) -> ForwardPass? {
        guard let activations else { return nil }
        var statistics = TokenStatistics(logprobs: [], entropies: [], logSumExps: [])
        for member in members {
            for completion in member.completions {
                statistics.logprobs += logprobs[member.request][completion]
                statistics.entropies += entropies[member.request][completion]
                statistics.logSumExps += logSumExps[member.request][completion]
            }
        }
        let fed = members.map { member in
            GroupRows(prompt: rows[member.request].prompt, completions: member.completions.map { rows[member.request].completions[$0] })
        }
        return ForwardPass(statistics: statistics, groups: groups, temperature: temperature, tape: activations, rows: fed)
    }
}
