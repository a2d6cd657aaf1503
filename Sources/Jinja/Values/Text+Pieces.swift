/// Python's ways to take a text apart.
extension Text {
    enum Alignment { case left, right, center }

    /// Without the white space, or the given characters, at its ends.
    func stripped(of characters: Text? = nil, _ leading: Bool = true, _ trailing: Bool = true) -> Text {
        guard let characters else { return stripped(leading: leading, trailing: trailing, where: \.isSpace) }
        let set = Set(characters.scalars)
        return stripped(leading: leading, trailing: trailing) { set.contains($0) }
    }

    /// `split(separator, most)`: cuts at most so many times, everywhere if negative.
    func pieces(separatedBy separator: [Unicode.Scalar], most: Int = -1, _ isFromEnd: Bool = false) -> [ArraySlice<Unicode.Scalar>] {
        if isFromEnd, most >= 0 {
            // The same from the other end.
            return Text(scalars.reversed()).pieces(separatedBy: separator.reversed(), most: most).reversed()
                .map { scalars[count - $0.endIndex..<count - $0.startIndex] }
        }
        var pieces: [ArraySlice<Unicode.Scalar>] = []
        var start = 0
        while pieces.count != most, let index = firstIndex(of: separator, from: start) {
            pieces.append(scalars[start..<index])
            start = index + separator.count
        }
        return pieces + [scalars[start...]]
    }

    /// `split()`: the words between white space; after `most` cuts the rest, with the white space at its end, is one piece.
    func words(most: Int = -1, _ isFromEnd: Bool = false) -> [ArraySlice<Unicode.Scalar>] {
        if isFromEnd, most >= 0 {
            return Text(scalars.reversed()).words(most: most).reversed().map { scalars[count - $0.endIndex..<count - $0.startIndex] }
        }
        var words: [ArraySlice<Unicode.Scalar>] = []
        var rest = scalars[...].drop(while: \.isSpace)
        while !rest.isEmpty {
            if words.count == most { return words + [rest] }
            let word = rest.prefix { !$0.isSpace }
            words.append(word)
            rest = rest[word.endIndex...].drop(while: \.isSpace)
        }
        return words
    }

    /// `splitlines()`
    func lines(keepingEnds: Bool = false) -> [ArraySlice<Unicode.Scalar>] {
        var lines: [ArraySlice<Unicode.Scalar>] = []
        var rest = scalars[...]
        while !rest.isEmpty {
            let line = rest.prefix { !$0.isLineBreak }
            var end = line.endIndex
            if end < rest.endIndex { end += rest[end...].starts(with: ["\r", "\n"]) ? 2 : 1 }
            lines.append(keepingEnds ? rest[..<end] : line)
            rest = rest[end...]
        }
        return lines
    }

    /// Whether there is a scalar, and all are so.
    func consists(of isOne: (Unicode.Scalar) -> Bool) -> Bool { !isEmpty && scalars.allSatisfy(isOne) }
}
