import CKernels

/// The activations of a generation, so that training on its completions needs no forward pass: in `bfloat16` decoding computed what the training
/// forward would, bit for bit.
public final class RolloutTape {
    let temperature: Float
    private(set) var activations: ActivationTape?
    /// The row of each request's tokens that were fed.
    private var rows: [GroupRows]
    private var statistics: [[TokenStatistics]]
    private var logits: KeptLogits?
    /// The place of the first of the logits made last.
    private var place: Int32 = 0

    /// A tape for one call of `generate` at this temperature.
    /// - Parameters:
    ///   - completions: how many completions each request asks for.
    ///   - capacity: tokens, prompts once a request; a generation that needs more is not kept.
    ///   - logitTokens: completion tokens whose logits are kept too, the first ones of a prompt's completions once; a generation that has more keeps none.
    ///   - recomputes: as of `Qwen2Model.forward`.
    public init(_ model: Qwen2Model, completions: [Int], capacity: Int, logitTokens: Int = 0, temperature: Float, recomputes: Bool = false) {
        self.temperature = temperature
        activations = ActivationTape(
            model.configuration, model.computeType, capacity: capacity, recomputes: recomputes, memory: model.workspace.spare)
        if logitTokens > 0 {
            logits = KeptLogits(vocabulary: model.configuration.vocabularySize, capacity: logitTokens, memory: model.workspace.spare)
        }
        statistics = completions.map { .init(repeating: TokenStatistics(), count: $0) }
        rows = completions.map { GroupRows(prompt: [], completions: .init(repeating: [], count: $0)) }
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

    /// Where the logits of the next `count` rows are to be made; nil when they are not kept.
    func logitsRoom(for count: Int) -> UnsafeMutablePointer<Float>? {
        guard let room = logits?.room(for: count) else {
            logits = nil
            return nil
        }
        place = room.place
        return room.logits
    }

    /// What the sampler says of a token; `from` is the row of the logits made last that it was drawn from.
    func note(_ drawn: Sampler.Drawn, _ row: Int, from logits: Int, request: Int, completion: Int) {
        statistics[request][completion].logprobs.append(drawn.logprobs[row])
        statistics[request][completion].entropies.append(drawn.entropies[row])
        statistics[request][completion].logSumExps.append(drawn.logSumExps[row])
        statistics[request][completion].logitPlaces.append(place + Int32(logits))
    }

    /// The forward pass of some of the completions, as `Qwen2Model.forward` would give it.
    /// - Parameter members: for each group the request and the completions that it consists of.
    public func pass(_ groups: [TokenGroup], members: [(request: Int, completions: [Int])]) -> ForwardPass? {
        guard let activations else { return nil }
        var all = TokenStatistics()
        for member in members {
            for completion in member.completions {
                var own = statistics[member.request][completion]
                if logits == nil { own.logitPlaces = [] }
                all.append(own, own.logprobs.indices)
            }
        }
        let fed = members.map { member in
            GroupRows(prompt: rows[member.request].prompt, completions: member.completions.map { rows[member.request].completions[$0] })
        }
        return ForwardPass(statistics: all, groups: groups, temperature: temperature, tape: activations, rows: fed, logits: logits)
    }
}
