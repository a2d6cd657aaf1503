/// Filters that apply a filter or a test to every element.
extension Renderer {
    static let selectionFilters: [Text: Filter] = [
        "map": { renderer, value, arguments throws(JinjaError) in try renderer.map(value, arguments) },
        "select": { renderer, value, arguments throws(JinjaError) in
            try renderer.selected(value, arguments, byAttribute: false, keeping: true)
        },
        "reject": { renderer, value, arguments throws(JinjaError) in
            try renderer.selected(value, arguments, byAttribute: false, keeping: false)
        },
        "selectattr": { renderer, value, arguments throws(JinjaError) in
            try renderer.selected(value, arguments, byAttribute: true, keeping: true)
        },
        "rejectattr": { renderer, value, arguments throws(JinjaError) in
            try renderer.selected(value, arguments, byAttribute: true, keeping: false)
        },
    ]

    /// `map("filter", arguments...)` or `map(attribute="a.b", default=x)`
    private func map(_ value: Value, _ arguments: Arguments) throws(JinjaError) -> Value {
        var mapped: [Value] = []
        // What is false, be it a number, counts as empty here.
        guard value.isTrue else { return try iterator([]) }
        if arguments.positional.isEmpty {
            let bound = try arguments.bound(to: ["attribute", "default"], required: 1, of: "map")
            for element in try elements(of: value) {
                mapped.append(try attribute(bound.optional(0), of: element, default: bound.optional(1)))
            }
            return try iterator(mapped)
        }
        let (name, rest) = try named(arguments, at: 0, of: "map")
        for element in try elements(of: value) {
            mapped.append(try nested { () throws(JinjaError) in try filter(name, element, rest) })
        }
        return try iterator(mapped)
    }

    /// `select("test", arguments...)`, without a test by truth; `selectattr("a.b", "test", ...)`
    private func selected(_ value: Value, _ arguments: Arguments, byAttribute: Bool, keeping: Bool) throws(JinjaError) -> Value {
        guard value.isTrue else { return try iterator([]) }
        let first = byAttribute ? 1 : 0
        guard arguments.positional.count >= first else { throw JinjaError("missing parameter for attribute name") }
        let check = arguments.positional.count > first ? try named(arguments, at: first, of: "select") : nil
        var kept: [Value] = []
        for element in try elements(of: value) {
            let part = byAttribute ? try attribute(arguments.positional[0], of: element) : element
            let isMet =
                if let check { try nested { () throws(JinjaError) in try test(check.name, part, check.rest) } } else { part.isTrue }
            if isMet == keeping { kept.append(element) }
        }
        return try iterator(kept)
    }

    /// The name of a filter or test among the arguments, and the arguments behind it.
    private func named(_ arguments: Arguments, at index: Int, of filter: String) throws(JinjaError) -> (name: Text, rest: Arguments) {
        guard let name = arguments.positional[index].text else {
            throw JinjaError("\(filter): expected a name, not '\(arguments.positional[index].typeName)'")
        }
        var rest = Arguments(Array(arguments.positional[(index + 1)...]))
        rest.named = arguments.named
        return (name, rest)
    }
}
