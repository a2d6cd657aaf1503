/// The arguments of a call, evaluated.
struct Arguments {
    var positional: [Value] = []
    var named: [(name: Text, value: Value)] = []

    init(_ positional: [Value] = []) { self.positional = positional }

    /// The arguments in the order of a function's parameters; nil where one is not given.
    /// - Throws: as Python does for too many, unknown or missing ones.
    func bound(to parameters: [Text], required: Int = 0, of function: Text) throws(JinjaError) -> BoundArguments {
        guard positional.count <= parameters.count else {
            throw JinjaError("\(function.string)() takes at most \(parameters.count) arguments (\(positional.count) given)")
        }
        var values: [Value?] = positional + Array(repeating: nil, count: parameters.count - positional.count)
        for (name, value) in named {
            guard let index = parameters.firstIndex(of: name) else {
                throw JinjaError("\(function.string)() has no parameter '\(name.string)'")
            }
            guard values[index] == nil else { throw JinjaError("\(function.string)() got two values for '\(name.string)'") }
            values[index] = value
        }
        for index in 0..<required where values[index] == nil {
            throw JinjaError("\(function.string)() misses the argument '\(parameters[index].string)'")
        }
        return BoundArguments(values: values, names: parameters, function: function)
    }
}

/// Arguments by the place of their parameter.
struct BoundArguments {
    fileprivate let values: [Value?]
    fileprivate let names: [Text]
    fileprivate let function: Text

    subscript(index: Int) -> Value? { values[index] }

    /// The value, or nil where none or `none` was given.
    func optional(_ index: Int) -> Value? {
        if case .none? = values[index] { return nil }
        return values[index]
    }

    func isTrue(_ index: Int) -> Bool { values[index]?.isTrue ?? false }

    func integer(_ index: Int) throws(JinjaError) -> Int? {
        guard let value = values[index] else { return nil }
        guard let integer = value.wholeNumber else { throw mismatch(index, value, expected: "an integer") }
        return integer
    }

    func text(_ index: Int) throws(JinjaError) -> Text? {
        guard let value = values[index] else { return nil }
        guard let text = value.text else { throw mismatch(index, value, expected: "a string") }
        return text
    }

    private func mismatch(_ index: Int, _ value: Value, expected: String) -> JinjaError {
        if case .undefined(let undefined) = value { return undefined.error }
        return JinjaError("\(function.string)(): '\(names[index].string)' must be \(expected), not '\(value.typeName)'")
    }
}
