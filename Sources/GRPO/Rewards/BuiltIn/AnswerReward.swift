internal import JSON

/// 1 where the completion gives the row's answer, else 0; nil where the row has none.
///
/// The completion's answer is the text of the last `<answer>...</answer>`, or everything when there is none, without white space around it.
/// It is right when it is the same text or the same number: 7, 7.0, +7 and 7e0; 1,000 and 1000.
public struct AnswerReward: RewardFunction {
    /// `answer`
    public let name = "answer"
    /// The dataset column with the right answer, text or a number.
    public let column: String

    /// A reward that compares with `column`.
    public init(column: String = "answer") { self.column = column }

    /// The column with the right answer.
    public var requiredColumns: [String] { [column] }

    /// 1, 0 or nil a completion; throws when an answer is neither text nor a number.
    public func rewards(for batch: RewardBatch) throws -> [Double?] {
        try zip(batch.completions, batch.columns).map { completion, columns in
            switch columns[column] {
            case nil, .null?: nil
            case .string(let answer)?: Self.isSame(completion, answer) ? 1 : 0
            case .integer(let answer)?: Self.isSame(completion, String(answer)) ? 1 : 0
            case .number(let answer)?: Self.isSame(completion, String(answer)) ? 1 : 0
            case let other?:
                throw RewardError(reward: name, message: "found \(other.kind) in the dataset column \"\(column)\", expected text or a number")
            }
        }
    }

    static func isSame(_ completion: String, _ answer: String) -> Bool {
        let given = answerText(of: Array(completion.unicodeScalars))
        let wanted = Array(answer.unicodeScalars).trimmed
        if given.elementsEqual(wanted) { return true }
        guard let given = DecimalNumber(given), let wanted = DecimalNumber(wanted) else { return false }
        return given == wanted
    }

    private static func answerText(of text: [Unicode.Scalar]) -> ArraySlice<Unicode.Scalar> {
        var last: Range<Int>?
        var position = 0
        while let open = text.firstOccurrence(of: Tag.answer, from: position),
            let close = text.firstOccurrence(of: Tag.endAnswer, from: open + Tag.answer.count)
        {
            last = open + Tag.answer.count..<close
            position = close + Tag.endAnswer.count
        }
        return text[last ?? 0..<text.count].trimmed
    }
}

/// A number as it is written, digits times a power of ten, so that comparing rounds nothing: equal numbers have equal parts.
struct DecimalNumber: Equatable {
    private var isNegative = false
    /// Without zeros in front or behind; none for zero.
    private var digits: [UInt8] = []
    private var exponent = 0

    /// Sign, digits with an optional point and commas between thousands, optional exponent; nil for anything else.
    init?(_ text: some Collection<Unicode.Scalar>) {
        var rest = text[...]
        func sign() -> Bool? {
            guard let first = rest.first, first == "-" || first == "+" else { return nil }
            rest = rest.dropFirst()
            return first == "-"
        }
        func run() -> [Unicode.Scalar] {
            let run = rest.prefix { ("0"..."9").contains($0) || $0 == "," }
            rest = rest.dropFirst(run.count)
            return Array(run)
        }
        isNegative = sign() ?? false
        let groups = run().split(separator: ",", omittingEmptySubsequences: false)
        guard groups.count == 1 || ((1...3).contains(groups[0].count) && groups.dropFirst().allSatisfy { $0.count == 3 }) else { return nil }
        digits = groups.joined().map { UInt8($0.value) - UInt8(ascii: "0") }
        if rest.first == "." {
            rest = rest.dropFirst()
            let fraction = run()
            guard !fraction.contains(",") else { return nil }
            digits += fraction.map { UInt8($0.value) - UInt8(ascii: "0") }
            exponent = -fraction.count
        }
        guard !digits.isEmpty else { return nil }
        if rest.first == "e" || rest.first == "E" {
            rest = rest.dropFirst()
            let isDown = sign() ?? false
            let power = String(String.UnicodeScalarView(run()))
            // Nobody writes more; and no exponent overflows.
            guard power.utf8.count <= 9, let power = Int(power) else { return nil }
            exponent += isDown ? -power : power
        }
        guard rest.isEmpty else { return nil }
        let end = (digits.lastIndex { $0 != 0 } ?? -1) + 1
        exponent += digits.count - end
        digits = Array(digits[..<end].drop { $0 == 0 })
        if digits.isEmpty { (isNegative, exponent) = (false, 0) }
    }
}
