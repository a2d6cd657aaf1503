public import JSON

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

    /// A batch; everything must have the same count.
    public init(prompts: [Prompt], completions: [String], completionIDs: [[Int32]], columns: [JSONObject]) {
        precondition(prompts.count == completions.count && completionIDs.count == completions.count && columns.count == completions.count)
        self.prompts = prompts
        self.completions = completions
        self.completionIDs = completionIDs
        self.columns = columns
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
}

extension RewardFunction {
    /// No columns.
    public var requiredColumns: [String] { [] }
}

/// A reward function made of a closure.
public struct ClosureReward: RewardFunction {
    /// As given.
    public let name: String
    private let judge: @Sendable (RewardBatch) throws -> [Double?]

    /// A reward named `name`.
    public init(_ name: String, _ judge: @escaping @Sendable (RewardBatch) throws -> [Double?]) {
        self.name = name
        self.judge = judge
    }

    /// What the closure returns.
    public func rewards(for batch: RewardBatch) throws -> [Double?] { try judge(batch) }
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
