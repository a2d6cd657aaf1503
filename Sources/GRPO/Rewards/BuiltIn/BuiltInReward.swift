/// A reward function that a configuration can name.
struct BuiltInReward: Sendable {
    /// Its name, the one in metrics and records: for TRL's and open-r1's functions, that of the function.
    let name: String
    /// Other spellings: open-r1's registry, TRL's factory functions.
    var aliases: [String] = []
    /// The function, with a configuration's parameters.
    let make: @Sendable (GRPOConfiguration) throws(ConfigurationError) -> any RewardFunction

    /// All of them. The names `length` and `format` are this package's; open-r1's functions of those names are `len_reward` and `format_reward`.
    static let all: [BuiltInReward] = [
        .init(name: "length") { LengthReward(ideal: $0.lengthRewardIdeal, unit: $0.lengthRewardUnit) },
        .init(name: "format") { _ in FormatReward() },
        .init(name: "answer") { AnswerReward(column: $0.answerRewardColumn) },
        .init(name: "exact_match") { .exactMatch(column: $0.answerRewardColumn) },
        .init(name: "numeric_match") { .numericMatch(column: $0.answerRewardColumn) },
        .init(name: "regex") { configuration throws(ConfigurationError) in
            guard let pattern = configuration.regexRewardPattern else {
                throw ConfigurationError(message: "regex_reward_pattern is missing: the regex reward needs a regular expression")
            }
            return try ClosureReward.regex(pattern)
        },
        .init(name: "json") { _ in .json },

        .init(name: "accuracy_reward", aliases: ["accuracy"]) { _ in AccuracyReward() },
        .init(name: "reasoning_accuracy_reward", aliases: ["reasoning_accuracy"]) { _ in AccuracyReward(afterReasoning: true) },
        .init(name: "think_format_reward", aliases: ["think_format"]) { _ in .thinkFormat },
        .init(name: "format_reward") { _ in .strictFormat },
        .init(name: "tag_count_reward", aliases: ["tag_count"]) { _ in .tagCount },
        .init(name: "reasoning_steps_reward", aliases: ["reasoning_steps"]) { _ in .reasoningSteps },
        .init(name: "code_format_reward", aliases: ["code_format", "get_code_format_reward"]) { .codeFormat(language: $0.codeLanguage) },
        .init(name: "len_reward") { _ in .relativeLength },
        .init(name: "cosine_scaled_reward", aliases: ["cosine", "get_cosine_scaled_reward"]) { configuration in
            .cosineScaled(
                maxLength: configuration.cosineMaxLength ?? configuration.maxCompletionLength,
                wrong: (short: configuration.cosineMinValueWrong, long: configuration.cosineMaxValueWrong),
                correct: (short: configuration.cosineMaxValueCorrect, long: configuration.cosineMinValueCorrect))
        },
        .init(name: "repetition_penalty_reward", aliases: ["repetition_penalty", "get_repetition_penalty_reward"]) {
            .repetitionPenalty(size: $0.repetitionNGrams, maxPenalty: $0.repetitionMaxPenalty)
        },
        .init(name: "soft_overlong_punishment_reward", aliases: ["soft_overlong_punishment", "get_soft_overlong_punishment"]) {
            .softOverlongPunishment(maxLength: $0.overlongMaxLength, cache: $0.overlongCache)
        },
    ]
}
