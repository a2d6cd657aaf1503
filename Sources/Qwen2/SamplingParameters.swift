/// How the next token is chosen; names and meanings are those of transformers' generation configuration.
public struct SamplingParameters: Sendable, Equatable {
    /// Divides the logits; 0 takes the most probable token.
    public var temperature: Float = 1
    /// Keeps the smallest set of most probable tokens whose probability reaches this; 1 keeps all.
    public var topP: Float = 1
    /// Keeps this many most probable tokens; 0 keeps all.
    public var topK: Int = 0
    /// Keeps tokens at least this fraction as probable as the most probable one; 0 keeps all.
    public var minP: Float = 0
    /// Divides positive and multiplies negative logits of tokens that occurred, prompt included; 1 changes nothing.
    public var repetitionPenalty: Float = 1
    /// Tokens at most, an end-of-sequence token included.
    public var maxNewTokens: Int = 256
    /// Ids that end a completion; they belong to it.
    public var endTokens: Set<Int32> = []
    /// Seed of the random numbers.
    public var seed: UInt64 = 42

    /// The defaults: sampling from the model's own distribution.
    public init() {}

    /// What is wrong with the values, in words; `nil` when nothing is.
    public var problem: String? {
        // Logits divided by less would leave the range in which FP32 has digits behind the point.
        if !(temperature == 0 || temperature >= 1e-4 && temperature < 1e6) {
            return "temperature is \(temperature), expected 0 (greedy) or a number of at least 0.0001"
        }
        if !(topP > 0 && topP <= 1) { return "top_p is \(topP), expected a number above 0 and at most 1" }
        if topK < 0 { return "top_k is \(topK), expected 0 (off) or a positive number" }
        if !(minP >= 0 && minP <= 1) { return "min_p is \(minP), expected a number from 0 to 1" }
        if !(repetitionPenalty > 0 && repetitionPenalty < 1e6) { return "repetition_penalty is \(repetitionPenalty), expected a positive number" }
        if maxNewTokens < 1 { return "the number of new tokens is \(maxNewTokens), expected at least 1" }
        return nil
    }

    /// Whether a token is drawn from the model's whole distribution.
    var keepsAll: Bool { topP >= 1 && topK == 0 && minP <= 0 }
}
