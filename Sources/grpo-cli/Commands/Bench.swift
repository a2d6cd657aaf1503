import ArgumentParser
import Checkpoints
import Foundation
import GRPO
import JSON
import Qwen2
import Tokenizer

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a model's speed here, beside what the machine can do.",
        discussion: """
            prefill: 512 tokens of one prompt, to its first new token. decode: 64 tokens of 1, 8 and 32 sequences that share a prompt of 40. \
            train_step: GRPO with one prompt of 40 and 8 completions of 64 tokens; train_step_long: four prompts of 300, 8 completions each. Both are \
            full fine-tuning, with generation, training and optimizer inside. Medians; the spread is the largest less the smallest time, over the median. \
            What the machine can do, multiplying and adding in registers and reading the model's weights, is measured for half a second before and after \
            every run, because on shared machines it changes.
            """)

    enum Measure: String, CaseIterable, ExpressibleByArgument {
        case prefill, decode
        case trainStep = "train_step"
        case trainStepLong = "train_step_long"

        var isTraining: Bool { self == .trainStep || self == .trainStepLong }
    }

    @OptionGroup var model: ModelOptions

    @Option(parsing: .upToNextOption, help: "What to measure: prefill, decode, train_step, train_step_long. The last one is left out by default.")
    var only: [Measure] = [.prefill, .decode, .trainStep]

    @Option(help: "Measurements of each, after one to warm up.")
    var repeats = 5

    @Flag(help: "A JSON object a measure.")
    var json = false

    /// Tokens that the bench's prompts are cut from.
    private static let text = "The quick brown fox jumps over the lazy dog while the old river carries its boats slowly towards the sea. "

    func validate() throws {
        if !(1...1000).contains(repeats) { throw ValidationError("--repeats is \(repeats), expected 1 to 1000") }
    }

    func run() throws {
        let threads = Qwen2Model.useThreads(model.threads.count)
        if !json {
            try StandardOutput.line("\(threads) threads (\(Qwen2Model.instructionSet))")
            try StandardOutput.line(BenchResult.heading)
        }
        if only.contains(where: { !$0.isTraining }) {
            let text = try model.open()
            text.model.loadWeights()
            if only.contains(.prefill) { try show(prefill(text)) }
            if only.contains(.decode) { for sequences in [1, 8, 32] { try show(decode(text, sequences)) } }
        }
        if only.contains(.trainStep) { try show(train(.trainStep, prompts: 1, promptTokens: 40)) }
        if only.contains(.trainStepLong) { try show(train(.trainStepLong, prompts: 4, promptTokens: 300)) }
    }

    private func show(_ result: BenchResult) throws {
        if json { try printJSON(result.json) } else { try StandardOutput.line(result.row) }
    }

    /// `count` ids of plain text, of which no two starts begin alike.
    private func prompt(_ count: Int, _ text: TextModel, from start: Int = 0) throws -> [Int32] {
        let ids = try text.tokenizer.encode(String(repeating: Self.text, count: 1 + (start + count) / 16))
        return Array(ids[start...].prefix(count))
    }

    private func result(_ measure: Measure, sequences: Int, tokens: Int, runs: [BenchResult.Run], weightBytes: Int) -> BenchResult {
        BenchResult(
            measure: measure.rawValue, sequences: sequences, tokens: tokens, dtype: model.dtype.rawValue, runs: runs, weightBytes: weightBytes)
    }

    private func prefill(_ text: TextModel) throws -> BenchResult {
        var parameters = SamplingParameters()
        parameters.maxNewTokens = 1
        let request = GenerationRequest(prompt: try prompt(512, text))
        let runs = runs(text.model) { _ in _ = text.model.generate([request], parameters) }
        let shape = text.model.configuration
        var result = result(.prefill, sequences: 1, tokens: 512, runs: runs, weightBytes: text.model.weightBytes)
        // The head, and all of the last layer but its keys and values, see the last token only.
        let head = shape.vocabularySize * shape.hiddenSize
        let lastLayer = shape.hiddenSize * (2 * shape.headCount * shape.headSize + 3 * shape.intermediateSize)
        let body = shape.parameterCount - head * (shape.tiesEmbeddings ? 1 : 2) - lastLayer
        result.operations = 2 * Double(512 * body + lastLayer + head)
        return result
    }

    private func decode(_ text: TextModel, _ sequences: Int) throws -> BenchResult {
        let steps = 64
        var parameters = SamplingParameters()
        parameters.maxNewTokens = steps + 1
        parameters.temperature = 1
        let request = GenerationRequest(prompt: try prompt(40, text), count: sequences)
        // The first tokens come from the prefill, which is not this measure's.
        let runs = runs(text.model) { begun in
            var isFirst = true
            _ = text.model.generate([request], parameters, progress: { _ in if isFirst { (begun, isFirst) = (.now, false) } })
        }
        var result = result(.decode, sequences: sequences, tokens: steps * sequences, runs: runs, weightBytes: text.model.weightBytes)
        result.weightsRead = steps
        return result
    }

    private func train(_ measure: Measure, prompts: Int, promptTokens: Int) throws -> BenchResult {
        let text = try TextModel(Checkpoint(opening: model.model), computeType: model.dtype, trainable: true)
        text.endTokens = []  // every completion has all its tokens
        var configuration = GRPOConfiguration()
        configuration.dtype = model.dtype
        configuration.maxCompletionLength = 64
        configuration.perDeviceBatchSize = 8 * prompts
        configuration.maxSteps = repeats + 1
        // Prompts that begin alike would be forwarded together.
        let rows = try (0..<prompts).map { PromptDataset.Row(prompt: .text(text.tokenizer.decode(try prompt(promptTokens, text, from: $0)))) }
        let dataset = PromptDataset(rows: rows)
        let rewards = try WeightedRewards([ClosureReward("spread") { batch in batch.completionIDs.indices.map { Double($0 % 8) } }])
        let source = try RolloutSource(configuration, dataset: dataset, rewards: rewards, policy: text)
        let trainer = try GRPOTrainer(configuration, policy: text, source: source)
        var steps: [JSONObject] = []
        for _ in 0...repeats { steps.append(try trainer.step()) }
        steps.removeFirst()
        var result = result(
            measure, sequences: 8 * prompts, tokens: 64 * 8 * prompts, runs: steps.compactMap { $0["step_time"]?.double }.map { .init(seconds: $0) },
            weightBytes: text.model.weightBytes)
        result.phases = ["generate", "forward", "backward", "optimizer"].map { phase in
            (phase, steps.compactMap { $0["time/\(phase)"]?.double }.sorted()[steps.count / 2])
        }
        return result
    }

    /// `repeats` runs after one to warm up; the body may put the moment at which its run begins to count.
    private func runs(_ model: Qwen2Model, _ body: (_ begun: inout ContinuousClock.Instant) -> Void) -> [BenchResult.Run] {
        var before = model.machineLimits()
        return (0...repeats).map { _ in
            var begun = ContinuousClock.now
            body(&begun)
            let seconds = (ContinuousClock.now - begun) / .seconds(1)
            let after = model.machineLimits()
            defer { before = after }
            return BenchResult.Run(seconds: seconds, limits: before.mean(with: after))
        }.suffix(repeats)
    }
}

/// One row of the bench.
private struct BenchResult {
    let measure: String
    let sequences, tokens: Int
    let dtype: String
    let runs: [Run]
    let weightBytes: Int
    /// Floating-point operations, where arithmetic is what bounds the measure.
    var operations: Double?
    /// How often the weights are read, where reading them is.
    var weightsRead: Int?
    var phases: [(name: String, seconds: Double)] = []

    struct Run {
        let seconds: Double
        /// What the machine could do around this run.
        var limits: MachineLimits?
    }

    private var seconds: [Double] { runs.map(\.seconds) }

    private var median: Double { Self.median(seconds) }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    private var arithmetic: Share? { operations.flatMap { share(of: \.flops, $0) } }

    private var bandwidth: Share? { weightsRead.flatMap { share(of: \.bandwidth, Double(weightBytes * $0)) } }

    /// What the runs did, of what the machine could have done in their time: medians over the runs.
    private struct Share {
        let share, limit: Double
    }

    private func share(of limit: KeyPath<MachineLimits, Double>, _ amount: Double) -> Share? {
        let measured = runs.compactMap { run in run.limits.map { (seconds: run.seconds, limit: $0[keyPath: limit]) } }
        guard !measured.isEmpty else { return nil }
        return Share(share: Self.median(measured.map { amount / ($0.seconds * $0.limit) }), limit: Self.median(measured.map(\.limit)))
    }

    private var spread: Double { ((seconds.max() ?? 0) - (seconds.min() ?? 0)) / median }

    /// The process's peak when the measure ended.
    let peakBytes = {
        var usage = rusage()
        getrusage(0, &usage)  // RUSAGE_SELF, whose type differs between C libraries
        return usage.ru_maxrss * 1024
    }()

    static let heading =
        column("measure", 16) + column("sequences", -10) + column("tokens", -8) + column("dtype", -10) + column("tokens/s", -10)
        + column("seconds", -10) + column("spread", -8) + column("peak", -10) + "  of the machine"

    /// Text in a column: to the right of it where the width is negative.
    private static func column(_ text: String, _ width: Int) -> String {
        let padding = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? padding + text : text + padding
    }

    var row: String {
        var shares: [String] = []
        if let arithmetic { shares.append(String(format: "%.0f %% of %.0f GFLOP/s", arithmetic.share * 100, arithmetic.limit / 1e9)) }
        if let bandwidth {
            shares.append(
                String(format: "%.0f %% of %.1f GB/s (%.2f GB of weights)", bandwidth.share * 100, bandwidth.limit / 1e9, Double(weightBytes) / 1e9))
        }
        shares += phases.map { String(format: "\($0.name) %.2f s", $0.seconds) }
        return Self.column(measure, 16) + Self.column("\(sequences)", -10) + Self.column("\(tokens)", -8) + Self.column(dtype, -10)
            + Self.column(String(format: "%.1f", Double(tokens) / median), -10) + Self.column(String(format: "%.3f", median), -10)
            + Self.column(String(format: "%.0f %%", spread * 100), -8) + Self.column(String(format: "%.2f GB", Double(peakBytes) / 1e9), -10) + "  "
            + shares.joined(separator: ", ")
    }

    var json: [(key: String, value: JSONValue)] {
        var members: [(key: String, value: JSONValue)] = [
            ("measure", .string(measure)), ("sequences", .integer(Int64(sequences))), ("tokens", .integer(Int64(tokens))), ("dtype", .string(dtype)),
            ("tokens_per_second", .number(Double(tokens) / median)), ("seconds", .number(median)), ("spread", .number(spread)),
            ("peak_bytes", .integer(Int64(peakBytes))), ("weight_bytes", .integer(Int64(weightBytes))),
        ]
        if let arithmetic { members += [("share_of_peak", .number(arithmetic.share)), ("peak_flops", .number(arithmetic.limit))] }
        if let bandwidth { members += [("share_of_bandwidth", .number(bandwidth.share)), ("read_bandwidth", .number(bandwidth.limit))] }
        return members + phases.map { ("seconds_\($0.name)", .number($0.seconds)) }
    }
}
