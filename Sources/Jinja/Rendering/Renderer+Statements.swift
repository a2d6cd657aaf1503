/// How a run of statements ended.
enum Flow {
    case end, breakLoop, continueLoop
}

extension Renderer {
    func execute(_ statements: [Statement]) throws(JinjaError) -> Flow {
        for statement in statements {
            let flow = try execute(statement)
            if flow != .end { return flow }
        }
        return .end
    }

    private func execute(_ statement: Statement) throws(JinjaError) -> Flow {
        switch statement {
        case .text(let text): try write(text)
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        case .output(let expression, let offset):
            try located(offset) { () throws(JinjaError) in try write(text(of: try evaluate(expression)).scalars) }
        case .conditional(let branches, let otherwise): return try conditional(branches, otherwise)
        case .loop(let loop): return try located(loop.offset) { () throws(JinjaError) in try nested { () throws(JinjaError) in try execute(loop) } }
        case .assign(let target, let value, let offset):
            try located(offset) { () throws(JinjaError) in try assign(try evaluate(value), to: target, in: frame) }
        case .macro(let name, let definition): set(name.id, .object(try newMacro(definition)), in: frame)
        case .assignBlock(let target, let filters, let body, let scope, let offset):
            return try located(offset) { () throws(JinjaError) in
                let (value, flow) = try filtered(filters, body, scope)
                if flow == .end { try assign(value, to: target, in: frame) }
                return flow
            }
        case .filterBlock(let filters, let body, let scope, let offset):
            return try located(offset) { () throws(JinjaError) in
                let (value, flow) = try filtered(filters, body, scope)
                if flow == .end { try write(text(of: value).scalars) }
                return flow
            }
        case .callBlock(let callee, let call, let definition, let offset):
            try located(offset) { () throws(JinjaError) in
                let caller = try newMacro(definition)
                let callee = try evaluate(callee)
                var arguments = try evaluate(call)
                guard !arguments.named.contains(where: { $0.name == "caller" }) else { throw JinjaError("the argument 'caller' is there twice") }
                arguments.named.append(("caller", .object(caller)))
                try write(text(of: try self.call(callee, arguments)).scalars)
            }
        case .with(let assignments, let body, let scope, let offset):
            return try located(offset) { () throws(JinjaError) in try nested { () throws(JinjaError) in try with(assignments, body, scope) } }
        case .generation(let body, let scope, let offset):
            try located(offset) { () throws(JinjaError) in try generation(body, scope, offset) }
        }
        return .end
    }

    /// Says where an error comes from, if nothing further in has.
    func located<Result>(_ offset: Int, _ body: () throws(JinjaError) -> Result) throws(JinjaError) -> Result {
        do { return try body() } catch { throw error.located(at: offset) }
    }

    private func conditional(_ branches: [(condition: Expression, body: [Statement])], _ otherwise: [Statement]) throws(JinjaError) -> Flow {
        try nested { () throws(JinjaError) in
            for (condition, body) in branches where try evaluate(condition).isTrue { return try execute(body) }
            return try execute(otherwise)
        }
    }

    /// The text of a body after filters; what `set` and `filter` blocks have in common.
    private func filtered(_ filters: [Postfix], _ body: [Statement], _ scope: Int) throws(JinjaError) -> (value: Value, flow: Flow) {
        try nested { () throws(JinjaError) in
            try withFrame(scope) { _ throws(JinjaError) in
                let (text, flow) = try capture { () throws(JinjaError) in try execute(body) }
                return (flow == .end ? try apply(filters, to: .string(text)) : .none, flow)
            }
        }
    }

    private func with(_ assignments: [(target: Target, value: Expression)], _ body: [Statement], _ scope: Int) throws(JinjaError) -> Flow {
        // All values belong to the outside, but one after the other.
        var values: [Value] = []
        for (_, value) in assignments { values.append(try evaluate(value)) }
        return try withFrame(scope) { frame throws(JinjaError) in
            for ((target, _), value) in zip(assignments, values) { try assign(value, to: target, in: frame) }
            return try execute(body)
        }
    }

    /// Notes where the body's text stands, as transformers does: after what the template itself has written.
    private func generation(_ body: [Statement], _ scope: Int, _ offset: Int) throws(JinjaError) {
        let start = ownOutputCount
        let block = try newMacro(
            MacroDefinition(name: nil, parameters: [], parameterNames: [], defaults: [], body: body, scope: scope, offset: offset))
        let text = try text(of: try block.call(Arguments(), self)).scalars
        generations.append(start..<start + text.count)
        try write(text)
    }

    // MARK: Loops

    private func execute(_ loop: ForLoop) throws(JinjaError) -> Flow {
        guard loop.isRecursive else { return try run(loop, over: try evaluate(loop.iterable), depth0: 0, recurse: nil) }
        let outer = frame
        // The closure lives as long as the loop's variable, which is emptied with this call.
        func render(_ value: Value, _ depth0: Int) throws(JinjaError) -> Value {
            try nested { () throws(JinjaError) in
                let inner = frame
                frame = outer
                defer { frame = inner }
                return .string(try capture { () throws(JinjaError) in try run(loop, over: value, depth0: depth0, recurse: render) }.text)
            }
        }
        try write(text(of: try render(try evaluate(loop.iterable), 0)).scalars)
        return .end
    }

    private func run(_ loop: ForLoop, over value: Value, depth0: Int, recurse: ((Value, Int) throws(JinjaError) -> Value)?)
        throws(JinjaError) -> Flow
    {
        let outer = frame
        var condition: ((Value, Renderer) throws(JinjaError) -> Bool)?
        if let expression = loop.condition {
            let conditionFrame = Frame(scope: loop.conditionScope, values: initialValues(of: loop.conditionScope, parent: outer), parent: outer)
            condition = { element, renderer throws(JinjaError) in
                let inner = renderer.frame
                renderer.frame = conditionFrame
                defer { renderer.frame = inner }
                try renderer.assign(element, to: loop.target, in: conditionFrame)
                return try renderer.evaluate(expression).isTrue
            }
        }
        let state = try Loop(over: value, self, condition: condition, depth0: depth0, recurse: recurse)
        var isElseDue = true
        let inner = Frame(scope: loop.bodyScope, values: [], parent: outer)
        frame = inner
        defer { frame = outer }
        while let element = try state.advance(self) {
            try spend(inner.values.count)
            inner.values = initialValues(of: loop.bodyScope, parent: outer)
            if let id = loopName { set(id, .object(state), in: inner) }
            try assign(element, to: loop.target, in: inner)
            let flow = try execute(loop.body)
            if flow == .breakLoop { break }
            // As in Jinja2: `else` is left out once an iteration has come to its end.
            if flow == .end { isElseDue = false }
        }
        frame = outer
        guard isElseDue, !loop.otherwise.isEmpty else { return .end }
        return try withFrame(loop.otherwiseScope) { _ throws(JinjaError) in try execute(loop.otherwise) }
    }
}
