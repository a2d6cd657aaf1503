/// A key or value of a configuration that cannot be used.
public struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// The file and line, or "command line"; nil when the configuration as a whole is to blame.
    public let source: String?
    /// What was found, what was expected, what to do.
    public let message: String

    /// An error, with the place it comes from.
    public init(source: String? = nil, message: String) {
        self.source = source
        self.message = message
    }

    /// `run.yaml:12: message`, on one line.
    public var description: String { source.map { "\($0): \(message)" } ?? message }
}

/// The candidate that needs the fewest edits to become `word`, if that is few enough to be meant.
func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
    // Longer words are no typing mistakes of ours, and the time stays bounded.
    guard word.utf8.count <= 64 else { return nil }
    let ranked = candidates.map { (word: $0, edits: editDistance(Array(word.utf8), Array($0.utf8))) }
    guard let best = ranked.min(by: { $0.edits < $1.edits }), best.edits <= max(1, word.utf8.count / 3) else { return nil }
    return best.word
}

/// Insertions, deletions and replacements between two words (Levenshtein).
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var row = Array(0...b.count)
    for i in a.indices {
        var diagonal = row[0]
        row[0] = i + 1
        for j in b.indices {
            let replaced = diagonal + (a[i] == b[j] ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[b.count]
}
