/// A method: of a value, with arguments.
typealias Method = @Sendable (Renderer, Value, Arguments) throws(JinjaError) -> Value

/// The methods of dictionaries, lists and tuples that do not change them; those of strings are in `Methods+Text`.
extension Renderer {
    static let dictionaryMethods: [Text: Method] = [
        "get": { renderer, value, arguments throws(JinjaError) in
            let bound = try arguments.bound(to: ["key", "default"], required: 1, of: "get")
            return try value.dictionary?[Key(bound[0] ?? .none)] ?? bound[1] ?? .none
        },
        "items": { renderer, value, arguments throws(JinjaError) in
            _ = try arguments.bound(to: [], of: "items")
            return .object(DictionaryView("dict_items", try renderer.items(renderer.pairs(of: value))))
        },
        "keys": { renderer, value, arguments throws(JinjaError) in
            _ = try arguments.bound(to: [], of: "keys")
            return .object(DictionaryView("dict_keys", try renderer.items(value.dictionary?.entries.map(\.key) ?? [])))
        },
        "values": { renderer, value, arguments throws(JinjaError) in
            _ = try arguments.bound(to: [], of: "values")
            return .object(DictionaryView("dict_values", try renderer.items(value.dictionary?.entries.map(\.value) ?? [])))
        },
        "copy": { _, value, arguments throws(JinjaError) in
            _ = try arguments.bound(to: [], of: "copy")
            return value
        },
        "fromkeys": unsupported("fromkeys"),
    ]

    static let listMethods: [Text: Method] = tupleMethods.merging(["copy": dictionaryMethods["copy"] ?? unsupported("copy")]) { $1 }

    static let tupleMethods: [Text: Method] = [
        "count": { renderer, value, arguments throws(JinjaError) in
            let bound = try arguments.bound(to: ["value"], required: 1, of: "count")
            var count = 0
            for element in try renderer.elements(of: value) {
                try renderer.spend(1)
                if try renderer.equal(element, bound[0] ?? .none) { count += 1 }
            }
            return .integer(count)
        },
        "index": { renderer, value, arguments throws(JinjaError) in
            let bound = try arguments.bound(to: ["value"], required: 1, of: "index")
            for (index, element) in try renderer.elements(of: value).enumerated() {
                try renderer.spend(1)
                if try renderer.equal(element, bound[0] ?? .none) { return .integer(index) }
            }
            throw JinjaError("\(try renderer.representation(of: bound[0] ?? .none).string) is not in list")
        },
    ]

    /// A method that Python has and we have not.
    static func unsupported(_ name: Text) -> Method {
        { _, value, _ throws(JinjaError) in throw JinjaError("the method '\(name.string)' of \(value.typeName) is not supported") }
    }

    /// The members of a dictionary as tuples.
    func pairs(of value: Value) throws(JinjaError) -> [Value] {
        var pairs: [Value] = []
        for (key, value) in value.dictionary?.entries ?? [] { pairs.append(try tuple([key, value])) }
        return pairs
    }
}

extension Value {
    var dictionary: OrderedDictionary? {
        if case .dictionary(let dictionary) = self { return dictionary }
        return nil
    }
}
