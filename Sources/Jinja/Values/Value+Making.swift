internal import JSON

extension Renderer {
    /// A list of these elements, which count against the budget.
    func list(_ elements: [Value]) throws(JinjaError) -> Value { .list(try items(elements)) }

    func tuple(_ elements: [Value]) throws(JinjaError) -> Value { .tuple(try items(elements)) }

    func items(_ elements: [Value]) throws(JinjaError) -> Items {
        Items(elements, depth: try depth(around: elements))
    }

    func group(_ grouper: Value, _ elements: [Value]) throws(JinjaError) -> Value {
        let parts = [grouper, try list(elements)]
        return .tuple(Group(parts, depth: try depth(around: parts)))
    }

    func dictionary(_ entries: [(Value, Value)]) throws(JinjaError) -> Value {
        try spend(2 * entries.count)
        var builder = DictionaryBuilder()
        for (key, value) in entries { try builder.set(key, value) }
        return .dictionary(try builder.build(nesting: template.limits.nesting))
    }

    func iterator(_ elements: [Value], typeName: String = "generator") throws(JinjaError) -> Value {
        _ = try depth(around: elements)
        return .object(Iterator(elements, typeName: typeName))
    }

    /// The depth of a value that holds these.
    private func depth(around elements: [Value]) throws(JinjaError) -> Int {
        try spend(elements.count)
        let depth = 1 + elements.reduce(0) { max($0, $1.depth) }
        guard depth <= template.limits.nesting else { throw JinjaError("values nested deeper than \(template.limits.nesting) levels") }
        return depth
    }

    /// A value given to the template, which adds to the budget what it will cost to go through.
    func value(_ json: JSONValue, depth: Int) throws(JinjaError) -> Value {
        guard depth < template.limits.nesting else {
            throw JinjaError("a variable of the template is nested deeper than \(template.limits.nesting) levels")
        }
        grant(characters: 4)
        switch json {
        case .null: return .none
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(Int(value))
        case .number(let value): return .number(value)
        case .string(let string):
            let text = Text(string)
            grant(characters: text.count)
            return .string(text)
        case .array(let elements):
            var values: [Value] = []
            for element in elements { values.append(try value(element, depth: depth + 1)) }
            return try list(values)
        case .object(let object):
            var entries: [(Value, Value)] = []
            for (key, member) in object.members {
                let key = Text(key)
                grant(characters: key.count + 4)
                entries.append((.string(key), try value(member, depth: depth + 1)))
            }
            return try dictionary(entries)
        }
    }

    /// What a loop over the value goes through: a dictionary's keys, a string's characters; nothing for undefined.
    func elements(of value: Value) throws(JinjaError) -> [Value] {
        switch value {
        case .undefined: return []
        case .string(let text):
            try spend(2 * text.count)
            return text.scalars.map { .string(text.with([$0])) }
        case .list(let items), .tuple(let items): return items.elements
        case .dictionary(let dictionary):
            try spend(dictionary.count)
            return dictionary.entries.map(\.key)
        case .object(let object):
            if let length = object.length { try spend(length) }
            if let elements = object.elements { return elements }
        default: break
        }
        throw JinjaError("'\(value.typeName)' object is not iterable")
    }

    /// Python's `len`.
    func length(of value: Value) throws(JinjaError) -> Int {
        switch value {
        case .undefined: return 0
        case .string(let text): return text.count
        case .list(let items), .tuple(let items): return items.elements.count
        case .dictionary(let dictionary): return dictionary.count
        case .object(let object): if let length = object.length { return length }
        default: break
        }
        throw JinjaError("object of type '\(value.typeName)' has no len()")
    }
}
