/// Where a reward function comes from, as an item of `reward_funcs` says it.
enum RewardSource {
    /// `accuracy_reward`, `length`...: one of ours.
    case builtIn(BuiltInReward)
    /// `rewards.py:reward_len`, or `package.module.reward_len` as TRL's command line has it.
    case python(target: String, function: String)
    /// `./judge` or `./judge:tone`: a program that speaks the protocol of `ExternalReward`.
    case program(path: String, function: String)

    /// What may be written, for errors and help.
    static let expected = "rewards.py:function, ./program, or one of " + BuiltInReward.all.map(\.name).joined(separator: ", ")

    /// Reads one item; throws when it is none of them.
    init(_ text: String) throws(ConfigurationError) {
        if let colon = text.lastIndex(of: ":") {
            let (target, function) = (String(text[..<colon]), String(text[text.index(after: colon)...]))
            guard !target.isEmpty, !function.isEmpty, !function.contains("/") else { throw Self.unknown(text) }
            self = target.hasSuffix(".py") ? .python(target: target, function: function) : .program(path: target, function: function)
        } else if text.hasSuffix(".py") {
            throw ConfigurationError(message: "reward_funcs: found '\(text)', expected a function of it: \(text):FUNCTION")
        } else if text.contains("/") {
            let file = text.split(separator: "/").last ?? ""
            let name = file.prefix { $0 != "." }
            guard !name.isEmpty else { throw Self.unknown(text) }
            self = .program(path: text, function: String(name))
        } else if let reward = BuiltInReward.all.first(where: { $0.name == text || $0.aliases.contains(text) }) {
            self = .builtIn(reward)
        } else if let dot = text.lastIndex(of: "."), dot != text.startIndex, text.index(after: dot) != text.endIndex {
            self = .python(target: String(text[..<dot]), function: String(text[text.index(after: dot)...]))
        } else {
            throw Self.unknown(text)
        }
    }

    /// The name of the function, which its metrics and records have.
    var name: String {
        switch self {
        case .builtIn(let reward): reward.name
        case .python(_, let function), .program(_, let function): function
        }
    }

    private static func unknown(_ text: String) -> ConfigurationError {
        let meant = nearest(to: text, among: BuiltInReward.all.flatMap { [$0.name] + $0.aliases }).map { "; did you mean '\($0)'?" } ?? ""
        return ConfigurationError(message: "reward_funcs: found '\(text)', expected \(expected)" + meant)
    }
}

extension WeightedRewards {
    /// The functions that a configuration names, with its parameters, and then `others`; and its weights. Python files are imported here, one process each.
    /// - Throws: `ConfigurationError` for an item that is no reward function, `RewardError` for a file or function that cannot be used.
    public init(_ configuration: GRPOConfiguration, and others: [any RewardFunction] = []) throws {
        var workers: [String: RewardWorker] = [:]
        func worker(_ target: String, _ make: (String) -> RewardWorker) -> RewardWorker {
            let worker = workers[target] ?? make(target)
            workers[target] = worker
            return worker
        }
        let timeout = configuration.rewardTimeout
        let policy = configuration.onRewardFailure
        let functions = try configuration.rewardFunctions.map { text -> any RewardFunction in
            switch try RewardSource(text) {
            case .builtIn(let reward): try reward.make(configuration)
            case .python(let target, let function):
                try ExternalReward.python(function, of: worker(target) { .python($0, timeout: timeout) }, onFailure: policy)
            case .program(let path, let function):
                ExternalReward(function, of: worker(path) { .program($0, timeout: timeout) }, onFailure: policy)
            }
        }
        try self.init(functions + others, weights: configuration.rewardWeights)
    }
}

extension GRPOConfiguration {
    /// The names that the metrics and records of `reward_funcs` have; a name of none of our functions, as in a recording, is its own.
    public var rewardNames: [String] { rewardFunctions.map { (try? RewardSource($0))?.name ?? $0 } }
}

extension RewardWorker {
    /// Any program, started without arguments.
    fileprivate static func program(_ path: String, timeout: Double) -> RewardWorker {
        RewardWorker(
            target: path, arguments: [path], advice: "reward_funcs names a program that reads a line and writes a line of JSON", timeout: timeout)
    }
}
