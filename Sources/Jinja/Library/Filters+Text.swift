/// Filters that make text.
extension Renderer {
    static let textFilters: [Text: Filter] = [
        "upper": converting("upper") { $0.uppercased },
        "lower": converting("lower") { $0.lowercased },
        "capitalize": converting("capitalize") { $0.capitalized },
        "title": converting("title") { titleFiltered($0) },
        "string": filter("string", []) { renderer, value, _ throws(JinjaError) in .string(try renderer.text(of: value)) },
        "trim": filter("trim", ["chars"]) { renderer, value, arguments throws(JinjaError) in
            let text = try renderer.text(of: value)
            try renderer.spend(characters: text.count)
            return .string(text.stripped(of: arguments.optional(0) == nil ? nil : try arguments.text(0)))
        },
        "replace": filter("replace", ["old", "new", "count"], required: 2) { renderer, value, arguments throws(JinjaError) in
            var parts: [Text] = []
            for part in [value, arguments[0] ?? .none, arguments[1] ?? .none] { parts.append(Text(try renderer.text(of: part).scalars)) }
            let most = arguments.optional(2) == nil ? nil : try arguments.integer(2)
            return .string(try renderer.replacing(parts[1], in: parts[0], with: parts[2], most: most))
        },
        "join": filter("join", ["d", "attribute"]) { renderer, value, arguments throws(JinjaError) in
            let separator = try arguments[0].map { value throws(JinjaError) in try renderer.text(of: value) } ?? ""
            var parts: [Text] = []
            for element in try renderer.elements(of: value) {
                parts.append(try renderer.text(of: try renderer.attribute(arguments.optional(1), of: element)))
            }
            return .string(try renderer.joined(parts, by: separator))
        },
        "safe": filter("safe", []) { renderer, value, _ throws(JinjaError) in
            .string(Text(try renderer.text(of: value).scalars, isMarkup: true))
        },
        "escape": escaping("escape"),
        "e": escaping("e"),
        "forceescape": filter("forceescape", []) { renderer, value, _ throws(JinjaError) in
            .string(try renderer.escaped(Text(try renderer.text(of: value).scalars)))
        },
        "center": filter("center", ["width"]) { renderer, value, arguments throws(JinjaError) in
            .string(try renderer.padded(try renderer.text(of: value), to: try arguments.integer(0) ?? 80, .center, with: " "))
        },
        "format": { renderer, value, arguments throws(JinjaError) in
            guard arguments.positional.isEmpty || arguments.named.isEmpty else {
                throw JinjaError("format: can't handle positional and keyword arguments at the same time")
            }
            let values =
                arguments.named.isEmpty
                ? try renderer.tuple(arguments.positional) : try renderer.dictionary(arguments.named.map { (.string($0.name), $0.value) })
            return .string(try renderer.formatted(try renderer.text(of: value), with: values))
        },
        "indent": filter("indent", ["width", "first", "blank"]) { renderer, value, arguments throws(JinjaError) in
            let text = try renderer.requireText(value, "indent")
            let width: Text
            if let given = arguments[0]?.text { width = given } else { width = Text(try renderer.spaces(try arguments.integer(0) ?? 4)) }
            return .string(try renderer.indented(text, by: width, first: arguments.isTrue(1), blank: arguments.isTrue(2)))
        },
        "truncate": filter("truncate", ["length", "killwords", "end", "leeway"]) { renderer, value, arguments throws(JinjaError) in
            let length = try arguments.integer(0) ?? 255
            let end = try arguments.text(2) ?? "..."
            let leeway = arguments.optional(3) == nil ? 5 : try arguments.integer(3) ?? 5
            guard length >= end.count, leeway >= 0 else {
                throw JinjaError("truncate: expected a length of at least \(end.count) and a leeway of at least 0")
            }
            if try renderer.length(of: value) - leeway <= length { return value }
            let text = try renderer.requireText(value, "truncate")
            try renderer.spend(characters: text.count)
            var kept = text.scalars.prefix(length - end.count)
            if !arguments.isTrue(1), let space = kept.lastIndex(of: " ") { kept = kept[..<space] }
            return .string(try renderer.joined(text.with(kept), end))
        },
        "wordcount": filter("wordcount", []) { renderer, value, _ throws(JinjaError) in
            let text = try renderer.text(of: value)
            try renderer.spend(text.count)
            return .integer(text.scalars.split { !$0.isWord }.count)
        },
        "tojson": filter("tojson", ["ensure_ascii", "indent", "separators", "sort_keys"]) { renderer, value, arguments throws(JinjaError) in
            try renderer.json(value, arguments)
        },
    ]

    private static func converting(_ name: Text, _ convert: @escaping @Sendable (Text) -> Text) -> Filter {
        filter(name, []) { renderer, value, _ throws(JinjaError) in
            let text = try renderer.text(of: value)
            try renderer.spend(4 * text.count)
            return .string(convert(text))
        }
    }

    private static func escaping(_ name: Text) -> Filter {
        filter(name, []) { renderer, value, _ throws(JinjaError) in .string(try renderer.escaped(try renderer.text(of: value))) }
    }

    /// Every word begins with a capital; words begin after white space, hyphens and opening brackets, apostrophes do not end them.
    private static func titleFiltered(_ text: Text) -> Text {
        var result: [Unicode.Scalar] = []
        var rest = text.scalars[...]
        func separates(_ scalar: Unicode.Scalar) -> Bool { scalar.isSpace || ["-", "(", "{", "[", "<"].contains(scalar) }
        while let first = rest.first {
            let isSeparator = separates(first)
            let part = rest.prefix { separates($0) == isSeparator }
            result += Text(part.prefix(1)).uppercased.scalars + Text(part.dropFirst()).lowercased.scalars
            rest = rest[part.endIndex...]
        }
        return Text(result)
    }

    private func requireText(_ value: Value, _ filter: String) throws(JinjaError) -> Text {
        if let text = value.text { return text }
        if case .undefined(let undefined) = value { throw undefined.error }
        throw JinjaError("\(filter): expected a string, not '\(value.typeName)'")
    }

    private func spaces(_ count: Int) throws(JinjaError) -> [Unicode.Scalar] {
        try spend(characters: max(0, count))
        return Array(repeating: " ", count: max(0, count))
    }

    /// Jinja2's `indent`: the first line and blank ones only if asked for.
    private func indented(_ text: Text, by width: Text, first: Bool, blank: Bool) throws(JinjaError) -> Text {
        var result: [Unicode.Scalar] = []
        for (index, line) in Text(text.scalars + ["\n"]).lines().enumerated() {
            try spend(characters: line.count + width.count)
            if index > 0 { result.append("\n") }
            if index == 0 ? first : blank || !line.isEmpty { result += width.scalars }
            result += line
        }
        return text.with(result)
    }

    /// `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`
    private func json(_ value: Value, _ arguments: BoundArguments) throws(JinjaError) -> Value {
        var indent: Text?
        if let given = arguments.optional(1) {
            if let text = given.text { indent = text } else { indent = Text(try spaces(try arguments.integer(1) ?? 0)) }
        }
        var separators: [Text] = indent == nil ? [", ", ": "] : [",", ": "]
        if let given = arguments.optional(2) {
            separators = try elements(of: given).compactMap(\.text)
            guard separators.count == 2 else { throw JinjaError("tojson: 'separators' must be two strings") }
        }
        var writer = JSONWriter(
            self, isASCII: arguments.isTrue(0), indent: indent, itemSeparator: separators[0], keySeparator: separators[1],
            sortsKeys: arguments.isTrue(3))
        try writer.write(value)
        return .string(Text(writer.output))
    }
}
