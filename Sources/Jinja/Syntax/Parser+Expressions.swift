extension Parser {
    /// An expression, or several with commas, which are a tuple.
    mutating func expressionOrTuple(isConditional: Bool = true, until end: Text? = nil, isParenthesized: Bool = false) throws(JinjaError)
        -> Expression
    {
        var elements: [Expression] = []
        while !isAtTupleEnd(end) {
            elements.append(isConditional ? try expression() : try or())
            guard take(symbol: ",") else {
                if elements.count == 1 { return elements[0] }
                break
            }
        }
        guard !elements.isEmpty || isParenthesized else { throw unexpected(expected: "an expression") }
        return .tuple(elements)
    }

    func isAtTupleEnd(_ end: Text?) -> Bool {
        switch current.kind {
        case .variableEnd, .blockEnd, .symbol(")"): true
        case .name(let name): name == end
        default: false
        }
    }

    /// `value if condition else otherwise`, or what binds tighter.
    mutating func expression() throws(JinjaError) -> Expression {
        try nested { parser throws(JinjaError) in
            var value = try parser.or()
            while parser.take(name: "if") {
                let condition = try parser.or()
                value = .conditional(value, condition: condition, otherwise: parser.take(name: "else") ? try parser.expression() : nil)
            }
            return value
        }
    }

    // MARK: Operators, from the loosest

    mutating func or() throws(JinjaError) -> Expression {
        var operands = [try and()]
        while take(name: "or") { operands.append(try and()) }
        return operands.count == 1 ? operands[0] : .or(operands)
    }

    private mutating func and() throws(JinjaError) -> Expression {
        var operands = [try not()]
        while take(name: "and") { operands.append(try not()) }
        return operands.count == 1 ? operands[0] : .and(operands)
    }

    private mutating func not() throws(JinjaError) -> Expression {
        guard take(name: "not") else { return try comparison() }
        return .not(try nested { parser throws(JinjaError) in try parser.not() })
    }

    private mutating func comparison() throws(JinjaError) -> Expression {
        let first = try sum()
        var rest: [(symbol: ComparisonOperator, operand: Expression, offset: Int)] = []
        while let comparison = currentComparison() {
            let offset = advance().offset
            if comparison == .notContained { advance() }
            rest.append((comparison, try sum(), offset))
        }
        return rest.isEmpty ? first : .comparison(first, rest)
    }

    private func currentComparison() -> ComparisonOperator? {
        switch current.kind {
        case .symbol(let symbol): ComparisonOperator(rawValue: symbol)
        case .name("in"): .contained
        case .name("not"): following.kind == .name("in") ? .notContained : nil
        default: nil
        }
    }

    private mutating func sum() throws(JinjaError) -> Expression {
        try arithmetic([.add, .subtract]) { parser throws(JinjaError) in try parser.concatenation() }
    }

    private mutating func concatenation() throws(JinjaError) -> Expression {
        var operands = [try product()]
        while take(symbol: "~") { operands.append(try product()) }
        return operands.count == 1 ? operands[0] : .concatenation(operands)
    }

    private mutating func product() throws(JinjaError) -> Expression {
        try arithmetic([.multiply, .divide, .floorDivide, .remainder]) { parser throws(JinjaError) in
            // In Jinja `**`, too, goes from left to right.
            try parser.arithmetic([.power]) { parser throws(JinjaError) in try parser.unary() }
        }
    }

    private mutating func arithmetic(_ operators: [ArithmeticOperator], operand: (inout Parser) throws(JinjaError) -> Expression)
        throws(JinjaError) -> Expression
    {
        let first = try operand(&self)
        var rest: [(symbol: ArithmeticOperator, operand: Expression, offset: Int)] = []
        while case .symbol(let symbol) = current.kind, let next = ArithmeticOperator(rawValue: symbol), operators.contains(next) {
            let offset = advance().offset
            rest.append((next, try operand(&self), offset))
        }
        return rest.isEmpty ? first : .arithmetic(first, rest)
    }

    /// A sign and its operand, or a value, with what follows them: filters belong to the sign's result, `-x|abs` is `(-x)|abs`.
    private mutating func unary(withFilters: Bool = true) throws(JinjaError) -> Expression {
        let offset = current.offset
        let base: Expression
        var postfixes: [Postfix] = []
        if isAt(symbol: "-") || isAt(symbol: "+") {
            let isNegative = advance().kind == .symbol("-")
            let operand = try nested { parser throws(JinjaError) in try parser.unary(withFilters: false) }
            base = isNegative ? .negative(operand, offset: offset) : .positive(operand, offset: offset)
        } else {
            base = try primary()
        }
        while let postfix = try accessOrCall() { postfixes.append(postfix) }
        if withFilters { while let postfix = try filterOrTest() { postfixes.append(postfix) } }
        return postfixes.isEmpty ? base : .postfix(base, postfixes)
    }

    // MARK: Values

    private mutating func primary() throws(JinjaError) -> Expression {
        let token = advance()
        switch token.kind {
        case .name("true"), .name("True"): return .bool(true)
        case .name("false"), .name("False"): return .bool(false)
        case .name("none"), .name("None"): return .none
        case .name(let text): return .name(name(text, at: token.offset))
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .string(var text):
            // Literals next to each other are one.
            while case .string(let next) = current.kind {
                advance()
                text.scalars += next.scalars
            }
            return .string(text)
        case .symbol("("):
            let value = try nested { parser throws(JinjaError) in try parser.expressionOrTuple(isParenthesized: true) }
            try expect(.symbol(")"))
            return value
        case .symbol("["): return .list(try list())
        case .symbol("{"): return .dictionary(try dictionary())
        default: throw JinjaError("unexpected \(token.description), expected an expression", at: token.offset)
        }
    }

    private mutating func list() throws(JinjaError) -> [Expression] {
        var elements: [Expression] = []
        while !take(symbol: "]") {
            if !elements.isEmpty {
                try expect(.symbol(","))
                if take(symbol: "]") { break }
            }
            elements.append(try expression())
        }
        return elements
    }

    private mutating func dictionary() throws(JinjaError) -> [(key: Expression, value: Expression)] {
        var members: [(key: Expression, value: Expression)] = []
        while !take(symbol: "}") {
            if !members.isEmpty {
                try expect(.symbol(","))
                if take(symbol: "}") { break }
            }
            let key = try expression()
            try expect(.symbol(":"))
            members.append((key, try expression()))
        }
        return members
    }

    // MARK: What follows a value

    private mutating func accessOrCall() throws(JinjaError) -> Postfix? {
        let offset = current.offset
        if isAt(symbol: "(") { return Postfix(kind: .call(try arguments()), offset: offset) }
        if take(symbol: "[") { return Postfix(kind: try subscripts(), offset: offset) }
        guard take(symbol: ".") else { return nil }
        switch advance().kind {
        case .name(let name): return Postfix(kind: .attribute(name), offset: offset)
        case .integer(let index): return Postfix(kind: .item(.integer(index)), offset: offset)
        default: throw JinjaError("expected a name or a number after '.'", at: offset)
        }
    }

    private mutating func filterOrTest() throws(JinjaError) -> Postfix? {
        let offset = current.offset
        if isAt(symbol: "(") { return Postfix(kind: .call(try arguments()), offset: offset) }
        if take(symbol: "|") { return try filter() }
        guard take(name: "is") else { return nil }
        let isNegated = take(name: "not")
        let name = try dottedName()
        var arguments = CallExpression()
        if isAt(symbol: "(") {
            arguments = try self.arguments()
        } else if isAtTestArgument {
            if isAt(name: "is") { throw JinjaError("tests cannot be chained with 'is'", at: current.offset) }
            let base = try nested { parser throws(JinjaError) in try parser.primary() }
            var postfixes: [Postfix] = []
            while let postfix = try accessOrCall() { postfixes.append(postfix) }
            arguments.positional = [postfixes.isEmpty ? base : .postfix(base, postfixes)]
        }
        return Postfix(kind: .test(name, arguments, isNegated: isNegated), offset: offset)
    }

    /// Whether the current token begins the argument of a test that is written without parentheses: `x is divisibleby 3`.
    private var isAtTestArgument: Bool {
        switch current.kind {
        case .name("else"), .name("or"), .name("and"): false
        case .name, .string, .integer, .number, .symbol("["), .symbol("{"): true
        default: false
        }
    }

    /// The filters of a block: `| a | b` after a target, `a | b` in a tag of its own.
    mutating func filters(isInline: Bool) throws(JinjaError) -> [Postfix] {
        var filters: [Postfix] = []
        if isInline { filters.append(try filter()) }
        while take(symbol: "|") { filters.append(try filter()) }
        return filters
    }

    private mutating func filter() throws(JinjaError) -> Postfix {
        let offset = current.offset
        let name = try dottedName()
        return Postfix(kind: .filter(name, isAt(symbol: "(") ? try arguments() : CallExpression()), offset: offset)
    }

    private mutating func dottedName() throws(JinjaError) -> Text {
        var name = try expectName().name
        while take(symbol: ".") { name.scalars += ["."] + (try expectName().name.scalars) }
        return name
    }

    /// What is inside `[ ]`, from behind the bracket on: an index, a slice, or several indices, which are a tuple.
    private mutating func subscripts() throws(JinjaError) -> Postfix.Kind {
        if let slice = try slice(first: nil) {
            try expect(.symbol("]"))
            return slice
        }
        var indices: [Expression] = []
        while !take(symbol: "]") {
            if !indices.isEmpty { try expect(.symbol(",")) }
            let index = try expression()
            if indices.isEmpty, let slice = try slice(first: index) {
                try expect(.symbol("]"))
                return slice
            }
            indices.append(index)
        }
        return .item(indices.count == 1 ? indices[0] : .tuple(indices))
    }

    /// The rest of a slice after its start; nil if this is none.
    private mutating func slice(first start: Expression?) throws(JinjaError) -> Postfix.Kind? {
        guard take(symbol: ":") else { return nil }
        var parts: [Expression?] = []
        for _ in 0..<2 {
            let isAbsent = isAt(symbol: ":") || isAt(symbol: "]")
            parts.append(isAbsent ? nil : try expression())
            if parts.count == 1, !take(symbol: ":") { break }
        }
        return .slice(start: start, end: parts[0], step: parts.count > 1 ? parts[1] : nil)
    }

    private mutating func arguments() throws(JinjaError) -> CallExpression {
        let offset = try expect(.symbol("(")).offset
        var call = CallExpression()
        func ensure(_ isInOrder: Bool) throws(JinjaError) {
            guard isInOrder else { throw JinjaError("arguments out of order: first plain ones, then named ones, *, **", at: offset) }
        }
        var isFirst = true
        while !take(symbol: ")") {
            if !isFirst {
                try expect(.symbol(","))
                if take(symbol: ")") { break }
            }
            isFirst = false
            if take(symbol: "*") {
                try ensure(call.spread == nil && call.namedSpread == nil)
                call.spread = try expression()
            } else if take(symbol: "**") {
                try ensure(call.namedSpread == nil)
                call.namedSpread = try expression()
            } else if case .name(let name) = current.kind, following.kind == .symbol("=") {
                try ensure(call.namedSpread == nil)
                let nameOffset = advance().offset
                advance()
                guard call.named.count < Self.mostArguments else { throw JinjaError("more than \(Self.mostArguments) named arguments", at: offset) }
                guard !call.named.contains(where: { $0.name == name }) else {
                    throw JinjaError("the argument '\(name.string)' is there twice", at: nameOffset)
                }
                call.named.append((name, try expression()))
            } else {
                try ensure(call.spread == nil && call.namedSpread == nil && call.named.isEmpty)
                call.positional.append(try expression())
            }
        }
        return call
    }
}
