/// A dictionary in the order in which its keys came; never changed.
final class OrderedDictionary {
    let entries: [(key: Value, value: Value)]
    let depth: Int
    private let index: [Key: Int]

    fileprivate init(entries: [(key: Value, value: Value)], index: [Key: Int], depth: Int) {
        self.entries = entries
        self.index = index
        self.depth = depth
    }

    var count: Int { entries.count }

    subscript(key: Key) -> Value? { index[key].map { entries[$0].value } }
    subscript(name: Text) -> Value? { self[.string(name)] }
}

/// A value as a dictionary finds it: `1`, `1.0` and `True` are the same key.
enum Key: Hashable {
    case none
    case integer(Int)
    case number(Double)
    case string(Text)
    case tuple([Key])
    case undefined
    case object(ObjectIdentifier)

    /// - Throws: for what Python cannot hash, lists and dictionaries.
    init(_ value: Value) throws(JinjaError) {
        switch value {
        case .undefined: self = .undefined
        case .none: self = .none
        case .bool(let value): self = .integer(value ? 1 : 0)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = Int(exactly: value).map(Key.integer) ?? .number(value)
        case .string(let text): self = .string(text)
        case .tuple(let items):
            var keys: [Key] = []
            for element in items.elements { keys.append(try Key(element)) }
            self = .tuple(keys)
        case .list, .dictionary: throw JinjaError("unhashable type: '\(value.typeName)'")
        case .object(let object): self = .object(ObjectIdentifier(object))
        }
    }
}

/// Makes an `OrderedDictionary`: a key that comes again keeps its place and takes the new value.
struct DictionaryBuilder {
    private var entries: [(key: Value, value: Value)] = []
    private var index: [Key: Int] = [:]
    private var depth = 0

    init() {}

    init(_ dictionary: OrderedDictionary) throws(JinjaError) {
        for (key, value) in dictionary.entries { try set(key, value) }
    }

    mutating func set(_ key: Value, _ value: Value) throws(JinjaError) {
        let hashed = try Key(key)
        depth = max(depth, key.depth, value.depth)
        if let place = index[hashed] {
            entries[place].value = value
        } else {
            index[hashed] = entries.count
            entries.append((key, value))
        }
    }

    var count: Int { entries.count }

    /// - Throws: if the values are nested deeper than the limit.
    func build(nesting: Int) throws(JinjaError) -> OrderedDictionary {
        guard depth < nesting else { throw JinjaError("values nested deeper than \(nesting) levels") }
        return OrderedDictionary(entries: entries, index: index, depth: depth + 1)
    }
}
