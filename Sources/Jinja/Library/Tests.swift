/// What `value is name(arguments)` asks.
typealias Test = @Sendable (Renderer, Value, Arguments) throws(JinjaError) -> Bool

extension Renderer {
    /// Jinja2's tests.
    static let tests: [Text: Test] = {
        var tests: [Text: Test] = [
            "defined": test { _, value in if case .undefined = value { false } else { true } },
            "undefined": test { _, value in if case .undefined = value { true } else { false } },
            "none": test { _, value in if case .none = value { true } else { false } },
            "boolean": test { _, value in if case .bool = value { true } else { false } },
            "true": test { _, value in if case .bool(true) = value { true } else { false } },
            "false": test { _, value in if case .bool(false) = value { true } else { false } },
            "integer": test { _, value in if case .integer = value { true } else { false } },
            "float": test { _, value in if case .number = value { true } else { false } },
            "number": test { _, value in value.double != nil },
            "string": test { _, value in value.text != nil },
            "mapping": test { _, value in value.dictionary != nil },
            "callable": test { _, value in
                switch value {
                // Undefined can be called, which is an error.
                case .undefined: true
                case .object(let object): object.isCallable
                default: false
                }
            },
            "escaped": test { _, value in value.text?.isMarkup ?? false },
            "iterable": test { _, value in
                switch value {
                case .none, .bool, .integer, .number: false
                case .object(let object): object.length != nil || object is Iterator || object is Loop
                default: true
                }
            },
            "sequence": test { _, value in
                switch value {
                case .none, .bool, .integer, .number: false
                case .object(let object): object is NumberRange
                default: true
                }
            },
            "lower": test { renderer, value throws(JinjaError) in try renderer.textToTest(value).isLowercase },
            "upper": test { renderer, value throws(JinjaError) in try renderer.textToTest(value).isUppercase },
            "odd": test { renderer, value throws(JinjaError) in try renderer.remainder(value, .integer(2), equals: .integer(1)) },
            "even": test { renderer, value throws(JinjaError) in try renderer.remainder(value, .integer(2), equals: .integer(0)) },
            "divisibleby": test("num") { renderer, value, number throws(JinjaError) in
                try renderer.remainder(value, number, equals: .integer(0))
            },
            "in": test("seq") { renderer, value, container throws(JinjaError) in try renderer.contains(container, value) },
            "sameas": test("other") { _, value, other in value.isIdentical(to: other) },
            "filter": test { _, value in value.text.map { filters[$0] != nil } ?? false },
            "test": test { _, value in value.text.map { Renderer.tests[$0] != nil } ?? false },
        ]
        let comparisons: [(ComparisonOperator, [Text])] = [
            (.equal, ["eq", "equalto", "=="]), (.notEqual, ["ne", "!="]), (.less, ["lt", "lessthan", "<"]), (.lessOrEqual, ["le", "<="]),
            (.greater, ["gt", "greaterthan", ">"]), (.greaterOrEqual, ["ge", ">="]),
        ]
        for (comparison, names) in comparisons {
            for name in names {
                tests[name] = test("other") { renderer, value, other throws(JinjaError) in try renderer.compare(value, comparison, other) }
            }
        }
        return tests
    }()

    func test(_ name: Text, _ value: Value, _ arguments: Arguments) throws(JinjaError) -> Bool {
        guard let test = Self.tests[name] else { throw JinjaError("no test named '\(name.string)'") }
        return try test(self, value, arguments)
    }

    private static func test(_ ask: @escaping @Sendable (Renderer, Value) throws(JinjaError) -> Bool) -> Test {
        { renderer, value, arguments throws(JinjaError) in
            _ = try arguments.bound(to: [], of: "test")
            return try ask(renderer, value)
        }
    }

    private static func test(_ parameter: Text, _ ask: @escaping @Sendable (Renderer, Value, Value) throws(JinjaError) -> Bool) -> Test {
        { renderer, value, arguments throws(JinjaError) in
            let bound = try arguments.bound(to: [parameter], required: 1, of: "test")
            return try ask(renderer, value, bound[0] ?? .none)
        }
    }

    private func textToTest(_ value: Value) throws(JinjaError) -> Text {
        let text = try text(of: value)
        try spend(text.count)
        return text
    }

    private func remainder(_ value: Value, _ divisor: Value, equals wanted: Value) throws(JinjaError) -> Bool {
        try equal(try compute(value, .remainder, divisor), wanted)
    }
}

extension Value {
    /// Python's `is`: the one `none`, `true` and `false` there are, and objects by identity; numbers and strings, where Python promises
    /// nothing, by value.
    fileprivate func isIdentical(to other: Value) -> Bool {
        switch (self, other) {
        case (.none, .none): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a == b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)): a === b
        case (.dictionary(let a), .dictionary(let b)): a === b
        case (.object(let a), .object(let b)): a === b
        case (.undefined(let a), .undefined(let b)): a === b
        default: false
        }
    }
}
