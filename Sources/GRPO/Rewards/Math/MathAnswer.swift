/// What an answer says: a number or expression, several of them, a set of numbers, a relation, or a name.
indirect enum MathAnswer {
    case expression(MathExpression)
    /// Between braces, or between commas alone: in any order.
    case set([MathAnswer])
    /// Between parentheses: a point, or the open interval between two ends.
    case tuple([MathAnswer])
    case interval(MathAnswer, MathAnswer, isOpenBelow: Bool, isOpenAbove: Bool)
    case union([MathAnswer])
    /// Two or more sides, with `=`, `<`, `<=`, `>`, `>=` or `!=` between them.
    case relation([MathExpression], [String])
    /// A word, in lower case.
    case text(String)

    /// Whether a prediction says the same as this, the right answer.
    func isSame(as prediction: MathAnswer) -> Bool {
        var budget = MathBudget()
        return matches(prediction, &budget)
    }

    private func matches(_ prediction: MathAnswer, _ budget: inout MathBudget) -> Bool {
        guard budget.take() else { return false }
        switch (self, prediction) {
        case (.relation(let gold, let signs), .relation(let given, let others)): return Self.isSame(gold, signs, given, others, &budget)
        // x = 5 says 5.
        case (_, .relation(let sides, let signs)) where signs.allSatisfy { $0 == "=" }: return matches(.expression(sides[sides.count - 1]), &budget)
        case (.relation(let sides, let signs), _) where signs.allSatisfy({ $0 == "=" }) && sides[0].spelling != nil:
            return Self.expression(sides[sides.count - 1]).matches(prediction, &budget)
        case (.relation(let sides, let signs), _): return Self.interval(sides, signs)?.matches(prediction, &budget) ?? false
        case (.expression(let gold), .expression(let given)): return Self.isSame(gold, given, &budget)
        case (.text(let gold), .text(let given)): return gold.utf8.elementsEqual(given.utf8)
        case (.text(let word), .expression(let expression)), (.expression(let expression), .text(let word)):
            return expression.spelling.map { $0.lowercased().utf8.elementsEqual(word.utf8) } ?? false
        case (.set(let gold), .set(let given)): return Self.isSameSet(gold, given, &budget)
        case (.tuple(let gold), .tuple(let given)), (.tuple(let gold), .set(let given)), (.set(let gold), .tuple(let given)):
            return gold.count == given.count && zip(gold, given).allSatisfy { $0.matches($1, &budget) }
        case (.set(let gold), _) where gold.count == 1: return gold[0].matches(prediction, &budget)
        case (_, .set(let given)) where given.count == 1: return matches(given[0], &budget)
        case (.interval(let low, let high, let isOpenBelow, let isOpenAbove), .interval(let low2, let high2, let isOpenBelow2, let isOpenAbove2)):
            return isOpenBelow == isOpenBelow2 && isOpenAbove == isOpenAbove2 && low.matches(low2, &budget) && high.matches(high2, &budget)
        case (.interval(let low, let high, true, true), .tuple(let ends)), (.tuple(let ends), .interval(let low, let high, true, true)):
            return ends.count == 2 && low.matches(ends[0], &budget) && high.matches(ends[1], &budget)
        case (.union(let gold), .union(let given)): return Self.isSameSet(gold, given, &budget)
        default: return false
        }
    }

    /// Whether every member of one is in the other.
    private static func isSameSet(_ gold: [MathAnswer], _ given: [MathAnswer], _ budget: inout MathBudget) -> Bool {
        func contains(_ members: [MathAnswer], _ member: MathAnswer, isGold: Bool) -> Bool {
            members.contains { isGold ? $0.matches(member, &budget) : member.matches($0, &budget) }
        }
        return gold.allSatisfy { contains(given, $0, isGold: false) } && given.allSatisfy { contains(gold, $0, isGold: true) }
    }

    private static func isSame(_ gold: MathExpression, _ given: MathExpression, _ budget: inout MathBudget) -> Bool {
        switch (gold, given) {
        case (.percent(let gold), .percent(let given)): return isSame(gold, given, &budget)
        // 50 % is 0.5, and is understood as 50.
        case (.percent(let inside), let other), (let other, .percent(let inside)):
            return isSame(.product(inside, .quotient(.number(MathNumber(1)!), .number(MathNumber(100)!))), other, &budget)
                || isSame(inside, other, &budget)
        default: break
        }
        if gold.isConstant, given.isConstant {
            let (a, b) = (gold.value(at: 0, &budget), given.value(at: 0, &budget))
            return !a.value.isNaN && a.isSame(as: b)
        }
        if let word = gold.spelling, let other = given.spelling, max(word.utf8.count, other.utf8.count) > 1, word.lowercased() == other.lowercased() {
            return true
        }
        var agreed = 0
        for point in 0..<MathExpression.points {
            let (a, b) = (gold.value(at: point, &budget), given.value(at: point, &budget))
            if !a.value.isFinite, !b.value.isFinite { continue }
            guard abs(a.value - b.value) <= 1e-9 * max(abs(a.value), abs(b.value), 1) || a.isSame(as: b) else { return false }
            agreed += 1
        }
        return agreed >= 3
    }

    /// Whether two relations say the same of their variables: side by side, or as multiples of each other.
    private static func isSame(
        _ gold: [MathExpression], _ signs: [String], _ given: [MathExpression], _ others: [String], _ budget: inout MathBudget
    ) -> Bool {
        let flip = ["=": "=", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="]
        // a = b = c with a variable in front says a = c.
        func shortened(_ sides: [MathExpression], _ signs: [String]) -> [MathExpression] {
            signs.allSatisfy { $0 == "=" } && sides.count > 2 && sides[0].isSymbol ? [sides[0], sides[sides.count - 1]] : sides
        }
        let (gold, given) = (shortened(gold, signs), shortened(given, others))
        guard gold.count == given.count else { return false }
        if gold.count > 2 {
            func isEach(_ given: [MathExpression], _ others: [String]) -> Bool {
                zip(signs, others).allSatisfy(==) && zip(gold, given).allSatisfy { isSame($0, $1, &budget) }
            }
            return isEach(given, others) || isEach(given.reversed(), others.reversed().map { flip[$0] ?? $0 })
        }
        let (sign, other) = (signs[0], others[0])
        guard sign == other || flip[sign] == other else { return false }
        // left - right of one is a constant times that of the other; the constant's sign turns an inequality.
        var ratio: Double?
        var agreed = 0
        for point in 0..<MathExpression.points {
            func difference(_ sides: [MathExpression]) -> Double {
                sides[0].value(at: point, &budget).value - sides[1].value(at: point, &budget).value
            }
            let (a, b) = (difference(gold), difference(given))
            if !a.isFinite || !b.isFinite || abs(a) < 1e-9 && abs(b) < 1e-9 { continue }
            guard abs(a) > 1e-9, abs(b) > 1e-9 else { return false }
            if let ratio, abs(a / b - ratio) > 1e-6 * abs(ratio) { return false }
            ratio = ratio ?? a / b
            agreed += 1
        }
        guard agreed >= 3, let ratio else { return false }
        return sign == "=" || sign == "!=" || (ratio > 0) == (sign == other)
    }

    /// The interval that `x < 2` or `1 < x <= 2` says; nil for other relations.
    private static func interval(_ sides: [MathExpression], _ signs: [String]) -> MathAnswer? {
        let infinity = MathExpression.number(MathNumber(.infinity))
        func answer(_ low: MathExpression, _ high: MathExpression, _ below: String, _ above: String) -> MathAnswer {
            .interval(.expression(low), .expression(high), isOpenBelow: below == "<", isOpenAbove: above == "<")
        }
        let (isUp, isDown) = (signs.allSatisfy { $0.hasPrefix("<") }, signs.allSatisfy { $0.hasPrefix(">") })
        guard isUp || isDown else { return nil }
        let ordered = isUp ? sides : sides.reversed()
        let marks = (isUp ? signs : signs.reversed()).map { $0.hasSuffix("=") ? "<=" : "<" }
        if ordered.count == 3, ordered[1].isSymbol { return answer(ordered[0], ordered[2], marks[0], marks[1]) }
        guard ordered.count == 2 else { return nil }
        if ordered[0].isSymbol { return answer(.negative(infinity), ordered[1], "<", marks[0]) }
        return ordered[1].isSymbol ? answer(ordered[0], infinity, marks[0], "<") : nil
    }
}

extension MathExpression {
    /// Whether this is a variable alone.
    var isSymbol: Bool {
        if case .symbol = self { true } else { false }
    }

    /// The letters of a variable, or of a product of variables; nil for anything else.
    var spelling: String? {
        switch self {
        case .symbol(let name): name
        case .product(let a, let b): a.spelling.flatMap { first in b.spelling.map { first + $0 } }
        default: nil
        }
    }
}
