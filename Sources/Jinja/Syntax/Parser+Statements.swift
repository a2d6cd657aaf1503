extension Parser {
    /// Statements up to a tag of one of these names, which stays the current token; without names, up to the end of the template.
    mutating func statements(until ends: [Text], opener: (name: String, offset: Int)?) throws(JinjaError) -> [Statement] {
        var statements: [Statement] = []
        while true {
            let token = current
            switch token.kind {
            case .data(let text):
                advance()
                statements.append(.text(text.scalars))
            case .variableBegin:
                advance()
                statements.append(.output(try expressionOrTuple(), offset: token.offset))
                try expect(.variableEnd)
            case .blockBegin:
                advance()
                if case .name(let name) = current.kind, ends.contains(name) { return statements }
                statements.append(contentsOf: try nested { parser throws(JinjaError) in try parser.statement(until: ends) })
                try expect(.blockEnd)
            case .end:
                guard let opener else { return statements }
                let expected = ends.map(\.string).joined(separator: "' or '")
                throw JinjaError("the block '\(opener.name)' is not closed: '\(expected)' is missing", at: opener.offset)
            default: throw unexpected(expected: "text or a tag")
            }
        }
    }

    /// The body of a block, from the end of its opening tag; its closing tag is the current token afterwards.
    private mutating func body(of opener: (name: String, offset: Int), until ends: Text...) throws(JinjaError) -> [Statement] {
        // Python's colon is allowed.
        _ = take(symbol: ":")
        try expect(.blockEnd)
        return try statements(until: ends, opener: opener)
    }

    /// The body of a block with a single closing tag, which is taken.
    private mutating func wholeBody(of opener: (name: String, offset: Int)) throws(JinjaError) -> [Statement] {
        let body = try body(of: opener, until: Text("end" + opener.name))
        advance()
        return body
    }

    private mutating func statement(until ends: [Text]) throws(JinjaError) -> [Statement] {
        guard case .name(let tag) = current.kind else { throw unexpected(expected: "the name of a tag") }
        let opener = (name: tag.string, offset: advance().offset)
        switch tag {
        case "if": return [try conditional(opener)]
        case "for": return [try loop(opener)]
        case "set": return [try assignment(opener)]
        case "macro": return [try macro(opener)]
        case "call": return [try callBlock(opener)]
        case "filter":
            let filters = try filters(isInline: true)
            return [.filterBlock(filters, body: try wholeBody(of: opener), scope: newScope(), offset: opener.offset)]
        case "with": return [try with(opener)]
        case "generation":
            return [.generation(body: try functionBody(of: opener), scope: newScope(), offset: opener.offset)]
        case "print": return try printed(opener)
        case "break", "continue":
            guard loopDepth > 0 else { throw JinjaError("'\(opener.name)' outside of a loop", at: opener.offset) }
            return [tag == "break" ? .breakLoop : .continueLoop]
        case "include", "import", "from", "extends", "block":
            throw JinjaError("the tag '\(opener.name)' is not supported: a template here stands alone", at: opener.offset)
        case "autoescape", "do", "trans", "debug":
            throw JinjaError("the tag '\(opener.name)' is not supported", at: opener.offset)
        default:
            let expected = ends.isEmpty ? "" : "; the open block waits for '\(ends.map(\.string).joined(separator: "' or '"))'"
            throw JinjaError("unknown tag '\(opener.name)'\(expected)", at: opener.offset)
        }
    }

    private mutating func conditional(_ opener: (name: String, offset: Int)) throws(JinjaError) -> Statement {
        var branches: [(condition: Expression, body: [Statement])] = []
        while true {
            let condition = try expressionOrTuple(isConditional: false)
            branches.append((condition, try body(of: opener, until: "elif", "else", "endif")))
            if take(name: "elif") { continue }
            if take(name: "else") {
                let otherwise = try body(of: opener, until: "endif")
                advance()
                return .conditional(branches, otherwise: otherwise)
            }
            advance()
            return .conditional(branches, otherwise: [])
        }
    }

    private mutating func loop(_ opener: (name: String, offset: Int)) throws(JinjaError) -> Statement {
        // Inside already, so that `loop` cannot be the target.
        loopDepth += 1
        let target = try target(until: "in")
        try expect(.name("in"))
        let iterable = try expressionOrTuple(isConditional: false, until: "recursive")
        let condition = take(name: "if") ? try expression() : nil
        let isRecursive = take(name: "recursive")
        let body = try body(of: opener, until: "endfor", "else")
        loopDepth -= 1
        var otherwise: [Statement] = []
        if take(name: "else") { otherwise = try self.body(of: opener, until: "endfor") }
        advance()
        return .loop(
            ForLoop(
                target: target, iterable: iterable, condition: condition, isRecursive: isRecursive, body: body, otherwise: otherwise,
                bodyScope: newScope(), conditionScope: newScope(), otherwiseScope: newScope(), offset: opener.offset))
    }

    private mutating func assignment(_ opener: (name: String, offset: Int)) throws(JinjaError) -> Statement {
        let target = try target(withAttributes: true)
        if take(symbol: "=") { return .assign(target, try expressionOrTuple(), offset: opener.offset) }
        let filters = try filters(isInline: false)
        return .assignBlock(target, filters: filters, body: try wholeBody(of: opener), scope: newScope(), offset: opener.offset)
    }

    private mutating func with(_ opener: (name: String, offset: Int)) throws(JinjaError) -> Statement {
        var assignments: [(target: Target, value: Expression)] = []
        while !isAt(.blockEnd) {
            if !assignments.isEmpty { try expect(.symbol(",")) }
            let target = try target()
            try expect(.symbol("="))
            assignments.append((target, try expression()))
        }
        return .with(assignments, body: try wholeBody(of: opener), scope: newScope(), offset: opener.offset)
    }

    private mutating func printed(_ opener: (name: String, offset: Int)) throws(JinjaError) -> [Statement] {
        var outputs: [Statement] = []
        while !isAt(.blockEnd) {
            if !outputs.isEmpty { try expect(.symbol(",")) }
            outputs.append(.output(try expression(), offset: opener.offset))
        }
        return outputs
    }

    // MARK: Macros

    private mutating func macro(_ opener: (name: String, offset: Int)) throws(JinjaError) -> Statement {
        let (text, offset) = try expectName()
        let (parameters, names, defaults) = try signature()
        let definition = MacroDefinition(
            name: text, parameters: parameters, parameterNames: names, defaults: defaults, body: try functionBody(of: opener),
            scope: newScope(), offset: opener.offset)
        return .macro(name(text, at: offset), definition)
    }

    private mutating func callBlock(_ opener: (name: String, offset: Int)) throws(JinjaError) -> Statement {
        let (parameters, names, defaults) = isAt(symbol: "(") ? try signature() : ([], [], [])
        let offset = current.offset
        guard case .postfix(let base, var postfixes) = try expression(), case .call(let call)? = postfixes.popLast()?.kind else {
            throw JinjaError("expected a call", at: offset)
        }
        let caller = MacroDefinition(
            name: nil, parameters: parameters, parameterNames: names, defaults: defaults, body: try functionBody(of: opener),
            scope: newScope(), offset: opener.offset)
        return .callBlock(postfixes.isEmpty ? base : .postfix(base, postfixes), call, caller: caller, offset: opener.offset)
    }

    /// A body that is a function of its own: `break` does not leave it.
    private mutating func functionBody(of opener: (name: String, offset: Int)) throws(JinjaError) -> [Statement] {
        let outer = loopDepth
        loopDepth = 0
        let body = try wholeBody(of: opener)
        loopDepth = outer
        return body
    }

    /// `(a, b=1)`
    private mutating func signature() throws(JinjaError) -> (parameters: [Name], names: [Text], defaults: [Expression]) {
        var parameters: [Name] = []
        var names: [Text] = []
        var defaults: [Expression] = []
        try expect(.symbol("("))
        while !isAt(symbol: ")") {
            if !parameters.isEmpty { try expect(.symbol(",")) }
            let (text, offset) = try expectName()
            guard parameters.count < Self.mostArguments else { throw JinjaError("more than \(Self.mostArguments) parameters", at: offset) }
            guard !names.contains(text) else { throw JinjaError("the parameter '\(text.string)' is there twice", at: offset) }
            parameters.append(name(text, at: offset))
            names.append(text)
            if take(symbol: "=") {
                defaults.append(try expression())
            } else if !defaults.isEmpty {
                throw JinjaError("a parameter without a default follows one with a default", at: offset)
            }
        }
        advance()
        return (parameters, names, defaults)
    }

    // MARK: Targets

    /// What is assigned to: a name, a tuple of them or, where `withAttributes`, a namespace's attribute.
    private mutating func target(withAttributes: Bool = false, until end: Text? = nil) throws(JinjaError) -> Target {
        let offset = current.offset
        var targets: [Target] = []
        while true {
            if !targets.isEmpty, isAtTupleEnd(end) { return .tuple(targets, offset: offset) }
            targets.append(try singleTarget(withAttributes))
            guard take(symbol: ",") else { break }
            if isAtTupleEnd(end) { return .tuple(targets, offset: offset) }
        }
        return targets.count == 1 ? targets[0] : .tuple(targets, offset: offset)
    }

    private mutating func singleTarget(_ withAttributes: Bool) throws(JinjaError) -> Target {
        let offset = current.offset
        if take(symbol: "(") {
            let target = try nested { parser throws(JinjaError) in try parser.target(withAttributes: withAttributes) }
            try expect(.symbol(")"))
            return target
        }
        let text = try expectName().name
        guard !["true", "false", "none", "True", "False", "None"].contains(text) else {
            throw JinjaError("cannot assign to '\(text.string)'", at: offset)
        }
        if withAttributes, take(symbol: ".") { return .attribute(name(text, at: offset), try expectName().name) }
        guard text != "loop" || loopDepth == 0 else { throw JinjaError("cannot assign to the loop's own variable 'loop'", at: offset) }
        return .name(name(text, at: offset))
    }
}
