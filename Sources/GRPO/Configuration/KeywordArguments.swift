internal import JSON

/// Named values for a part of the trainer, as TRL's keys that end in `_kwargs` take them: a mapping in YAML, or its text.
public struct KeywordArguments: Sendable {
    /// The names with their values, in the order written.
    let members: [(key: String, value: JSONValue)]

    /// No arguments.
    public init() { members = [] }

    /// The value of a name.
    subscript(_ name: String) -> JSONValue? { members.first { $0.key == name }?.value }

    /// The arguments as JSON.
    var object: JSONObject { JSONObject(members) }

    /// The first name that is none of these.
    func unknown(among known: [String]) -> String? { members.map(\.key).first { !known.contains($0) } }
}

extension KeywordArguments: ConfigurationValue {
    static var expected: String { "a mapping of names to plain values, or null" }

    init?(raw: RawValue) {
        switch raw {
        case .scalar(let text, _):
            if raw.isNull || text == "{}" {
                self.init()
                return
            }
            // As the command line has it, and as JSON text in YAML.
            guard text.hasPrefix("{"), case .mapping(let members)? = RawValue(flow: text) else { return nil }
            self.init(members)
        case .mapping(let members): self.init(members)
        case .list, .mappings: return nil
        }
    }

    private init(_ members: [(key: String, value: RawValue)]) { self.members = members.map { ($0.key, $0.value.json) } }

    var yaml: String {
        members.isEmpty
            ? "null" : "{" + members.map { "\(JSONValue.string($0.key).serialized()): \(Self.yaml($0.value))" }.joined(separator: ", ") + "}"
    }

    private static func yaml(_ value: JSONValue) -> String {
        switch value {
        case .number(let number): number.yaml
        case .array(let items): "[" + items.map(yaml).joined(separator: ", ") + "]"
        default: value.serialized()
        }
    }
}

extension RawValue {
    /// The value as YAML means it.
    fileprivate var json: JSONValue {
        switch self {
        case .scalar(let text, let quoted):
            if quoted { return .string(text) }
            if isNull { return .null }
            if let truth = Bool(raw: self) { return .bool(truth) }
            if let number = Int64(text) { return .integer(number) }
            return Double(raw: self).map { .number($0) } ?? .string(text)
        case .list(let items): return .array(items.map { RawValue.scalar($0, quoted: false).json })
        case .mapping(let members): return .object(JSONObject(members.map { ($0.key, $0.value.json) }))
        case .mappings(let items): return .array(items.map { RawValue.mapping($0).json })
        }
    }
}
