import CKernels

/// A prompt to be continued `count` times.
public struct GenerationRequest: Sendable {
    /// The prompt's ids; at least one.
    public var prompt: [Int32]
    /// Completions wanted.
    public var count: Int
    /// Names the random numbers of the first completion; the next ones take the numbers that follow.
    public var stream: UInt64

    /// A request.
    public init(prompt: [Int32], count: Int = 1, stream: UInt64 = 0) {
        self.prompt = prompt
        self.count = count
        self.stream = stream
    }
}

/// Why a completion ended.
public enum FinishReason: String, Sendable {
    /// An end token, or the caller's stop condition.
    case stop
    /// The limit on new tokens, or the end of the model's context.
    case length
}

/// One completion.
public struct Completion: Sendable, Equatable {
    /// Its ids, an end token included.
    public var ids: [Int32] = []
    /// The log-probability of each id in the model's distribution at the sampling temperature (1 for greedy).
    public var logprobs: [Float] = []
    /// Why it ended.
    public var finishReason = FinishReason.length
}

/// What a caller sees of a generation while it runs.
public struct GenerationProgress: Sendable {
    /// Tokens so far, of all completions.
    public var tokens: Int
    /// Completions that have not ended.
    public var active: Int
}

extension Qwen2Model {
    /// Prompt tokens that are forwarded at a time: bounds the memory of a long prompt, changes no bit.
    private static let prefillRows = 512

    /// Continues every prompt: each is prefilled once, without what it has in common with one before, and all completions are decoded as one batch
    /// that shrinks as they end.
    /// - Parameters:
    ///   - generation: the round of sampling, so that the same stream gives other tokens next time.
    ///   - tape: keeps the activations for training.
    ///   - shouldStop: asked after every token with (request, completion, its ids so far); `true` ends the completion.
    ///   - allowed: asked before every token for those that may come next; nil allows all. One of them must have a score that is finite.
    ///   - progress: called after every step.
    /// - Returns: for each request its completions.
    public func generate(
        _ requests: [GenerationRequest], _ parameters: SamplingParameters, generation: UInt32 = 0, tape: RolloutTape? = nil,
        shouldStop: ((_ request: Int, _ completion: Int, _ ids: [Int32]) -> Bool)? = nil,
        allowed: ((_ request: Int, _ completion: Int) -> TokenMask?)? = nil,
        progress: (GenerationProgress) -> Void = { _ in }
    ) -> [[Completion]] {
        let sampler = Sampler(parameters: parameters, vocabularySize: configuration.vocabularySize)
        let limits = requests.map { min(parameters.maxNewTokens, configuration.contextLength - $0.prompt.count) }
        let capacity = zip(requests, limits).reduce(0) { $0 + $1.0.prompt.count + $1.0.count * max($1.1, 0) }
        let cache = KeyValueCache(model: self, capacity: capacity)

        var results = requests.map { [Completion](repeating: Completion(), count: $0.count) }
        var active: [Sequence] = []
        var prompts: [(request: Int, place: Int)] = []
        for (index, request) in requests.enumerated() where limits[index] > 0 && request.count > 0 {
            let place = cache.reserve(request.prompt.count)
            let known = prompts.map { ($0, shared: sharedPrefix([requests[$0.request].prompt, request.prompt])) }.max { $0.shared < $1.shared }
            let shared = known?.shared ?? 0
            if let (other, _) = known { cache.copy(shared, from: other.place, to: place) }
            tape?.notePrompt(index, shared: shared, with: known?.0.request ?? index, count: request.prompt.count - shared)
            let logits = prefill(request.prompt, from: shared, at: place, cache, tape)
            prompts.append((index, place))
            for completion in 0..<request.count {
                active.append(
                    Sequence(
                        request: index, completion: completion, limit: limits[index], promptPlace: place, promptCount: request.prompt.count,
                        place: cache.reserve(limits[index]), stream: request.stream + UInt64(completion)))
            }
            // The first token of every completion comes from the same logits; each draw reads its own copy of the row's index.
            for sequence in active.indices.suffix(request.count) {
                var draw = active[sequence].draw(generation: generation, prompt: request.prompt, ids: [])
                draw.allowed = allowed?(index, active[sequence].completion)
                let drawn = sampler.sample(logits, [draw], keepsEntropy: tape != nil)
                tape?.note(drawn, 0, from: 0, request: index, completion: active[sequence].completion)
                append(drawn.tokens[0], drawn.logprobs[0], to: &active[sequence], &results, parameters, shouldStop)
            }
        }
        var total = active.count
        active.removeAll { $0.ended }
        progress(GenerationProgress(tokens: total, active: active.count))

        while !active.isEmpty {
            var rows = DecoderRows()
            for (row, sequence) in active.enumerated() {
                let done = results[sequence.request][sequence.completion].ids.count
                rows.tokens.append(sequence.last)
                rows.positions.append(Int32(sequence.promptCount + done - 1))
                rows.keys.append(ck_keys(start0: sequence.promptPlace, n0: sequence.promptCount, start1: sequence.place, n1: done))
                rows.places.append((row, sequence.place + done - 1, 1))
            }
            let room = tape?.room(for: rows.count)
            tape?.noteTokens(active.map { ($0.request, $0.completion) })
            let logits = decode(rows, cache, logitsOf: Array(0..<rows.count), room, into: tape?.logitsRoom(for: rows.count))
            let draws = active.map { sequence in
                var draw = sequence.draw(
                    generation: generation, prompt: parameters.repetitionPenalty == 1 ? [] : requests[sequence.request].prompt,
                    ids: results[sequence.request][sequence.completion].ids)
                draw.allowed = allowed?(sequence.request, sequence.completion)
                return draw
            }
            let drawn = sampler.sample(logits, draws, keepsEntropy: tape != nil)
            for row in active.indices {
                tape?.note(drawn, row, from: row, request: active[row].request, completion: active[row].completion)
                append(drawn.tokens[row], drawn.logprobs[row], to: &active[row], &results, parameters, shouldStop)
            }
            total += active.count
            active.removeAll { $0.ended }
            progress(GenerationProgress(tokens: total, active: active.count))
        }
        return results
    }

    /// A completion that is being decoded.
    private struct Sequence {
        let request, completion, limit: Int
        let promptPlace, promptCount, place: Int
        let stream: UInt64
        var last: Int32 = 0
        var ended = false

        func draw(generation: UInt32, prompt: [Int32], ids: [Int32]) -> Sampler.Draw {
            Sampler.Draw(stream: stream, generation: generation, position: UInt32(truncatingIfNeeded: promptCount + ids.count), context: prompt + ids)
        }
    }

    private func append(
        _ token: Int32, _ logprob: Float, to sequence: inout Sequence, _ results: inout [[Completion]], _ parameters: SamplingParameters,
        _ shouldStop: ((Int, Int, [Int32]) -> Bool)?
    ) {
        sequence.last = token
        results[sequence.request][sequence.completion].ids.append(token)
        results[sequence.request][sequence.completion].logprobs.append(logprob)
        let ids = results[sequence.request][sequence.completion].ids
        if parameters.endTokens.contains(token) || shouldStop?(sequence.request, sequence.completion, ids) ?? false {
            results[sequence.request][sequence.completion].finishReason = .stop
            sequence.ended = true
        } else if ids.count >= sequence.limit {
            sequence.ended = true
        }
    }

    /// Fills the cache with a prompt from its token `start` on and gives the logits of the last one.
    private func prefill(
        _ prompt: [Int32], from start: Int, at place: Int, _ cache: KeyValueCache, _ tape: RolloutTape?
    ) -> UnsafeMutablePointer<Float> {
        var logits = workspace.logits.floats(count: 0)
        for first in stride(from: start, to: prompt.count, by: Self.prefillRows) {
            let slice = first..<min(first + Self.prefillRows, prompt.count)
            var rows = DecoderRows()
            rows.tokens = Array(prompt[slice])
            rows.positions = slice.map { Int32($0) }
            rows.keys = slice.map { ck_keys(start0: 0, n0: 0, start1: place, n1: $0 + 1) }
            rows.places = [(0, place + first, slice.count)]
            let isLast = slice.upperBound == prompt.count
            logits = decode(
                rows, cache, logitsOf: isLast ? [slice.count - 1] : [], tape?.room(for: slice.count), into: isLast ? tape?.logitsRoom(for: 1) : nil)
        }
        return logits
    }

    /// Forwards the rows through the layers and gives the logits of some of them, [rows][vocabulary], in `room` where that is given.
    private func decode(
        _ rows: DecoderRows, _ cache: KeyValueCache, logitsOf wanted: [Int], _ tape: ActivationTape?, into room: UnsafeMutablePointer<Float>?
    ) -> UnsafeMutablePointer<Float> {
        let hidden = configuration.hiddenSize
        let x = workspace.residual.floats(count: rows.count * hidden)
        embed(rows.tokens, into: x)
        for (index, store) in cache.stores.enumerated() {
            // Nobody reads the last layer's other rows, but a tape keeps them.
            forward(index, rows, x: x, store: store, tape: tape, wanted: tape == nil && index == layers.count - 1 ? wanted : nil)
        }
        if let tape {
            tape.finish(x, rows: rows.count)
            moveToFront(wanted, x, rowBytes: hidden * 4)
        }
        guard !wanted.isEmpty else { return workspace.logits.floats(count: 0) }
        let normed = workspace.normed.raw(byteCount: wanted.count * hidden * computeType.byteCount)
        normalize(x, by: norm, rows: wanted.count, into: normed)
        let logits = room ?? workspace.logits.floats(count: wanted.count * configuration.vocabularySize)
        linear.forward([(head, nil, logits)], normed, rows: wanted.count)
        return logits
    }
}
