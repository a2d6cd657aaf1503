extension Expression {
    /// The expressions directly inside, in the order in which Jinja2 looks at them.
    var children: [Expression] {
        switch self {
        case .none, .bool, .integer, .number, .string, .name: []
        case .list(let parts), .tuple(let parts), .concatenation(let parts), .and(let parts), .or(let parts): parts
        case .dictionary(let members): members.flatMap { [$0.key, $0.value] }
        case .arithmetic(let first, let rest): [first] + rest.map(\.operand)
        case .comparison(let first, let rest): [first] + rest.map(\.operand)
        case .negative(let operand, _), .positive(let operand, _), .not(let operand): [operand]
        case .conditional(let value, let condition, let otherwise): [condition, value] + (otherwise.map { [$0] } ?? [])
        case .postfix(let base, let postfixes): [base] + postfixes.flatMap(\.children)
        }
    }

    /// Every variable that the expression reads, in that order.
    func forEachName(_ visit: (Name) -> Void) {
        if case .name(let name) = self { visit(name) }
        for child in children { child.forEachName(visit) }
    }
}

extension Postfix {
    var children: [Expression] {
        switch kind {
        case .attribute: []
        case .item(let index): [index]
        case .slice(let start, let end, let step): [start, end, step].compactMap(\.self)
        case .call(let call), .filter(_, let call), .test(_, let call, _): call.children
        }
    }

    func forEachName(_ visit: (Name) -> Void) {
        for child in children { child.forEachName(visit) }
    }
}

extension CallExpression {
    var children: [Expression] { positional + named.map(\.value) + [spread, namedSpread].compactMap(\.self) }

    func forEachName(_ visit: (Name) -> Void) {
        for child in children { child.forEachName(visit) }
    }
}
