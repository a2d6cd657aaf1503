#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// An expression of numbers, variables and functions.
indirect enum MathExpression {
    case number(MathNumber)
    /// A variable; its name may be that of a Greek letter or have an index.
    case symbol(String)
    case sum(MathExpression, MathExpression)
    case product(MathExpression, MathExpression)
    case quotient(MathExpression, MathExpression)
    case power(MathExpression, MathExpression)
    /// A hundredth; an answer of 50 % is also understood as 50.
    case percent(MathExpression)
    case function(String, [MathExpression])

    static func negative(_ expression: Self) -> Self { .product(.number(MathNumber(-1)!), expression) }

    /// The functions, of the number of arguments given.
    static let functions: [String: @Sendable ([Double]) -> Double] = [
        "sin": { sin($0[0]) }, "cos": { cos($0[0]) }, "tan": { tan($0[0]) }, "cot": { 1 / tan($0[0]) }, "sec": { 1 / cos($0[0]) },
        "csc": { 1 / sin($0[0]) }, "arcsin": { asin($0[0]) }, "arccos": { acos($0[0]) }, "arctan": { atan($0[0]) }, "sinh": { sinh($0[0]) },
        "cosh": { cosh($0[0]) }, "tanh": { tanh($0[0]) }, "ln": { log($0[0]) }, "exp": { exp($0[0]) }, "log": { log($0[1]) / log($0[0]) },
        "abs": { abs($0[0]) }, "floor": { $0[0].rounded(.down) }, "ceil": { $0[0].rounded(.up) },
        "factorial": { factorial($0[0]) }, "binom": { binomial($0[0], $0[1]) },
    ]

    /// The value with variables at the point of that number, NaN where there is none; takes a step from the budget for every part.
    func value(at point: Int, _ budget: inout MathBudget) -> MathNumber {
        guard budget.take() else { return MathNumber(.nan) }
        switch self {
        case .number(let number): return number
        case .symbol(let name): return MathNumber(Self.coordinate(of: name, at: point))
        case .sum(let a, let b): return a.value(at: point, &budget) + b.value(at: point, &budget)
        case .product(let a, let b): return a.value(at: point, &budget) * b.value(at: point, &budget)
        case .quotient(let a, let b): return a.value(at: point, &budget) / b.value(at: point, &budget)
        case .power(let a, let b): return a.value(at: point, &budget).power(b.value(at: point, &budget))
        case .percent(let a): return a.value(at: point, &budget) * MathNumber(1, 100)!
        case .function(let name, let arguments):
            let values = arguments.map { $0.value(at: point, &budget) }
            guard let function = Self.functions[name] else { return MathNumber(.nan) }
            let result = function(values.map(\.value))
            // Factorials, binomials, floors and absolute values of whole numbers are whole.
            if result.magnitude < 0x1p53, result == result.rounded(), ["abs", "floor", "ceil", "factorial", "binom"].contains(name),
                let whole = MathNumber(Int(result))
            {
                return whole
            }
            return MathNumber(result, isDecimal: values.contains(where: \.isDecimal))
        }
    }

    /// Whether no variable is in it.
    var isConstant: Bool {
        switch self {
        case .number: true
        case .symbol: false
        case .sum(let a, let b), .product(let a, let b), .quotient(let a, let b), .power(let a, let b): a.isConstant && b.isConstant
        case .percent(let a): a.isConstant
        case .function(_, let arguments): arguments.allSatisfy(\.isConstant)
        }
    }

    /// Points at which expressions with variables are compared: an identity of two short expressions holds at all of them or, but for luck, at none.
    static let points = 12

    /// A number of magnitude 0.5 to 3.5, of either sign, from the name and the point alone.
    private static func coordinate(of name: String, at point: Int) -> Double {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325 &+ UInt64(point) &* 0x9E37_79B9_7F4A_7C15
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        hash = (hash ^ hash >> 31) &* 0xBF58_476D_1CE4_E5B9
        let magnitude = 0.5 + 3 * Double(hash >> 11) * 0x1p-53
        // Half of the points have positive variables only, where roots and logarithms are real.
        return point % 2 == 1 && hash & 1 == 1 ? -magnitude : magnitude
    }

    private static func factorial(_ n: Double) -> Double { n >= 0 && n <= 170 && n == n.rounded() ? tgamma(n + 1).rounded() : .nan }

    private static func binomial(_ n: Double, _ k: Double) -> Double {
        guard n == n.rounded(), k == k.rounded(), k >= 0, k <= n, n <= 1000 else { return .nan }
        return (0..<Int(min(k, n - k))).reduce(1.0) { ($0 * (n - Double($1)) / Double($1 + 1)).rounded() }
    }
}

/// Steps that one comparison of answers may take, so that none takes long: no timer, no signal, and the same on every machine.
struct MathBudget {
    private var left = 200_000

    /// Takes a step; false when none is left.
    mutating func take() -> Bool {
        left -= 1
        return left >= 0
    }
}
