/// One key of the configuration: its name, what may be written, its default and its help.
public struct ConfigurationField: Sendable {
    /// TRL's name.
    public let name: String
    /// Other names for it.
    public let aliases: [String]
    /// What may be written, in words.
    public let expected: String
    /// The value when nothing is written, as YAML.
    public let defaultYAML: String
    /// What it does, in one line.
    public let help: String

    let set: @Sendable (inout GRPOConfiguration, RawValue) -> Bool
    let yaml: @Sendable (GRPOConfiguration) -> String

    /// A limit on a field's value, with its words for errors.
    struct Range<Value: Sendable>: Sendable {
        let words: String
        let contains: @Sendable (Value) -> Bool
    }

    init<Value: ConfigurationValue>(
        _ name: String, aliases: [String] = [], _ path: any WritableKeyPath<GRPOConfiguration, Value> & Sendable, in range: Range<Value>? = nil,
        _ help: String
    ) {
        self.name = name
        self.aliases = aliases
        self.help = help
        expected = Value.expected + (range.map { " " + $0.words } ?? "")
        defaultYAML = GRPOConfiguration()[keyPath: path].yaml
        set = { configuration, raw in
            guard let value = Value(raw: raw), range?.contains(value) ?? true else { return false }
            configuration[keyPath: path] = value
            return true
        }
        yaml = { $0[keyPath: path].yaml }
    }
}

extension ConfigurationField.Range where Value == Int {
    static func atLeast(_ bound: Int) -> Self { .init(words: "of at least \(bound)") { $0 >= bound } }
}

extension ConfigurationField.Range where Value == Int? {
    static func atLeast(_ bound: Int) -> Self { .init(words: "of at least \(bound)") { $0.map { $0 >= bound } ?? true } }
}

extension ConfigurationField.Range where Value == Double {
    static var notNegative: Self { .init(words: "of at least 0") { $0 >= 0 } }
    static var positive: Self { .init(words: "greater than 0") { $0 > 0 } }
    static var belowOne: Self { .init(words: "from 0 to less than 1") { $0 >= 0 && $0 < 1 } }
    static var share: Self { .init(words: "from 0 to 1") { $0 >= 0 && $0 <= 1 } }
    static var positiveShare: Self { .init(words: "greater than 0 and at most 1") { $0 > 0 && $0 <= 1 } }
}

extension ConfigurationField.Range where Value == Double? {
    static var notNegative: Self { .init(words: "of at least 0") { $0.map { $0 >= 0 } ?? true } }
    static var positive: Self { .init(words: "greater than 0") { $0.map { $0 > 0 } ?? true } }
    static var share: Self { .init(words: "from 0 to 1") { $0.map { $0 >= 0 && $0 <= 1 } ?? true } }
}

extension ConfigurationField.Range where Value == String? {
    static var notEmpty: Self { .init(words: "that is not empty") { $0 != "" } }
}

extension ConfigurationField.Range where Value == String {
    static var notEmpty: Self { .init(words: "that is not empty") { $0 != "" } }
}
