public import JSON

/// Where a run stands when completions are judged, for rewards that change with it.
public struct RewardState: Sendable {
    /// Optimizer steps taken so far.
    public var step = 0
    /// Optimizer steps of the whole run; 0 outside of one.
    public var maxSteps = 0
    /// Passes over the dataset so far.
    public var epoch = 0.0
    /// Passes over the dataset of the whole run.
    public var epochs = 0.0

    /// Outside of a run.
    public init() {}
}

/// Completions to be judged, with what they answer. All arrays have one element a completion.
public struct RewardBatch: Sendable {
    /// What each completion answers.
    public var prompts: [Prompt]
    /// The completions as text, special tokens left out.
    public var completions: [String]
    /// The same as token ids.
    public var completionIDs: [[Int32]]
    /// The other columns of each completion's row in the dataset.
    public var columns: [JSONObject]
    /// Where the run stands.
    public var state: RewardState

    /// A batch; everything must have the same count.
    public init(prompts: [Prompt], completions: [String], completionIDs: [[Int32]], columns: [JSONObject], state: RewardState = .init()) {
        precondition(prompts.count == completions.count && completionIDs.count == completions.count && columns.count == completions.count)
        self.prompts = prompts
        self.completions = completions
        self.completionIDs = completionIDs
        self.columns = columns
        self.state = state
    }
}

/// What a reward function says of a batch.
public struct Judgement: Sendable {
    /// One finite number a completion; nil where it has nothing to say, which leaves the completion out of this function's share.
    public var rewards: [Double?]
    /// Numbers for the run's metrics (TRL's `log_metric`).
    public var metrics: [(name: String, value: Double)] = []
    /// Columns for the record of completions, one value a completion (TRL's `log_extra`).
    public var extra: [(column: String, values: [JSONValue])] = []
    /// What went wrong, on one line, when the run is to go on all the same.
    public var warning: String?

    /// A judgement; rewards alone are enough.
    public init(
        rewards: [Double?], metrics: [(name: String, value: Double)] = [], extra: [(column: String, values: [JSONValue])] = [], warning: String? = nil
    ) {
        self.rewards = rewards
        self.metrics = metrics
        self.extra = extra
        self.warning = warning
    }
}

/// Judges completions: the more, the better.
public protocol RewardFunction: Sendable {
    /// The name under which its metrics appear.
    var name: String { get }
    /// Dataset columns it cannot do without; a run is refused when the dataset has none of them.
    var requiredColumns: [String] { get }
    /// One finite number a completion; nil where it has nothing to say, which leaves the completion out of this function's share.
    func rewards(for batch: RewardBatch) throws -> [Double?]
    /// The same with metrics, further columns and a warning, for functions that have them.
    func judge(_ batch: RewardBatch) throws -> Judgement
}

extension RewardFunction {
    /// No columns.
    public var requiredColumns: [String] { [] }
    /// The rewards alone.
    public func judge(_ batch: RewardBatch) throws -> Judgement { Judgement(rewards: try rewards(for: batch)) }
}

/// A reward function made of a closure.
public struct ClosureReward: RewardFunction {
    /// As given.
    public let name: String
    /// As given.
    public let requiredColumns: [String]
    private let closure: @Sendable (RewardBatch) throws -> [Double?]

    /// A reward named `name` that needs these columns of the dataset.
    public init(_ name: String, requiredColumns: [String] = [], _ closure: @escaping @Sendable (RewardBatch) throws -> [Double?]) {
        self.name = name
        self.requiredColumns = requiredColumns
        self.closure = closure
    }

    /// What the closure returns.
    public func rewards(for batch: RewardBatch) throws -> [Double?] { try closure(batch) }
}

/// A reward function that cannot be used, or whose results cannot.
public struct RewardError: Error, Sendable, CustomStringConvertible {
    /// The function's name.
    public let reward: String
    /// What was found, what was expected.
    public let message: String

    /// An error of the named function.
    public init(reward: String, message: String) {
        self.reward = reward
        self.message = message
    }

    /// `reward NAME: message`, on one line.
    public var description: String { "reward \(reward): \(message)" }
}
