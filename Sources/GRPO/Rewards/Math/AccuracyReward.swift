internal import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// TRL's `accuracy_reward` and `reasoning_accuracy_reward`: 1 where the answer in the completion is the one of the column `solution`, else 0; nil
/// where the solution has no answer.
///
/// The answer of a completion is what stands in its last `\boxed{...}`, or in LaTeX behind the word "answer". Equal are the same numbers however
/// they are written (to six decimals where one is a decimal fraction), the same expressions in their variables, sets, points, intervals and
/// relations. The rules are math-verify's; the work is bounded by steps, not by a timer.
struct AccuracyReward: RewardFunction {
    /// Whether only what follows the last `</think>` counts, and a completion without it gets 0.
    var afterReasoning = false

    var name: String { afterReasoning ? "reasoning_accuracy_reward" : "accuracy_reward" }
    let requiredColumns = ["solution"]

    func rewards(for batch: RewardBatch) throws -> [Double?] {
        // A group's completions have one solution: read it once.
        var known: [String: Solution?] = [:]
        return try zip(batch.completions, batch.columns).map { completion, columns in
            var content = Array(completion.unicodeScalars)
            if afterReasoning {
                guard let end = content.lastOccurrence(of: Tag.endThink, before: content.count) else { return 0 }
                content.removeFirst(end + Tag.endThink.count)
            }
            let text: String
            switch columns["solution"] {
            case nil, .null?: return nil
            case .string(let solution)?: text = solution
            case .integer(let number)?: text = String(number)
            case .number(let number)?: text = String(number)
            case let other?:
                throw RewardError(reward: name, message: "found \(other.kind) in the dataset column \"solution\", expected text or a number")
            }
            let solution = known[text] ?? Solution(text)
            known[text] = solution
            return solution.map { $0.isIn(content) ? 1 : 0 }
        }
    }
}

/// A right answer.
struct Solution {
    private let spelling: [Unicode.Scalar]
    /// Nil for mathematics that is beyond the parser, such as a matrix: then only the same LaTeX is right.
    private let answer: MathAnswer?

    /// Nil where the text has no answer.
    init?(_ text: String) {
        guard let found = MathExtraction.solution(in: Array(text.unicodeScalars)) else { return nil }
        spelling = found.filter { !$0.isPythonSpace }
        answer = MathParser.answer(found)
    }

    /// Whether a completion gives this answer.
    func isIn(_ completion: [Unicode.Scalar]) -> Bool {
        guard let found = MathExtraction.prediction(in: completion) else { return false }
        if found.filter({ !$0.isPythonSpace }) == spelling { return true }
        guard let answer, let prediction = MathParser.answer(found) else { return false }
        return answer.isSame(as: prediction)
    }
}

extension RewardFunction where Self == ClosureReward {
    /// TRL's `cosine_scaled_reward`: `accuracy_reward` scaled along half a cosine of the completion's tokens, from `short` at none to `long` at
    /// `maxLength` and beyond; nil where there is no solution to be right about.
    static func cosineScaled(maxLength: Int, wrong: (short: Double, long: Double), correct: (short: Double, long: Double)) -> Self {
        ClosureReward("cosine_scaled_reward", requiredColumns: ["solution"]) { batch in
            zip(try AccuracyReward().rewards(for: batch), batch.completionIDs).map { accuracy, ids in
                accuracy.map { accuracy in
                    let (short, long) = accuracy == 1 ? correct : wrong
                    return long + 0.5 * (short - long) * (1 + cos(.pi * min(Double(ids.count) / Double(maxLength), 1)))
                }
            }
        }
    }

    /// open-r1's `len_reward` (Kimi k1.5): from 0.5 for the shortest completion of the batch to -0.5 for the longest, in characters; a wrong one gets 0
    /// at most, one whose solution cannot be read counts as right, and where all are of one length all get 0.
    static var relativeLength: Self {
        ClosureReward("len_reward", requiredColumns: ["solution"]) { batch in
            let lengths = batch.completions.map { Double($0.unicodeScalars.count) }
            guard let least = lengths.min(), let most = lengths.max(), least < most else { return lengths.map { _ in 0 } }
            return zip(try AccuracyReward().rewards(for: batch), lengths).map { accuracy, length in
                let share = 0.5 - (length - least) / (most - least)
                return accuracy == 0 ? min(0, share) : share
            }
        }
    }
}
