/// Finds the answer in a text, as math-verify does for TRL.
enum MathExtraction {
    /// Scalars that a box may hold: more is no answer, and not searched.
    private static let longest = 4000

    /// The answer of a completion: its last boxes, or LaTeX behind the word "answer"; nil where there is neither.
    static func prediction(in text: [Unicode.Scalar]) -> [Unicode.Scalar]? { boxed(in: text) ?? anchored(in: text) }

    /// The answer of a solution: like a completion's, or the whole text where it is one, or the last LaTeX or number in it.
    static func solution(in text: [Unicode.Scalar]) -> [Unicode.Scalar]? {
        if let found = anchored(in: text) ?? boxed(in: text) { return found }
        let environments = environments(in: text)
        if environments.isEmpty, isExpression(text) { return text }
        let number = lastNumber(in: text)
        if let last = environments.last, last.end >= number?.upperBound ?? 0 { return Array(text[last.content]) }
        return number.map { Array(text[$0]) }
    }

    /// What stands in the last `\boxed{...}` or `\fbox{...}`, with what stands in those before it that belong to the same list: within ten
    /// characters, or within seventy with "and", "or", a comma or a semicolon between.
    private static func boxed(in text: [Unicode.Scalar]) -> [Unicode.Scalar]? {
        var boxes: [(start: Int, content: ArraySlice<Unicode.Scalar>, end: Int)] = []
        var position = 0
        while let slash = text[position...].firstIndex(of: "\\") {
            position = slash + 1
            guard let name = ["boxed", "fbox"].first(where: { text[position...].starts(with: $0.unicodeScalars) }) else { continue }
            position += name.unicodeScalars.count
            while position < text.count, text[position].isPythonSpace { position += 1 }
            guard position < text.count, text[position] == "{", let close = text.closingBrace(of: position, within: longest) else { continue }
            boxes.append((slash, text[(position + 1)..<close].trimmed, close))
            position = close + 1
        }
        guard var first = boxes.popLast(), !first.content.isEmpty else { return nil }
        // A formula around it holds the whole list.
        if let formula = environments(in: text).first(where: { ($0.start..<$0.end).contains(first.start) }) {
            boxes.removeAll { $0.start < formula.start }
        }
        var list = [first.content]
        while let box = boxes.popLast() {
            let between = text[(box.end + 1)..<first.start]
            let separated = String(String.UnicodeScalarView(between.prefix(70)))
            let isListed =
                between.count < 70 && !box.content.elementsEqual(first.content)
                && (separated.contains(where: { $0 == "," || $0 == ";" }) || separated.split { !$0.isLetter }.contains { $0 == "and" || $0 == "or" })
            guard between.count < 10 || isListed else { break }
            if !box.content.elementsEqual(first.content) { list.insert(box.content, at: 0) }
            first = box
        }
        return Array(list.joined(separator: [","]))
    }

    /// The last LaTeX behind "final answer ... is", else behind "answer:", else at most fifty characters behind "answer".
    private static func anchored(in text: [Unicode.Scalar]) -> [Unicode.Scalar]? {
        let environments = environments(in: text)
        guard !environments.isEmpty else { return nil }
        let lower = text.map { ("A"..."Z").contains($0) ? Unicode.Scalar(UInt8($0.value) + 32) : $0 }
        let answer = Array("answer".unicodeScalars)
        let (final, verb) = (Array("final ".unicodeScalars), Array(" is".unicodeScalars))
        var best: (rank: Int, content: Range<Int>)?
        var position = 0
        var next = 0
        while let start = lower.firstOccurrence(of: answer, from: position) {
            position = start + answer.count
            while next < environments.count, environments[next].start < position { next += 1 }
            guard next < environments.count else { break }
            let environment = environments[next]
            let between = lower[position..<environment.start]
            let isFinal = lower[..<start].suffix(final.count).elementsEqual(final)
            let rank: Int
            if isFinal, between.count <= 110, Array(between).firstOccurrence(of: verb, from: 0) != nil {
                rank = 2
            } else if between.count <= 51, between.first == ":" {
                rank = 1
            } else if between.count <= 50 {
                rank = 0
            } else {
                continue
            }
            if rank >= best?.rank ?? 0 { best = (rank, environment.content) }
        }
        return best.map { Array(text[$0.content]) }
    }

    /// `$...$`, `$$...$$`, `\(...\)` and `\[...\]`, one behind the other.
    private static func environments(in text: [Unicode.Scalar]) -> [(start: Int, content: Range<Int>, end: Int)] {
        var found: [(start: Int, content: Range<Int>, end: Int)] = []
        var position = 0
        // Ends that are not to be found any more, so that no one searches for them again.
        var missing: Set<[Unicode.Scalar]> = []
        while position < text.count {
            let start = position
            position += 1
            guard text[start] == "$" || text[start] == "\\", start == 0 || text[start - 1] != "\\" else { continue }
            let close: [Unicode.Scalar]
            switch (text[start], position < text.count ? text[position] : " ") {
            case ("$", "$"): close = ["$", "$"]
            case ("$", _): close = ["$"]
            case ("\\", "("): close = ["\\", ")"]
            case ("\\", "["): close = ["\\", "]"]
            default: continue
            }
            guard !missing.contains(close) else { continue }
            let open = start + close.count
            var end = text.firstOccurrence(of: close, from: open)
            while let place = end, close[0] == "$", text[place - 1] == "\\" { end = text.firstOccurrence(of: close, from: place + 1) }
            if end == nil { missing.insert(close) }
            // Inline mathematics stays on its line: a price is no formula.
            guard let end, end > open, close.count == 2 || !text[open..<end].contains("\n") else { continue }
            found.append((start, open..<end, end + close.count))
            position = end + close.count
        }
        return found
    }

    /// Whether a text without any environment is an expression: it says something mathematical, and can be read.
    private static func isExpression(_ text: [Unicode.Scalar]) -> Bool {
        guard text.count <= 500, text.contains(where: { ("0"..."9").contains($0) || $0 == "\\" }), let tokens = MathLexer.tokens(of: text) else {
            return false
        }
        // A sentence has words; a unit behind a number is one at most.
        let words = tokens.filter { if case .text = $0 { true } else { false } }
        return words.count <= 1 && words.count < tokens.count && MathParser.answer(text) != nil
    }

    /// The last number, with the operators and numbers directly before it, and a percent sign behind it.
    private static func lastNumber(in text: [Unicode.Scalar]) -> Range<Int>? {
        func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
        guard let last = text.lastIndex(where: isDigit) else { return nil }
        var start = last
        while start > 0, isDigit(text[start - 1]) || ".,/".unicodeScalars.contains(text[start - 1]) { start -= 1 }
        while !isDigit(text[start]), text[start] != "." { start += 1 }
        if start > 0, text[start - 1] == "-" { start -= 1 }
        return start..<(last + 1 < text.count && text[last + 1] == "%" ? last + 2 : last + 1)
    }
}
