/// A variable's name: its index in the template's table of names, and where it stands.
struct Name: Sendable {
    let id: Int
    let offset: Int
}

/// Something with a value.
///
/// What may be long without being nested (chains of operators, of `.a[b]|c`) is one node with a list, so that nesting alone bounds recursion.
indirect enum Expression: Sendable {
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(Text)
    case name(Name)
    case list([Expression])
    case tuple([Expression])
    case dictionary([(key: Expression, value: Expression)])
    /// `a + b - c`, from left to right; operators of one precedence.
    case arithmetic(Expression, [(symbol: ArithmeticOperator, operand: Expression, offset: Int)])
    case negative(Expression, offset: Int)
    case positive(Expression, offset: Int)
    /// `a ~ b`
    case concatenation([Expression])
    /// `a < b <= c`, which compares neighbours.
    case comparison(Expression, [(symbol: ComparisonOperator, operand: Expression, offset: Int)])
    case not(Expression)
    case and([Expression])
    case or([Expression])
    /// `value if condition else otherwise`
    case conditional(Expression, condition: Expression, otherwise: Expression?)
    /// `base.a[b](c)|d is e`
    case postfix(Expression, [Postfix])
}

/// What follows a value and makes another of it.
struct Postfix: Sendable {
    indirect enum Kind: Sendable {
        case attribute(Text)
        case item(Expression)
        case slice(start: Expression?, end: Expression?, step: Expression?)
        case call(CallExpression)
        case filter(Text, CallExpression)
        case test(Text, CallExpression, isNegated: Bool)
    }

    let kind: Kind
    let offset: Int
}

/// Arguments as they are written.
struct CallExpression: Sendable {
    var positional: [Expression] = []
    var named: [(name: Text, value: Expression)] = []
    /// `*args`
    var spread: Expression?
    /// `**kwargs`
    var namedSpread: Expression?
}

enum ArithmeticOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case remainder = "%"
    case power = "**"
}

enum ComparisonOperator: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case contained = "in"
    case notContained = "not in"
}
