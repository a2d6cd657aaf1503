/// The functions that every template has.
extension Renderer {
    static let functions: [Text: @Sendable (Arguments, Renderer) throws(JinjaError) -> Value] = [
        "range": { arguments, _ throws(JinjaError) in
            let bound = try arguments.bound(to: ["start", "stop", "step"], required: 1, of: "range")
            let first = try bound.integer(0) ?? 0
            guard let end = try bound.integer(1) else { return .object(try NumberRange(start: 0, end: first, step: 1)) }
            return .object(try NumberRange(start: first, end: end, step: try bound.integer(2) ?? 1))
        },
        "dict": { arguments, renderer throws(JinjaError) in .dictionary(try renderer.dictionary(of: arguments, "dict")) },
        "namespace": { arguments, renderer throws(JinjaError) in
            let namespace = try renderer.newNamespace()
            for (key, value) in try renderer.dictionary(of: arguments, "namespace").entries {
                guard let name = key.text else { throw JinjaError("the attributes of a namespace are strings") }
                try namespace.set(name, value)
            }
            return .object(namespace)
        },
        "cycler": { arguments, renderer throws(JinjaError) in
            guard !arguments.positional.isEmpty, arguments.named.isEmpty else { throw JinjaError("cycler: at least one item has to be provided") }
            return .object(Cycler(try renderer.items(arguments.positional)))
        },
        "joiner": { arguments, renderer throws(JinjaError) in
            let separator = try arguments.bound(to: ["sep"], of: "joiner")[0] ?? .string(", ")
            return .object(Joiner(try renderer.items([separator])))
        },
        "raise_exception": { arguments, renderer throws(JinjaError) in
            let bound = try arguments.bound(to: ["message"], required: 1, of: "raise_exception")
            throw JinjaError(try renderer.text(of: bound[0] ?? .none).string)
        },
        "strftime_now": { arguments, _ throws(JinjaError) in
            let bound = try arguments.bound(to: ["format"], required: 1, of: "strftime_now")
            return .string(try TimeFormat.now(try bound.text(0) ?? ""))
        },
        "lipsum": { _, _ throws(JinjaError) in throw JinjaError("the function 'lipsum' is not supported") },
    ]

    /// Python's `dict(mapping or pairs, **named)`.
    private func dictionary(of arguments: Arguments, _ function: String) throws(JinjaError) -> OrderedDictionary {
        guard arguments.positional.count <= 1 else { throw JinjaError("\(function) expected at most 1 argument, got \(arguments.positional.count)") }
        var builder = DictionaryBuilder()
        if let source = arguments.positional.first {
            if case .undefined(let undefined) = source { throw undefined.error }
            if let dictionary = source.dictionary {
                try spend(2 * dictionary.count)
                builder = try DictionaryBuilder(dictionary)
            } else {
                for pair in try elements(of: source) {
                    let parts = try elements(of: pair)
                    guard parts.count == 2 else { throw JinjaError("\(function): expected pairs, got \(parts.count) elements") }
                    try spend(2)
                    try builder.set(parts[0], parts[1])
                }
            }
        }
        for (name, value) in arguments.named { try builder.set(.string(name), value) }
        return try builder.build(nesting: template.limits.nesting)
    }
}
