/// Several reward functions and what each counts.
public struct WeightedRewards: Sendable {
    /// The functions, in order.
    public let functions: [any RewardFunction]
    /// One weight a function.
    public let weights: [Double]

    /// The names of the built-in functions.
    public static let builtInNames = ["length", "format", "answer"]

    /// Reward functions with their weights, 1 each unless given; throws when there are none, two of one name, or as many weights as not functions.
    public init(_ functions: [any RewardFunction], weights: [Double]? = nil) throws(ConfigurationError) {
        guard !functions.isEmpty else {
            throw ConfigurationError(
                message: "there is no reward function: set reward_funcs to one or more of \(Self.builtInNames.joined(separator: ", "))")
        }
        guard Set(functions.map(\.name)).count == functions.count else {
            throw ConfigurationError(message: "two reward functions have the same name; name each once")
        }
        let weights = weights ?? functions.map { _ in 1 }
        guard weights.count == functions.count else {
            throw ConfigurationError(
                message: "reward_weights has \(weights.count) numbers, expected \(functions.count), one for each of reward_funcs")
        }
        guard weights.allSatisfy(\.isFinite) else { throw ConfigurationError(message: "reward_weights has a number that is not finite") }
        self.functions = functions
        self.weights = weights
    }

    /// The built-in functions that a configuration names, with its parameters and weights.
    public init(_ configuration: GRPOConfiguration) throws(ConfigurationError) {
        var functions: [any RewardFunction] = []
        for name in configuration.rewardFunctions {
            switch name {
            case "length": functions.append(LengthReward(ideal: configuration.lengthRewardIdeal))
            case "format": functions.append(FormatReward())
            case "answer": functions.append(AnswerReward(column: configuration.answerRewardColumn))
            default:
                let meant = nearest(to: name, among: Self.builtInNames).map { "; did you mean '\($0)'?" } ?? ""
                throw ConfigurationError(
                    message: "reward_funcs: found '\(name)', expected some of \(Self.builtInNames.joined(separator: ", "))" + meant)
            }
        }
        try self.init(functions, weights: configuration.rewardWeights)
    }

    /// Refuses a dataset that lacks a column some function cannot do without.
    public func check(_ dataset: PromptDataset) throws(RewardError) {
        let present = dataset.columnNames
        for function in functions {
            for column in function.requiredColumns where !present.contains(column) {
                let found = present.isEmpty ? "none" : present.sorted().prefix(16).map { "\"\($0)\"" }.joined(separator: ", ")
                throw RewardError(reward: function.name, message: "needs the dataset column \"\(column)\", found \(found)")
            }
        }
    }

    /// What the functions said of a batch.
    public struct Table: Sendable {
        /// The functions' names.
        public let names: [String]
        /// One array a function, in it one reward a completion.
        public let values: [[Double?]]
        /// The weighted sum of the rewards that are there, one a completion; nil where no function had anything to say.
        public let totals: [Double?]

        /// A table of known rewards, of a replay for instance.
        public init(names: [String], weights: [Double], values: [[Double?]]) {
            self.names = names
            self.values = values
            totals = (values.first ?? []).indices.map { completion in
                let present = zip(weights, values).compactMap { weight, rewards in rewards[completion].map { weight * $0 } }
                return present.isEmpty ? nil : present.reduce(0, +)
            }
        }

        /// One completion's rewards by name.
        public func rewards(of completion: Int) -> [(name: String, value: Double?)] { zip(names, values).map { ($0, $1[completion]) } }

        /// TRL's metrics of a generation batch: `rewards/NAME/mean` and `/std` (unweighted), `reward` and `reward_std`; NaN where nothing is known.
        public var metrics: [(name: String, value: Double)] {
            let each = zip(names, values).flatMap { name, rewards in
                let statistics = Statistics(rewards)
                return [("rewards/\(name)/mean", statistics.mean), ("rewards/\(name)/std", statistics.deviation)]
            }
            let whole = Statistics(totals)
            return each + [("reward", whole.mean), ("reward_std", whole.deviation)]
        }
    }

    /// Asks every function; throws a `RewardError` when one fails, returns another count than the batch's, NaN or an infinity.
    public func evaluate(_ batch: RewardBatch) throws(RewardError) -> Table {
        var values: [[Double?]] = []
        for function in functions {
            let rewards: [Double?]
            do {
                rewards = try function.rewards(for: batch)
            } catch let error as RewardError {
                throw error
            } catch {
                throw RewardError(reward: function.name, message: "failed: \(error)")
            }
            guard rewards.count == batch.completions.count else {
                throw RewardError(
                    reward: function.name,
                    message: "returned \(rewards.count) rewards, expected \(batch.completions.count), one a completion")
            }
            if let bad = rewards.firstIndex(where: { $0.map { !$0.isFinite } ?? false }) {
                throw RewardError(reward: function.name, message: "returned \(rewards[bad]!) for completion \(bad), expected a finite number or none")
            }
            values.append(rewards)
        }
        return Table(names: functions.map(\.name), weights: weights, values: values)
    }
}
