import Checkpoints

/// The tensors of a checkpoint as a tree of the parts of their names. Numbered parts in a row whose contents read the same are shown once: `0 to 23`.
enum TensorTree {
    private struct Entry {
        var parts: [String]
        /// What is said of the tensor: after its name, and on lines below.
        var label: [String]
    }

    /// - Parameter label: what is said of a tensor: after its name, and on lines below.
    static func lines(_ tensors: [TensorInfo], _ label: (TensorInfo) -> [String]) -> [String] {
        // Names come from a file: what has more parts than a model's stays together.
        let entries = tensors.map { tensor in
            let parts = tensor.name.utf8.split(separator: UInt8(ascii: "."), maxSplits: 15, omittingEmptySubsequences: false)
            return Entry(parts: parts.map { String($0) ?? "" }, label: label(tensor))
        }
        return lines(of: entries[...])
    }

    private static func lines(of entries: ArraySlice<Entry>) -> [String] {
        var lines: [String] = []
        var run: (first: Int, last: Int, contents: [String])?
        func finish() {
            guard let (first, last, contents) = run else { return }
            lines += [first == last ? "\(first)" : "\(first) to \(last), \(last - first + 1) alike"] + contents.map { "  " + $0 }
            run = nil
        }
        for (part, entries) in groups(entries) {
            if let number = Int(part), entries.count > 1 {
                let contents = self.lines(of: entries)
                if let found = run, found.last + 1 == number, found.contents == contents {
                    run?.last = number
                } else {
                    finish()
                    run = (number, number, contents)
                }
                continue
            }
            finish()
            if entries.count == 1, let only = entries.first {
                lines.append(([part] + only.parts).joined(separator: ".") + only.label.prefix(1).map { "  " + $0 }.joined())
                lines += only.label.dropFirst().map { "  " + $0 }
            } else {
                var name = part, inside = entries
                while case let parts = groups(inside), parts.count == 1, parts[0].entries.count > 1, Int(parts[0].part) == nil {
                    (name, inside) = (name + "." + parts[0].part, parts[0].entries)
                }
                lines += [name] + self.lines(of: inside).map { "  " + $0 }
            }
        }
        finish()
        return lines
    }

    /// The entries by the first part of their names, without it; numbers in their order.
    private static func groups(_ entries: ArraySlice<Entry>) -> [(part: String, entries: ArraySlice<Entry>)] {
        var groups: [(part: String, entries: ArraySlice<Entry>)] = []
        for entry in entries {
            let part = entry.parts.first ?? "", rest = Entry(parts: Array(entry.parts.dropFirst()), label: entry.label)
            if let last = groups.last, last.part.utf8.elementsEqual(part.utf8), !rest.parts.isEmpty, last.entries.first?.parts.isEmpty == false {
                groups[groups.count - 1].entries.append(rest)
            } else {
                groups.append((part, [rest]))
            }
        }
        let numbers = groups.map { Int($0.part) }
        guard !numbers.contains(nil) else { return groups }
        return zip(numbers, groups).sorted { ($0.0 ?? 0) < ($1.0 ?? 0) }.map(\.1)
    }
}
