/// Refuses filters and tests that there are not, before anything is rendered.
///
/// As in Jinja2, what stands directly in an `if` block or a conditional expression is let through: a template may ask first whether there is
/// such a filter. A block inside with variables of its own is checked again.
enum FilterCheck {
    static func check(_ statements: [Statement], isConditional: Bool = false) throws(JinjaError) {
        for statement in statements {
            switch statement {
            case .text, .breakLoop, .continueLoop: break
            case .output(let expression, _), .assign(_, let expression, _): try check(expression, isConditional)
            case .conditional(let branches, let otherwise):
                for (condition, body) in branches {
                    try check(condition, true)
                    try check(body, isConditional: true)
                }
                try check(otherwise, isConditional: true)
            case .loop(let loop):
                try check(loop.iterable, isConditional)
                if let condition = loop.condition { try check(condition, false) }
                try check(loop.body)
                try check(loop.otherwise)
            case .assignBlock(_, let filters, let body, _, _), .filterBlock(let filters, let body, _, _):
                try check(filters, false)
                try check(body)
            case .macro(_, let macro): try check(macro)
            case .callBlock(let callee, let call, let caller, _):
                for expression in [callee] + call.children { try check(expression, isConditional) }
                try check(caller)
            case .with(let assignments, let body, _, _):
                for (_, value) in assignments { try check(value, isConditional) }
                try check(body)
            case .generation(let body, _, _): try check(body)
            }
        }
    }

    private static func check(_ macro: MacroDefinition) throws(JinjaError) {
        for value in macro.defaults { try check(value, false) }
        try check(macro.body)
    }

    private static func check(_ expression: Expression, _ isConditional: Bool) throws(JinjaError) {
        var isConditional = isConditional
        if case .conditional = expression { isConditional = true }
        if case .postfix(let base, let postfixes) = expression {
            try check(base, isConditional)
            try check(postfixes, isConditional)
        } else {
            for child in expression.children { try check(child, isConditional) }
        }
    }

    private static func check(_ postfixes: [Postfix], _ isConditional: Bool) throws(JinjaError) {
        for postfix in postfixes {
            if !isConditional, let error = Renderer.missing(postfix.kind) { throw error.located(at: postfix.offset) }
            for child in postfix.children { try check(child, isConditional) }
        }
    }
}
