internal import JSON
internal import Synchronization

/// What to do when a Python function or another program gives no usable rewards for a batch (`on_reward_failure`).
public enum RewardFailurePolicy: String, Sendable, CaseIterable {
    /// Go on without this function's rewards for the batch, and warn.
    case skip
    /// Stop the run.
    case stop
}

/// A reward function in another process: in Python with TRL's signature, or in any program that speaks the same JSON Lines.
///
/// A question is `{"function", "prompts", "completions", "completion_ids", "columns": {name: [value a completion]}, "trainer_state"}` on one line,
/// prompts and completions as TRL passes them: text, or lists of messages where the prompt is a conversation. The answer is
/// `{"rewards": [number or null a completion]}`, with `"metrics": [[name, number]...]` and `"extra": {column: [value a completion]}` if there
/// are any, or `{"error": "why not"}`. The process ends when its input does.
public final class ExternalReward: RewardFunction {
    /// The function's own name.
    public let name: String
    /// The parameters of a Python function that only the dataset can give.
    public let requiredColumns: [String]
    private let worker: RewardWorker
    private let policy: RewardFailurePolicy
    private let failures = Mutex(0)

    /// A function of a worker.
    init(_ name: String, requiredColumns: [String] = [], of worker: RewardWorker, onFailure policy: RewardFailurePolicy) {
        self.name = name
        self.requiredColumns = requiredColumns
        self.worker = worker
        self.policy = policy
    }

    /// A Python function, after its file has been imported and the function found in it.
    static func python(_ name: String, of worker: RewardWorker, onFailure policy: RewardFailurePolicy) throws(RewardError) -> ExternalReward {
        let answer: JSONObject
        do {
            answer = try worker.ask(JSONObject([("function", .string(name))]))
        } catch {
            throw RewardError(reward: name, message: error.message)
        }
        if let error = answer["error"] { throw RewardError(reward: name, message: error.string ?? error.serialized()) }
        let columns = answer["columns"]?.array?.compactMap(\.string) ?? []
        return ExternalReward(name, requiredColumns: columns, of: worker, onFailure: policy)
    }

    /// What the process answers; throws when that cannot be used and the policy is to stop.
    public func rewards(for batch: RewardBatch) throws -> [Double?] { try judge(batch).rewards }

    /// What the process answers; where that cannot be used, no rewards and a warning, or a `RewardError` when the policy is to stop.
    public func judge(_ batch: RewardBatch) throws -> Judgement {
        do {
            let answer = try worker.ask(question(batch))
            if let error = answer["error"] { throw RewardWorker.Failure(message: error.string ?? error.serialized()) }
            return try judgement(of: answer, count: batch.completions.count)
        } catch {
            let message = error is RewardWorker.Failure ? (error as? RewardWorker.Failure)?.message ?? "" : "\(error)"
            let count = failures.withLock { failures in
                failures += 1
                return failures
            }
            guard policy == .skip else { throw RewardError(reward: name, message: message + "; on_reward_failure is stop") }
            return Judgement(
                rewards: batch.completions.map { _ in nil },
                warning: "reward \(name): \(message); this batch has no rewards from it (failure \(count))")
        }
    }

    private func question(_ batch: RewardBatch) -> JSONObject {
        let completions = zip(batch.prompts, batch.completions).map { prompt, text -> JSONValue in
            if case .text = prompt { return .string(text) }
            return [["role": "assistant", "content": .string(text)]]
        }
        var names = requiredColumns
        for columns in batch.columns {
            for (key, _) in columns.members where !names.contains(where: { $0.utf8.elementsEqual(key.utf8) }) { names.append(key) }
        }
        let columns = names.filter { !["prompt", "completion", "completion_ids"].contains($0) }.map { name in
            (key: name, value: JSONValue.array(batch.columns.map { $0[name] ?? .null }))
        }
        let state = batch.state
        return JSONObject([
            ("function", .string(name)), ("prompts", .array(batch.prompts.map(\.json))), ("completions", .array(completions)),
            ("completion_ids", .array(batch.completionIDs.map { .array($0.map { .integer(Int64($0)) }) })), ("columns", .object(JSONObject(columns))),
            (
                "trainer_state",
                [
                    "global_step": .integer(Int64(state.step)), "max_steps": .integer(Int64(state.maxSteps)), "epoch": .number(state.epoch),
                    "num_train_epochs": .number(state.epochs),
                ]
            ),
        ])
    }

    private func judgement(of answer: JSONObject, count: Int) throws(RewardWorker.Failure) -> Judgement {
        func fail(_ message: String) -> RewardWorker.Failure { RewardWorker.Failure(message: message) }
        guard let values = answer["rewards"]?.array else {
            throw fail("answered without \"rewards\", expected a list with a number or null for each completion")
        }
        guard values.count == count else { throw fail("returned \(values.count) rewards, expected \(count), one a completion") }
        var judgement = Judgement(rewards: [])
        for (index, value) in values.enumerated() {
            switch value {
            case .null: judgement.rewards.append(nil)
            case .bool(let truth): judgement.rewards.append(truth ? 1 : 0)
            case .integer(let number): judgement.rewards.append(Double(number))
            case .number(let number): judgement.rewards.append(number)
            default:
                let found = value.string.map { JSONValue.string(String($0.prefix(40))).serialized() } ?? value.kind
                throw fail("returned \(found) for completion \(index), expected a finite number or none")
            }
        }
        for metric in answer["metrics"]?.array ?? [] {
            guard let pair = metric.array, pair.count == 2, let name = pair[0].string, let value = pair[1].double else {
                throw fail("logged a metric that is no name with a finite number")
            }
            judgement.metrics.append((name, value))
        }
        for (column, values) in answer["extra"]?.object?.members ?? [] {
            guard let values = values.array, values.count == count else {
                throw fail("logged the column \"\(column)\" with another number of values than the \(count) completions")
            }
            judgement.extra.append((column, values))
        }
        return judgement
    }
}
