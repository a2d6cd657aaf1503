/// What becomes of the matches when a text is split at them.
enum SplitBehavior: String, Sendable {
    /// They vanish.
    case removed = "Removed"
    /// Each is a piece of its own.
    case isolated = "Isolated"
    /// Each ends the piece before it.
    case mergedWithPrevious = "MergedWithPrevious"
    /// Each begins the piece behind it.
    case mergedWithNext = "MergedWithNext"
    /// Neighbouring ones are one piece.
    case contiguous = "Contiguous"

    /// The pieces of a text that consists of these parts. Some may be empty.
    func pieces(of parts: [Pattern.Part]) -> [Range<Int>] {
        switch self {
        case .removed: parts.filter { !$0.isMatch }.map(\.range)
        case .isolated: parts.map(\.range)
        case .contiguous: Self.joined(parts) { part, wasMatch in part.isMatch == wasMatch }
        case .mergedWithPrevious: Self.joined(parts) { part, wasMatch in part.isMatch && !wasMatch }
        case .mergedWithNext: Self.joined(parts.reversed()) { part, wasMatch in part.isMatch && !wasMatch }.reversed()
        }
    }

    /// Joins a part with the one before it where `joins`, given whether that one was a match, says so.
    private static func joined(_ parts: some Sequence<Pattern.Part>, _ joins: (Pattern.Part, _ wasMatch: Bool) -> Bool) -> [Range<Int>] {
        var pieces: [Range<Int>] = []
        var wasMatch = false
        for part in parts {
            if joins(part, wasMatch), let last = pieces.last {
                let (start, end) = (min(last.lowerBound, part.range.lowerBound), max(last.upperBound, part.range.upperBound))
                pieces[pieces.count - 1] = start..<end
            } else {
                pieces.append(part.range)
            }
            wasMatch = part.isMatch
        }
        return pieces
    }
}
