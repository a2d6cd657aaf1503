internal import JSON

extension RewardFunction where Self == ClosureReward {
    /// 1 where the completion is the text of a dataset column, white space around both aside, else 0; nil where the row has none.
    static func exactMatch(column: String) -> Self {
        answer("exact_match", column) { completion, answer in
            completion.trimmed.elementsEqual(answer.trimmed)
        }
    }

    /// 1 where the last number in the completion is the last number in a dataset column (`#### 42` and 42 are both 42), else 0; nil where the
    /// row has none.
    static func numericMatch(column: String) -> Self {
        answer("numeric_match", column) { completion, answer in
            lastNumber(in: answer).map { $0 == lastNumber(in: completion) }
        }
    }

    private static func answer(
        _ name: String, _ column: String, _ isSame: @escaping @Sendable ([Unicode.Scalar], [Unicode.Scalar]) -> Bool?
    ) -> Self {
        ClosureReward(name, requiredColumns: [column]) { batch in
            try zip(batch.completions, batch.columns).map { completion, columns in
                let answer: String
                switch columns[column] {
                case nil, .null?: return nil
                case .string(let text)?: answer = text
                case .integer(let number)?: answer = String(number)
                case .number(let number)?: answer = String(number)
                case let other?:
                    throw RewardError(reward: name, message: "found \(other.kind) in the dataset column \"\(column)\", expected text or a number")
                }
                return isSame(Array(completion.unicodeScalars), Array(answer.unicodeScalars)).map { $0 ? 1 : 0 }
            }
        }
    }

    /// The last run of digits, points and thousands' commas, with its sign, that is a number.
    private static func lastNumber(in text: [Unicode.Scalar]) -> DecimalNumber? {
        func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
        guard let last = text.lastIndex(where: isDigit) else { return nil }
        var start = last
        while start > 0, isDigit(text[start - 1]) || text[start - 1] == "," || text[start - 1] == "." { start -= 1 }
        // A comma or point in front is punctuation, unless ".5" is meant.
        while !isDigit(text[start]), !(text[start] == "." && start + 1 <= last && isDigit(text[start + 1])) { start += 1 }
        // 3-4 is a difference, not -4.
        let isSigned = start > 0 && text[start - 1] == "-" && !(start > 1 && (isDigit(text[start - 2]) || text[start - 2] == ")"))
        return DecimalNumber(text[(isSigned ? start - 1 : start)...last])
            ?? text[start...last].split { !isDigit($0) && $0 != "." }.last.flatMap { DecimalNumber($0) }
    }
}

extension [Unicode.Scalar] {
    /// Without Python's white space around it.
    var trimmed: ArraySlice<Unicode.Scalar> { self[...].trimmed }
}

extension ArraySlice<Unicode.Scalar> {
    /// Without Python's white space around it.
    var trimmed: Self {
        guard let first = firstIndex(where: { !$0.isPythonSpace }), let last = lastIndex(where: { !$0.isPythonSpace }) else { return [] }
        return self[first...last]
    }
}
