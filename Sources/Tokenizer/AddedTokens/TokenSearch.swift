#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Finds the longest of many byte strings at a place: they are sorted, and each byte narrows the range of those that still agree.
struct TokenSearch: Sendable {
    private var packed: [UInt8] = []
    /// Where each string starts; one more at the end.
    private var starts: [Int] = [0]
    private var ids: [Int32] = []
    /// The strings that begin with each byte.
    private var beginning = [Range<Int>](repeating: 0..<0, count: 256)
    /// The byte that all begin with, if they do.
    private var onlyStart: UInt8?

    /// A search for strings, none empty, no two the same.
    init(_ strings: [(bytes: [UInt8], id: Int32)]) {
        for (bytes, id) in strings.sorted(by: { $0.bytes.lexicographicallyPrecedes($1.bytes) }) {
            guard let first = bytes.first else { continue }
            let known = beginning[Int(first)]
            beginning[Int(first)] = (known.isEmpty ? ids.count : known.lowerBound)..<ids.count + 1
            packed += bytes
            starts.append(packed.count)
            ids.append(id)
        }
        let used = UInt8.min...UInt8.max
        let bytes = used.filter { !beginning[Int($0)].isEmpty }
        onlyStart = bytes.count == 1 ? bytes[0] : nil
    }

    var isEmpty: Bool { ids.isEmpty }

    /// The first match from `start` on, the longest there.
    func nextMatch(in text: UTF8Text, from start: Int) -> (id: Int32, range: Range<Int>)? {
        guard !isEmpty else { return nil }
        return beginning.withUnsafeBufferPointer { beginning in
            var position = start
            while position < text.count {
                if let onlyStart, let base = text.bytes.baseAddress {
                    guard let found = memchr(base + position, Int32(onlyStart), text.count - position) else { return nil }
                    position = UnsafeRawPointer(found) - UnsafeRawPointer(base)
                }
                let candidates = beginning[Int(text.bytes[position])]
                if !candidates.isEmpty, let match = longest(of: candidates, in: text, at: position) { return match }
                position += 1
            }
            return nil
        }
    }

    private func longest(of candidates: Range<Int>, in text: UTF8Text, at position: Int) -> (id: Int32, range: Range<Int>)? {
        var (low, high, depth) = (candidates.lowerBound, candidates.upperBound, 1)
        var longest: (id: Int32, range: Range<Int>)?
        while low < high {
            // The shortest of those that agree comes first.
            if starts[low + 1] - starts[low] == depth {
                longest = (ids[low], position..<position + depth)
                low += 1
            }
            guard position + depth < text.count else { break }
            let byte = Int(text.bytes[position + depth])
            (low, high) = (bound(low, high) { Int(packed[starts[$0] + depth]) < byte }, bound(low, high) { Int(packed[starts[$0] + depth]) <= byte })
            depth += 1
        }
        return longest
    }

    /// The first index for which `isBefore` does not hold.
    private func bound(_ low: Int, _ high: Int, _ isBefore: (Int) -> Bool) -> Int {
        var (low, high) = (low, high)
        while low < high {
            let middle = (low + high) / 2
            if isBefore(middle) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
