/// A step of a template.
indirect enum Statement: Sendable {
    case text([Unicode.Scalar])
    case output(Expression, offset: Int)
    case conditional([(condition: Expression, body: [Statement])], otherwise: [Statement])
    case loop(ForLoop)
    case assign(Target, Expression, offset: Int)
    /// `{% set target | filters %}body{% endset %}`
    case assignBlock(Target, filters: [Postfix], body: [Statement], scope: Int, offset: Int)
    case macro(Name, MacroDefinition)
    /// `{% call(parameters) callee(arguments) %}body{% endcall %}`
    case callBlock(Expression, CallExpression, caller: MacroDefinition, offset: Int)
    case filterBlock([Postfix], body: [Statement], scope: Int, offset: Int)
    case with([(target: Target, value: Expression)], body: [Statement], scope: Int, offset: Int)
    /// `{% generation %}`, transformers' mark of what the assistant says.
    case generation(body: [Statement], scope: Int, offset: Int)
    case breakLoop
    case continueLoop
}

/// What can be assigned to.
indirect enum Target: Sendable {
    case name(Name)
    case tuple([Target], offset: Int)
    /// `namespace.attribute`
    case attribute(Name, Text)
}

/// A `for` block.
struct ForLoop: Sendable {
    let target: Target
    let iterable: Expression
    let condition: Expression?
    let isRecursive: Bool
    let body: [Statement]
    let otherwise: [Statement]
    let bodyScope: Int
    let conditionScope: Int
    let otherwiseScope: Int
    let offset: Int
}

/// The parameters and the body of a macro, or of a `call` block, which is the macro `caller`.
struct MacroDefinition: Sendable {
    /// nil for a `call` block.
    let name: Text?
    let parameters: [Name]
    let parameterNames: [Text]
    /// Of the last parameters.
    let defaults: [Expression]
    let body: [Statement]
    let scope: Int
    let offset: Int
}
