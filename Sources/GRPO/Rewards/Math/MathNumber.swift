#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A real number, as a fraction as long as it is one of 64-bit integers, and always as a `Double`.
struct MathNumber {
    /// Nearest to the number; NaN where it is none.
    let value: Double
    /// The same exactly, in lowest terms with a denominator above 0; nil for what is no fraction or does not fit.
    let fraction: (numerator: Int, denominator: Int)?
    /// Whether a decimal fraction like 0.333 has gone in, which may be rounded.
    var isDecimal = false

    init(_ value: Double, isDecimal: Bool = false) {
        self.value = value
        fraction = nil
        self.isDecimal = isDecimal
    }

    /// A fraction; nil when the denominator is 0 or the terms do not fit.
    init?(_ numerator: Int, _ denominator: Int = 1, isDecimal: Bool = false) {
        guard denominator != 0, numerator != .min, denominator != .min else { return nil }
        var (a, b) = (abs(numerator), abs(denominator))
        while b != 0 { (a, b) = (b, a % b) }
        let sign = denominator < 0 ? -1 : 1
        fraction = (sign * numerator / a, abs(denominator) / a)
        value = Double(numerator) / Double(denominator)
        self.isDecimal = isDecimal
    }

    static func + (a: Self, b: Self) -> Self {
        combine(a, b, a.value + b.value) { a, b in
            let (left, right) = (
                a.numerator.multipliedReportingOverflow(by: b.denominator), b.numerator.multipliedReportingOverflow(by: a.denominator)
            )
            let (sum, below) = (
                left.partialValue.addingReportingOverflow(right.partialValue), a.denominator.multipliedReportingOverflow(by: b.denominator)
            )
            return left.overflow || right.overflow || sum.overflow || below.overflow ? nil : (sum.partialValue, below.partialValue)
        }
    }

    static func * (a: Self, b: Self) -> Self {
        combine(a, b, a.value * b.value) { a, b in
            let (above, below) = (
                a.numerator.multipliedReportingOverflow(by: b.numerator), a.denominator.multipliedReportingOverflow(by: b.denominator)
            )
            return above.overflow || below.overflow ? nil : (above.partialValue, below.partialValue)
        }
    }

    static func / (a: Self, b: Self) -> Self {
        guard let fraction = b.fraction else { return Self(a.value / b.value, isDecimal: a.isDecimal || b.isDecimal) }
        guard let inverse = Self(fraction.denominator, fraction.numerator, isDecimal: b.isDecimal) else { return Self(.nan) }
        return a * inverse
    }

    /// This number to the power of another; exact for whole exponents.
    func power(_ exponent: Self) -> Self {
        if let whole = exponent.fraction, whole.denominator == 1, fraction != nil, (-64...64).contains(whole.numerator) {
            var result = Self(1)!
            for _ in 0..<abs(whole.numerator) { result = result * self }
            return whole.numerator < 0 ? Self(1)! / result : result
        }
        // The odd root of a negative number is real.
        if value < 0, let root = exponent.fraction, root.denominator % 2 == 1, root.denominator > 1 {
            let magnitude = pow(-value, exponent.value)
            return Self(root.numerator % 2 == 0 ? magnitude : -magnitude, isDecimal: isDecimal)
        }
        return Self(pow(value, exponent.value), isDecimal: isDecimal || exponent.isDecimal)
    }

    /// Whether both are the same number: exactly where both are exact, to six decimals where one was written as a decimal fraction (as math-verify
    /// compares), else up to rounding.
    func isSame(as other: Self) -> Bool {
        if isDecimal || other.isDecimal {
            let (a, b) = ((value * 1e6).rounded(.toNearestOrEven), (other.value * 1e6).rounded(.toNearestOrEven))
            return a == b || abs(a - b) <= 1e-12 * max(abs(a), abs(b))
        }
        if let fraction, let other = other.fraction { return fraction == other }
        return value == other.value || abs(value - other.value) <= 1e-11 * max(abs(value), abs(other.value), 1e-3)
    }

    private typealias Fraction = (numerator: Int, denominator: Int)

    private static func combine(_ a: Self, _ b: Self, _ value: Double, _ exact: (Fraction, Fraction) -> (Int, Int)?) -> Self {
        let isDecimal = a.isDecimal || b.isDecimal
        if let left = a.fraction, let right = b.fraction, let (above, below) = exact(left, right),
            let result = Self(above, below, isDecimal: isDecimal)
        {
            return result
        }
        return Self(value, isDecimal: isDecimal)
    }
}
