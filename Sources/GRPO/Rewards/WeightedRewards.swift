public import JSON

/// Several reward functions and what each counts.
public struct WeightedRewards: Sendable {
    /// The functions, in order.
    public let functions: [any RewardFunction]
    /// One weight a function.
    public let weights: [Double]

    /// Reward functions with their weights, 1 each unless given; throws when there are none, two of one name, or as many weights as not functions.
    public init(_ functions: [any RewardFunction], weights: [Double]? = nil) throws(ConfigurationError) {
        guard !functions.isEmpty else {
            throw ConfigurationError(message: "there is no reward function: set reward_funcs to \(RewardSource.expected)")
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
        /// What each function counts.
        public let weights: [Double]
        /// One array a function, in it one reward a completion.
        public let values: [[Double?]]
        /// The weighted sum of the rewards that are there, one a completion; nil where no function had anything to say.
        public let totals: [Double?]
        /// Columns that functions want recorded beside the rewards, one value a completion.
        public let extra: [(column: String, values: [JSONValue])]
        /// What went wrong though the run goes on, one line each.
        public let warnings: [String]
        private let logged: [(name: String, value: Double)]

        /// A table of known rewards, of a replay for instance.
        public init(names: [String], weights: [Double], values: [[Double?]]) {
            self.init(names: names, weights: weights, judgements: values.map { Judgement(rewards: $0) })
        }

        /// A table of what each function said.
        init(names: [String], weights: [Double], judgements: [Judgement]) {
            let values = judgements.map(\.rewards)
            self.names = names
            self.weights = weights
            self.values = values
            extra = judgements.flatMap(\.extra)
            logged = judgements.flatMap(\.metrics)
            totals = (values.first ?? []).indices.map { completion in
                let present = zip(weights, values).compactMap { weight, rewards in rewards[completion].map { weight * $0 } }
                return present.isEmpty ? nil : present.reduce(0, +)
            }
            // As TRL warns; such a completion has no advantage and no part in its group's mean.
            let silent = totals.filter { $0 == nil }.count
            warnings =
                judgements.compactMap(\.warning)
                + (silent == 0 ? [] : ["\(silent) of \(totals.count) completions have no reward from any function and teach nothing"])
        }

        /// One completion's rewards by name.
        public func rewards(of completion: Int) -> [(name: String, value: Double?)] { zip(names, values).map { ($0, $1[completion]) } }

        /// One completion's further columns.
        public func extra(of completion: Int) -> JSONObject {
            var object = JSONObject()
            for (column, values) in extra { object[column] = values[completion] }
            return object
        }

        /// TRL's metrics of a generation batch: `rewards/NAME/mean` and `/std` (unweighted), `reward` and `reward_std`, NaN where nothing is known; then
        /// what the functions logged.
        public var metrics: [(name: String, value: Double)] {
            let each = zip(names, values).flatMap { name, rewards in
                let statistics = Statistics(rewards)
                return [("rewards/\(name)/mean", statistics.mean), ("rewards/\(name)/std", statistics.deviation)]
            }
            let whole = Statistics(totals)
            return each + [("reward", whole.mean), ("reward_std", whole.deviation)] + logged
        }
    }

    /// Asks every function; throws a `RewardError` when one fails, returns another count than the batch's, NaN or an infinity.
    public func evaluate(_ batch: RewardBatch) throws(RewardError) -> Table {
        var judgements: [Judgement] = []
        for function in functions {
            let judgement: Judgement
            do {
                judgement = try function.judge(batch)
            } catch let error as RewardError {
                throw error
            } catch {
                throw RewardError(reward: function.name, message: "failed: \(error)")
            }
            let rewards = judgement.rewards
            guard rewards.count == batch.completions.count else {
                throw RewardError(
                    reward: function.name,
                    message: "returned \(rewards.count) rewards, expected \(batch.completions.count), one a completion")
            }
            if let bad = rewards.firstIndex(where: { $0.map { !$0.isFinite } ?? false }) {
                throw RewardError(reward: function.name, message: "returned \(rewards[bad]!) for completion \(bad), expected a finite number or none")
            }
            judgements.append(judgement)
        }
        return Table(names: functions.map(\.name), weights: weights, judgements: judgements)
    }
}
