#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// How likely it is that of k completions of a problem at least one is right.
///
/// Estimated without bias from n >= k completions of which c are right, 1 - C(n-c, k) / C(n, k), and averaged over problems (Chen et al., "Evaluating Large
/// Language Models Trained on Code", 2021, equation 1).
public struct PassAtK: Sendable {
    /// Completions that are looked at.
    public let k: Int
    /// The mean over all problems.
    public let estimate: Double
    /// Where the mean over all problems of this kind lies with 95 % confidence: Wilson's interval with a problem as one trial. It is too wide rather than
    /// too narrow, since an estimate between 0 and 1 varies less than a coin.
    public let interval: ClosedRange<Double>

    /// - Parameters:
    ///   - right: for each problem, which of its completions are right; at least one problem, and at least k completions each.
    public init(k: Int, right: [[Bool]]) {
        precondition(k > 0 && !right.isEmpty && right.allSatisfy { $0.count >= k }, "at least k completions a problem")
        self.k = k
        let estimates = right.map { Self.estimate(completions: $0.count, right: $0.count { $0 }, k: k) }
        let count = Double(right.count)
        estimate = estimates.reduce(0, +) / count
        let z = 1.959964
        let middle = (estimate + z * z / (2 * count)) / (1 + z * z / count)
        let reach = z / (1 + z * z / count) * sqrt(max(estimate * (1 - estimate), 0) / count + z * z / (4 * count * count))
        // At 0 and at 1 the interval ends there; rounding must not keep it from that.
        interval = max(0, min(middle - reach, estimate))...min(1, max(middle + reach, estimate))
    }

    /// 1 - C(n-c, k) / C(n, k), as a product, since binomials overflow.
    static func estimate(completions n: Int, right c: Int, k: Int) -> Double {
        guard n - c >= k else { return 1 }
        guard c > 0 else { return 0 }
        var allWrong = 1.0
        for count in (n - c + 1)...n { allWrong *= 1 - Double(k) / Double(count) }
        return 1 - allWrong
    }
}
