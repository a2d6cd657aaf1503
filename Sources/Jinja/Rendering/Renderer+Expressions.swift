extension Renderer {
    func evaluate(_ expression: Expression) throws(JinjaError) -> Value {
        charge(1)
        switch expression {
        case .none: return .none
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .string(let text): return .string(text)
        case .name(let name): return value(of: name)
        default: return try nested { () throws(JinjaError) in try evaluateCompound(expression) }
        }
    }

    private func evaluateCompound(_ expression: Expression) throws(JinjaError) -> Value {
        switch expression {
        case .list(let elements): return try list(try evaluate(elements))
        case .tuple(let elements): return try tuple(try evaluate(elements))
        case .dictionary(let members): return try evaluate(members)
        case .arithmetic(let first, let rest): return try evaluate(first, rest)
        case .comparison(let first, let rest): return .bool(try evaluate(first, rest))
        case .concatenation(let operands): return try concatenation(operands)
        case .negative(let operand, let offset):
            let value = try evaluate(operand)
            return try located(offset) { () throws(JinjaError) in try negative(of: value) }
        case .positive(let operand, let offset):
            let value = try evaluate(operand)
            return try located(offset) { () throws(JinjaError) in try positive(of: value) }
        case .not(let operand): return .bool(!(try evaluate(operand).isTrue))
        case .and(let operands): return try firstOrLast(operands) { !$0.isTrue }
        case .or(let operands): return try firstOrLast(operands) { $0.isTrue }
        case .conditional(let value, let condition, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(value) }
            if let otherwise { return try evaluate(otherwise) }
            return .undefined(Undefined("the inline if-expression evaluated to false and has no else"))
        case .postfix(let base, let postfixes):
            var value = try evaluate(base)
            for postfix in postfixes { value = try located(postfix.offset) { () throws(JinjaError) in try apply(postfix, to: value) } }
            return value
        case .none, .bool, .integer, .number, .string, .name: return try evaluate(expression)
        }
    }

    private func evaluate(_ expressions: [Expression]) throws(JinjaError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    private func evaluate(_ members: [(key: Expression, value: Expression)]) throws(JinjaError) -> Value {
        var entries: [(Value, Value)] = []
        for (key, value) in members { entries.append((try evaluate(key), try evaluate(value))) }
        return try dictionary(entries)
    }

    private func evaluate(_ first: Expression, _ rest: [(symbol: ArithmeticOperator, operand: Expression, offset: Int)])
        throws(JinjaError) -> Value
    {
        var value = try evaluate(first)
        for (arithmetic, operand, offset) in rest {
            let right = try evaluate(operand)
            value = try located(offset) { () throws(JinjaError) in try compute(value, arithmetic, right) }
        }
        return value
    }

    /// `a < b < c` compares neighbours and stops at the first that does not hold.
    private func evaluate(_ first: Expression, _ rest: [(symbol: ComparisonOperator, operand: Expression, offset: Int)])
        throws(JinjaError) -> Bool
    {
        var left = try evaluate(first)
        for (comparison, operand, offset) in rest {
            let right = try evaluate(operand)
            guard try located(offset, { () throws(JinjaError) in try compare(left, comparison, right) }) else { return false }
            left = right
        }
        return true
    }

    private func concatenation(_ operands: [Expression]) throws(JinjaError) -> Value {
        var scalars: [Unicode.Scalar] = []
        for operand in operands {
            let text = try text(of: try evaluate(operand))
            try spend(characters: text.count)
            scalars += text.scalars
        }
        return .string(Text(scalars))
    }

    /// Python's `and` and `or` give an operand, not a truth value.
    private func firstOrLast(_ operands: [Expression], where isDecisive: (Value) -> Bool) throws(JinjaError) -> Value {
        var value = Value.none
        for operand in operands {
            value = try evaluate(operand)
            if isDecisive(value) { return value }
        }
        return value
    }

    // MARK: What follows a value

    func apply(_ filters: [Postfix], to value: Value) throws(JinjaError) -> Value {
        var value = value
        for filter in filters { value = try located(filter.offset) { () throws(JinjaError) in try apply(filter, to: value) } }
        return value
    }

    private func apply(_ postfix: Postfix, to value: Value) throws(JinjaError) -> Value {
        try spend(1)
        switch postfix.kind {
        case .attribute(let name): return try attribute(name, of: value)
        case .item(let index): return try item(try evaluate(index), of: value)
        case .slice(let start, let end, let step):
            return try slice(value, from: try bound(start), to: try bound(end), by: try bound(step) ?? 1)
        case .call(let call): return try self.call(value, try evaluate(call))
        case .filter(let name, let call): return try filter(name, value, try evaluate(call))
        case .test(let name, let call, let isNegated): return .bool(try test(name, value, try evaluate(call)) != isNegated)
        }
    }

    private func bound(_ expression: Expression?) throws(JinjaError) -> Int? {
        guard let expression else { return nil }
        let value = try evaluate(expression)
        if case .none = value { return nil }
        guard let bound = value.wholeNumber else { throw JinjaError("slice indices must be integers or none, not '\(value.typeName)'") }
        return bound
    }

    func evaluate(_ call: CallExpression) throws(JinjaError) -> Arguments {
        var arguments = Arguments(try evaluate(call.positional))
        for (name, value) in call.named { arguments.named.append((name, try evaluate(value))) }
        if let spread = call.spread { arguments.positional += try elements(of: try evaluate(spread)) }
        if let spread = call.namedSpread {
            guard case .dictionary(let dictionary) = try evaluate(spread) else { throw JinjaError("argument after ** must be a mapping") }
            guard dictionary.count + arguments.named.count <= Parser.mostArguments else {
                throw JinjaError("more than \(Parser.mostArguments) named arguments")
            }
            for (key, value) in dictionary.entries {
                guard let name = key.text else { throw JinjaError("keywords must be strings") }
                guard !arguments.named.contains(where: { $0.name == name }) else {
                    throw JinjaError("got two values for the argument '\(name.string)'")
                }
                arguments.named.append((name, value))
            }
        }
        return arguments
    }

    func call(_ callee: Value, _ arguments: Arguments) throws(JinjaError) -> Value {
        switch callee {
        case .object(let object) where object.isCallable: return try object.call(arguments, self)
        case .undefined(let undefined): throw undefined.error
        default: throw JinjaError("'\(callee.typeName)' object is not callable")
        }
    }
}
