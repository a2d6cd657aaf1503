public import Qwen2
public import Tokenizer

/// What the answers of one generation have to keep to, beyond the sampling parameters: an expression to match, strings to end at.
///
/// As in vLLM, whose sampler TRL uses, a completion keeps every id that was drawn, those of a stop string included, and so does its text.
public final class AnswerRules {
    private let stop: [String]
    private let constraint: TokenConstraint?
    private var texts: [[CompletionText]]
    private var places: [[TokenConstraint.Progress]]

    /// Rules for the completions of these requests.
    public init(_ requests: [GenerationRequest], tokenizer: BPETokenizer, stop: [String] = [], constraint: TokenConstraint?) {
        self.stop = stop
        self.constraint = constraint
        let text = CompletionText(tokenizer, stop: stop)
        texts = requests.map { [CompletionText](repeating: text, count: stop.isEmpty ? 0 : $0.count) }
        places = requests.map { [TokenConstraint.Progress](repeating: .init(), count: constraint == nil ? 0 : $0.count) }
    }

    /// For `Qwen2Model.generate`.
    public var allowed: ((_ request: Int, _ completion: Int) -> TokenMask?)? {
        constraint.map { constraint in { [self] in constraint.allowed(places[$0][$1]) } }
    }

    /// For `Qwen2Model.generate`: whether the completion ends with its last id.
    public func shouldStop(_ request: Int, _ completion: Int, _ ids: [Int32]) -> Bool {
        guard let id = ids.last else { return false }
        var isWhole = false
        if let constraint {
            constraint.advance(&places[request][completion], with: id)
            isWhole = constraint.allowed(places[request][completion]) == nil
        }
        guard !stop.isEmpty else { return isWhole }
        _ = texts[request][completion].append(id)
        return texts[request][completion].isStopped || isWhole
    }
}
