internal import JSON

/// Where a run stands between two optimizer steps, beside weights and moments: `trainer_state.json` of a checkpoint.
struct TrainerState {
    static let fileName = "trainer_state.json"

    /// Optimizer steps taken, and those of the whole run.
    var step = 0
    var maxSteps = 0
    /// Passes over the dataset so far.
    var epoch = 0.0
    /// Steps of the optimizer, which skipped steps are not.
    var optimizerSteps = 0
    /// Steps whose gradient was not finite.
    var skippedSteps = 0
    /// Tokens of prompts (once a completion) and completions.
    var tokens = 0
    /// Generation batches drawn in all, and in the current epoch.
    var generations = 0
    var generationsInEpoch = 0
    /// Micro-batches of the present generation batch that have been trained on, of how many; 0 of 0 when a new batch comes next.
    var consumed = 0
    var queued = 0
    /// Which completions of that batch count.
    var counts: [Bool] = []
    /// The entropy bonus.
    var entropyCoefficient = 0.0
    var lastEntropy = Double.infinity
    /// The best evaluation.
    var best: BestModel?
    /// What the next line of metrics has so far.
    var metrics = Metrics()
    /// The configuration that made it, as YAML.
    var configuration = ""

    var json: JSONObject {
        JSONObject([
            ("global_step", .integer(Int64(step))), ("max_steps", .integer(Int64(maxSteps))), ("epoch", .number(epoch)),
            ("optimizer_steps", .integer(Int64(optimizerSteps))), ("num_input_tokens_seen", .integer(Int64(tokens))),
            ("skipped_steps", .integer(Int64(skippedSteps))), ("generations", .integer(Int64(generations))),
            ("generations_in_epoch", .integer(Int64(generationsInEpoch))),
            ("micro_batches_done", .integer(Int64(consumed))), ("micro_batches", .integer(Int64(queued))),
            ("counts", .array(counts.map { .bool($0) })), ("entropy_coef", .number(entropyCoefficient)),
            ("last_entropy", lastEntropy.isFinite ? .number(lastEntropy) : .null), ("metrics", metrics.json),
            ("best_metric", best.map { .number($0.metric) } ?? .null), ("best_global_step", best.map { .integer(Int64($0.step)) } ?? .null),
            ("configuration", .string(configuration)),
        ])
    }

    init() {}

    /// Reads the file of a checkpoint.
    /// - Throws: a `FileError` naming the key that is missing or wrong.
    init(contentsOf path: String) throws {
        let json: JSONValue
        do { json = try JSONValue.parse(contentsOf: path) } catch { throw FileError(path: path, message: "cannot be read: \(error)") }
        func value<T>(_ key: String, _ expected: String, _ read: (JSONValue) -> T?) throws(FileError) -> T {
            guard let value = json[key].flatMap(read) else {
                throw FileError(path: path, message: "\"\(key)\": found \(json[key]?.kind ?? "nothing"), expected \(expected)")
            }
            return value
        }
        func count(_ key: String) throws(FileError) -> Int {
            try value(key, "a whole number of at least 0") { $0.int.flatMap { $0 >= 0 ? $0 : nil } }
        }
        step = try count("global_step")
        maxSteps = try count("max_steps")
        epoch = try value("epoch", "a number") { $0.double }
        optimizerSteps = try count("optimizer_steps")
        tokens = try count("num_input_tokens_seen")
        skippedSteps = try count("skipped_steps")
        generations = try count("generations")
        generationsInEpoch = try count("generations_in_epoch")
        (consumed, queued) = (try count("micro_batches_done"), try count("micro_batches"))
        counts = try value("counts", "a list of truth values") { json in
            json.array.flatMap { items in
                let truths = items.compactMap(\.bool)
                return truths.count == items.count ? truths : nil
            }
        }
        entropyCoefficient = try value("entropy_coef", "a number") { $0.double }
        lastEntropy = try value("last_entropy", "a number or null") { $0.isNull ? .infinity : $0.double }
        if let metric = json["best_metric"]?.double { best = BestModel(metric: metric, step: try count("best_global_step")) }
        metrics = try value("metrics", "metrics") { Metrics($0) }
        configuration = try value("configuration", "text") { $0.string }
    }
}
