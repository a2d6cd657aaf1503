internal import Qwen2
internal import JSON

/// A value as written in YAML or on the command line, before a field gives it a type.
enum RawValue: Sendable {
    /// `quoted` text is never null, a number or a truth value.
    case scalar(String, quoted: Bool)
    case list([String])
    case mapping([(key: String, value: RawValue)])
    /// A list of mappings.
    case mappings([[(key: String, value: RawValue)]])

    /// What an error shows as found.
    var found: String {
        switch self {
        case .scalar(let text, _): "'\(text.unicodeScalars.prefix(80).reduce(into: "") { $0 += $1.value < 32 ? " " : String($1) })'"
        case .list(let items): "a list of \(items.count)"
        case .mapping: "a mapping"
        case .mappings(let items): "a list of \(items.count) mappings"
        }
    }

    /// Null as YAML writes it, and Python's `None`.
    var isNull: Bool {
        guard case .scalar(let text, quoted: false) = self else { return false }
        return ["", "~", "null", "Null", "NULL", "None"].contains(text)
    }
}

/// A type that a field of the configuration can have.
protocol ConfigurationValue: Sendable {
    /// What may be written, for errors and help.
    static var expected: String { get }
    /// The value of a text, or nil when it is none.
    init?(raw: RawValue)
    /// The value as YAML that reads back as the same value, here and in PyYAML.
    var yaml: String { get }
}

extension Bool: ConfigurationValue {
    static var expected: String { "true or false" }

    init?(raw: RawValue) {
        guard case .scalar(let text, quoted: false) = raw else { return nil }
        switch text.lowercased() {
        case "true", "yes", "on": self = true
        case "false", "no", "off": self = false
        default: return nil
        }
    }

    var yaml: String { self ? "true" : "false" }
}

extension Int: ConfigurationValue {
    static var expected: String { "a whole number" }

    init?(raw: RawValue) {
        guard case .scalar(let text, quoted: false) = raw, let value = Int(text) else { return nil }
        self = value
    }

    var yaml: String { String(self) }
}

extension Double: ConfigurationValue {
    static var expected: String { "a number" }

    init?(raw: RawValue) {
        // PyYAML reads 1e-6 as text; everybody means a number.
        guard case .scalar(let text, quoted: false) = raw, text.utf8.allSatisfy({ "+-.0123456789eE".utf8.contains($0) }),
            let value = Double(text), value.isFinite
        else { return nil }
        self = value
    }

    var yaml: String {
        let text = String(self)
        // PyYAML wants a point in a number with an exponent.
        guard let exponent = text.firstIndex(of: "e"), !text.contains(".") else { return text }
        return text[..<exponent] + ".0" + text[exponent...]
    }
}

extension String: ConfigurationValue {
    static var expected: String { "text" }

    init?(raw: RawValue) {
        guard case .scalar(let text, _) = raw, !raw.isNull else { return nil }
        self = text
    }

    var yaml: String { JSONValue.string(self).serialized() }
}

extension Optional: ConfigurationValue where Wrapped: ConfigurationValue {
    static var expected: String { Wrapped.expected + ", or null" }

    init?(raw: RawValue) {
        if raw.isNull {
            self = Self.none
            return
        }
        guard let value = Wrapped(raw: raw) else { return nil }
        self = Self.some(value)
    }

    var yaml: String { self?.yaml ?? "null" }
}

extension Array: ConfigurationValue where Element: ConfigurationValue {
    static var expected: String { "a list, each item \(Element.expected)" }

    init?(raw: RawValue) {
        let items: [String]
        switch raw {
        case .scalar(let text, _): items = raw.isNull ? [] : [text]
        case .list(let list): items = list
        case .mapping, .mappings: return nil
        }
        var values: [Element] = []
        for item in items {
            guard let value = Element(raw: .scalar(item, quoted: false)) else { return nil }
            values.append(value)
        }
        self = values
    }

    var yaml: String { "[" + map(\.yaml).joined(separator: ", ") + "]" }
}

extension ConfigurationValue where Self: RawRepresentable & CaseIterable, RawValue == String {
    static var expected: String { "one of " + allCases.map(\.rawValue).joined(separator: ", ") }

    init?(raw: GRPO.RawValue) {
        guard case .scalar(let text, _) = raw else { return nil }
        self.init(rawValue: text)
    }

    var yaml: String { JSONValue.string(rawValue).serialized() }
}

extension LossType: ConfigurationValue {}
extension ImportanceSamplingLevel: ConfigurationValue {}
extension RewardAggregation: ConfigurationValue {}
extension ComputeType: ConfigurationValue {}
extension LearningRateSchedule.Kind: ConfigurationValue {}
extension IntervalStrategy: ConfigurationValue {}
extension SaveStrategy: ConfigurationValue {}
extension RewardFailurePolicy: ConfigurationValue {}
extension LengthUnit: ConfigurationValue {}

extension OptimizerKind: ConfigurationValue {
    static var expected: String { "one of adamw_torch, adamw_8bit, sgd" }

    /// transformers' names of the same arithmetic, wherever it keeps the moments.
    init?(raw: GRPO.RawValue) {
        guard case .scalar(let text, _) = raw else { return nil }
        switch text {
        case "adamw_torch", "adamw_torch_fused", "adamw_hf", "paged_adamw_32bit", "paged_adamw": self = .adamW
        case "adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit", "adamw_torch_8bit": self = .adamW8Bit
        case "sgd": self = .sgd
        default: return nil
        }
    }
}

extension RewardScale: ConfigurationValue {
    static var expected: String { "group, batch or none (or true for group, false for none)" }

    init?(raw: GRPO.RawValue) {
        guard case .scalar(let text, _) = raw else { return nil }
        if let known = RewardScale(rawValue: text) {
            self = known
        } else if let truth = Bool(raw: raw) {
            self = truth ? .group : .none
        } else {
            return nil
        }
    }
}
