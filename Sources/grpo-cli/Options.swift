public import ArgumentParser
public import Checkpoints
import GRPO
import JSON
public import Qwen2

extension ComputeType: ExpressibleByArgument {}
extension ElementType: ExpressibleByArgument {}

/// How a model is opened.
struct ModelOptions: ParsableArguments {
    @Argument(help: "A checkpoint directory, a .gguf file, an export of ours or a LoRA adapter's directory.")
    var model: String

    @Option(help: "What the products compute in: bfloat16, float32, int8 or int4.")
    var dtype: ComputeType = .bfloat16

    @OptionGroup var threads: ThreadOptions

    func open() throws -> TextModel {
        Qwen2Model.useThreads(threads.count)
        return try TextModel(opening: model, computeType: dtype)
    }
}

/// How many threads compute.
struct ThreadOptions: ParsableArguments {
    @Option(name: .customLong("threads"), parsing: .unconditional, help: "Threads; by default the CPUs this process may use.")
    var count: Int?

    mutating func validate() throws {
        if let count, !(1...4096).contains(count) { throw ValidationError("--threads is \(count), expected 1 to 4096") }
    }
}

/// How tokens are chosen. `.unconditional`: a number may begin with a minus sign, and is then refused as what it is.
struct SamplingOptions: ParsableArguments {
    @Option(parsing: .unconditional, help: "Tokens of a completion at most.")
    var maxNewTokens = 256

    @Option(parsing: .unconditional, help: "Divides the logits; 0 takes the most probable token.")
    var temperature: Float = 0

    @Option(parsing: .unconditional, help: "Keep the most probable tokens that reach this probability together.")
    var topP: Float = 1

    @Option(parsing: .unconditional, help: "Keep this many most probable tokens; 0 keeps all.")
    var topK = 0

    @Option(parsing: .unconditional, help: "Keep tokens at least this fraction as probable as the most probable one.")
    var minP: Float = 0

    @Option(parsing: .unconditional, help: "Divides the scores of tokens that occurred; 1 changes nothing.")
    var repetitionPenalty: Float = 1

    @Option(parsing: .unconditional, help: "Seed of the random numbers.")
    var seed: UInt64 = 42

    var parameters: SamplingParameters {
        var parameters = SamplingParameters()
        parameters.maxNewTokens = maxNewTokens
        parameters.temperature = temperature
        parameters.topP = topP
        parameters.topK = topK
        parameters.minP = minP
        parameters.repetitionPenalty = repetitionPenalty
        parameters.seed = seed
        return parameters
    }

    mutating func validate() throws {
        if let problem = parameters.problem { throw ValidationError(problem) }
    }
}

/// A line of JSON on standard output.
func printJSON(_ members: [(key: String, value: JSONValue)]) throws {
    try StandardOutput.line(JSONValue.object(JSONObject(members)).serialized())
}

extension JSONValue {
    static func ids(_ ids: [Int32]) -> JSONValue { .array(ids.map { .integer(Int64($0)) }) }

    /// The shortest decimals that read back as the same FP32 numbers.
    static func floats(_ values: [Float]) -> JSONValue { .array(values.map { .number(Double("\($0)") ?? Double($0)) }) }
}
