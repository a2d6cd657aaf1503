/// What `value|name(arguments)` does.
typealias Filter = @Sendable (Renderer, Value, Arguments) throws(JinjaError) -> Value

extension Renderer {
    /// Jinja2's filters and transformers' `tojson`.
    static let filters: [Text: Filter] = textFilters.merging(sequenceFilters) { $1 }.merging(selectionFilters) { $1 }.merging(numberFilters) { $1 }

    /// What Jinja2 has and we have not.
    private static let unsupportedFilters: Set<Text> = [
        "filesizeformat", "pprint", "random", "striptags", "urlencode", "urlize", "wordwrap", "xmlattr",
    ]

    func filter(_ name: Text, _ value: Value, _ arguments: Arguments) throws(JinjaError) -> Value {
        guard let filter = Self.filters[name] else { throw Self.missingFilter(name) }
        return try filter(self, value, arguments)
    }

    private static func missingFilter(_ name: Text) -> JinjaError {
        JinjaError(unsupportedFilters.contains(name) ? "the filter '\(name.string)' is not supported" : "no filter named '\(name.string)'")
    }

    /// What is wrong with a filter or test that there is not.
    static func missing(_ postfix: Postfix.Kind) -> JinjaError? {
        switch postfix {
        case .filter(let name, _) where filters[name] == nil: missingFilter(name)
        case .test(let name, _, _) where tests[name] == nil: JinjaError("no test named '\(name.string)'")
        default: nil
        }
    }

    /// A filter whose arguments are bound.
    static func filter(
        _ name: Text, _ parameters: [Text], required: Int = 0,
        _ body: @escaping @Sendable (Renderer, Value, BoundArguments) throws(JinjaError) -> Value
    ) -> Filter {
        { renderer, value, arguments throws(JinjaError) in
            try body(renderer, value, try arguments.bound(to: parameters, required: required, of: name))
        }
    }
}
