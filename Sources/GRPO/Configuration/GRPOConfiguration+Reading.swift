internal import Qwen2
internal import Yams

extension GRPOConfiguration {
    /// A key and what was given for it on the command line.
    public struct Override: Sendable {
        /// The key, with `_` or `-`.
        public var key: String
        /// The words after it; none is `true`, several are a list.
        public var values: [String]

        /// An override of one key.
        public init(key: String, values: [String]) {
            self.key = key
            self.values = values
        }
    }

    /// Splits `--key value`, `--key=value`, `--flag` and `--list a b` into overrides.
    public static func overrides(from arguments: [String]) throws(ConfigurationError) -> [Override] {
        var overrides: [Override] = []
        for argument in arguments {
            if argument.hasPrefix("--"), argument != "--" {
                let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                overrides.append(Override(key: parts[0], values: Array(parts.dropFirst())))
            } else if overrides.isEmpty {
                throw ConfigurationError(source: "command line", message: "found '\(argument)', expected --key value")
            } else {
                overrides[overrides.count - 1].values.append(argument)
            }
        }
        return overrides
    }

    /// Sets what a flat YAML file of at most 1 MiB says; returns notices about keys that are accepted but do nothing, one line each.
    public mutating func read(yaml path: String) throws -> [String] {
        try read(yaml: readText(path, limit: 1 << 20), source: path)
    }

    /// Sets what a flat YAML text says; `source` names it in errors.
    public mutating func read(yaml text: String, source: String) throws(ConfigurationError) -> [String] {
        guard !Self.mayNestDeeply(text) else {
            throw ConfigurationError(source: source, message: "found deeply nested or indented YAML, expected lines of 'key: value'")
        }
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw ConfigurationError(source: source, message: "not valid YAML: " + Self.describe(error))
        }
        guard let root else { return [] }
        guard case .mapping(let mapping) = root else {
            throw ConfigurationError(source: source, message: "found \(RawValue(root)?.found ?? "something else"), expected lines of 'key: value'")
        }
        var notices: [String] = []
        for (key, value) in mapping {
            let place = key.mark.map { "\(source):\($0.line)" } ?? source
            guard case .scalar(let name) = key else { throw ConfigurationError(source: place, message: "found a key that is not text") }
            guard let raw = RawValue(value) else {
                throw ConfigurationError(source: place, message: "\(name.string): found a list of lists, mappings or aliases, expected plain values")
            }
            if let notice = try set(name.string, to: raw, source: place) { notices.append(notice) }
        }
        return notices
    }

    /// Sets what the command line says, after and over the file; returns notices as `read(yaml:)` does.
    public mutating func apply(_ overrides: [Override]) throws(ConfigurationError) -> [String] {
        var notices: [String] = []
        for override in overrides {
            let raw: RawValue =
                switch override.values.count {
                case 0: .scalar("true", quoted: false)
                case 1: .scalar(override.values[0], quoted: false)
                default: .list(override.values)
                }
            let key = String(decoding: override.key.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
            if let notice = try set(key, to: raw, source: "command line") { notices.append(notice) }
        }
        return notices
    }

    private mutating func set(_ key: String, to raw: RawValue, source: String) throws(ConfigurationError) -> String? {
        if let field = Self.fields.first(where: { $0.name == key || $0.aliases.contains(key) }) {
            guard field.set(&self, raw) else {
                throw ConfigurationError(source: source, message: "\(key): found \(raw.found), expected \(field.expected)")
            }
            if field.name == "model_init_kwargs" { try takeModelArguments(source: source) }
            return nil
        }
        foreign[key] = raw
        switch ForeignKey.known(key) {
        case .ignored(let reason): return raw.isOff ? nil : "\(source): \(key) has no effect: \(reason)"
        case .only(let accepted, let advice):
            guard accepted.contains(where: raw.means) else {
                throw ConfigurationError(source: source, message: "\(key): \(raw.found) cannot be had: \(advice)")
            }
            return nil
        case .renamed(let today):
            _ = try set(today, to: raw, source: source)
            return "\(source): \(key) is called \(today) today, and taken as that"
        case .removed(let advice):
            guard !raw.isNull else { return nil }
            throw ConfigurationError(source: source, message: "\(key) does not exist any more: \(advice)")
        case nil:
            let meant = nearest(to: key, among: Self.knownNames).map { "; did you mean '\($0)'?" } ?? "; expected a key of TRL's GRPOConfig"
            throw ConfigurationError(source: source, message: "unknown key \(RawValue.scalar(key, quoted: true).found)" + meant)
        }
    }

    /// Whether a text could nest deeper than Yams, which recurses, has stack for: by brackets, by indentation, or by dashes in a row.
    static func mayNestDeeply(_ text: String) -> Bool {
        var brackets = 0
        var indentation = 0
        var isIndentation = true
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "["), UInt8(ascii: "{"): brackets += 1
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"): (indentation, isIndentation) = (0, true)
            default: break
            }
            guard isIndentation else { continue }
            isIndentation = " \t-?:\n\r".utf8.contains(byte)
            if isIndentation { indentation += 1 }
            if indentation > 96 { return true }
        }
        return brackets > 256
    }

    /// Yams' error on one line.
    private static func describe(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            "\(problem) at line \(mark.line), column \(mark.column)"
        case .reader(let problem, _, _, _): problem
        case .duplicatedKeysInMapping(let duplicates, _): "the key '\(duplicates.first ?? "")' is given twice"
        default: "it cannot be read"
        }
    }
}

extension RawValue {
    /// A YAML node; nil for what no key takes: lists of lists or of this and that, aliases.
    init?(_ node: Node) {
        switch node {
        case .scalar(let scalar): self = .scalar(scalar.string, quoted: scalar.style == .singleQuoted || scalar.style == .doubleQuoted)
        case .sequence(let sequence):
            let items = sequence.compactMap { $0.scalar?.string }
            if items.count == sequence.count {
                self = .list(items)
                return
            }
            var mappings: [[(key: String, value: RawValue)]] = []
            for item in sequence {
                guard case .mapping = item, case .mapping(let members)? = RawValue(item) else { return nil }
                mappings.append(members)
            }
            self = .mappings(mappings)
        case .mapping(let mapping):
            var members: [(key: String, value: RawValue)] = []
            for (key, value) in mapping {
                guard let name = key.scalar?.string, let value = RawValue(value) else { return nil }
                members.append((name, value))
            }
            self = .mapping(members)
        case .alias: return nil
        }
    }

    /// A value written in one line of YAML or JSON; nil when it is none.
    init?(flow text: String) {
        guard text.utf8.count <= 1 << 16, !GRPOConfiguration.mayNestDeeply(text), let node = try? Yams.compose(yaml: text), let value = RawValue(node)
        else { return nil }
        self = value
    }

    /// Nothing, or a no: then there is nothing to tell about a key that has no effect.
    var isOff: Bool { isNull || Bool(raw: self) == false }

    /// Whether this is the value that `text` writes: the same number, truth value, null or text.
    func means(_ text: String) -> Bool {
        if text == "null" { return isNull }
        if text == "[]", case .list(let items) = self { return items.isEmpty }
        guard case .scalar(let own, _) = self else { return false }
        if let number = Double(raw: .scalar(text, quoted: false)) { return Double(raw: self) == number }
        if let truth = Bool(raw: .scalar(text, quoted: false)), let ownTruth = Bool(raw: self) { return truth == ownTruth }
        return own == text
    }
}
