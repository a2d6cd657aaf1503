import Checkpoints

/// The tensors of a checkpoint as a tree of the parts of their names. Numbered parts in a row whose contents read the same are shown once: `0 to 23`.
enum TensorTree {
    private struct Entry {
        var parts: [String]
        /// What is said of the tensor: after its name, and on lines below.
        var label: [String]
    }

    /// Entries that have a part of their names, and all before it, in common.
    private typealias Group = (part: String, entries: ArraySlice<Entry>)

    /// - Parameter label: what is said of a tensor: after its name, and on lines below.
    static func lines(_ tensors: [TensorInfo], _ label: (TensorInfo) -> [String]) -> [String] {
        // Names come from a file: what has more parts than a model's stays together.
        let entries = tensors.map { tensor in
            let parts = tensor.name.utf8.split(separator: UInt8(ascii: "."), maxSplits: 15, omittingEmptySubsequences: false)
            return Entry(parts: parts.map { String($0) ?? "" }, label: label(tensor))
        }
        return lines(entries[...], from: 0)
    }

    /// The lines of entries that have their first `depth` parts in common.
    private static func lines(_ entries: ArraySlice<Entry>, from depth: Int) -> [String] {
        var lines: [String] = []
        var run: (first: Int, last: Int, contents: [String])?
        func finish() {
            guard let (first, last, contents) = run else { return }
            lines += [first == last ? "\(first)" : "\(first) to \(last), \(last - first + 1) alike"] + contents.map { "  " + $0 }
            run = nil
        }
        for (part, entries) in groups(entries, at: depth) {
            if let number = Int(part), entries.count > 1 {
                let contents = self.lines(entries, from: depth + 1)
                if let found = run, number > found.last, number &- found.last == 1, found.contents == contents {
                    run?.last = number
                } else {
                    finish()
                    run = (number, number, contents)
                }
                continue
            }
            finish()
            if entries.count == 1, let only = entries.first {
                lines.append(only.parts[depth...].joined(separator: ".") + only.label.prefix(1).map { "  " + $0 }.joined())
                lines += only.label.dropFirst().map { "  " + $0 }
            } else {
                var name = part, inside = depth + 1
                while case let groups = groups(entries, at: inside), groups.count == 1, Int(groups[0].part) == nil {
                    (name, inside) = (name + "." + groups[0].part, inside + 1)
                }
                lines += [name] + self.lines(entries, from: inside).map { "  " + $0 }
            }
        }
        finish()
        return lines
    }

    /// The entries by the part of their names at `depth`, those whose name ends there alone; numbers in their order.
    private static func groups(_ entries: ArraySlice<Entry>, at depth: Int) -> [Group] {
        var groups: [Group] = []
        var start = entries.startIndex
        for end in entries.indices.map({ $0 + 1 }) {
            let part = entries[start].parts[depth]
            let goesOn = end < entries.endIndex && entries[start].parts.count > depth + 1 && entries[end].parts.count > depth + 1
            if goesOn, entries[end].parts[depth].utf8.elementsEqual(part.utf8) { continue }
            groups.append((part, entries[start..<end]))
            start = end
        }
        let numbers = groups.map { Int($0.part) }
        guard !numbers.contains(nil) else { return groups }
        return zip(numbers, groups).sorted { ($0.0 ?? 0) < ($1.0 ?? 0) }.map(\.1)
    }
}
