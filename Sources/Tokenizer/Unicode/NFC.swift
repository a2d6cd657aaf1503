/// Unicode Normalization Form C (UAX #15): canonically decompose, order the marks, compose.
///
/// The data is Unicode 9.0, as in Hugging Face's tokenizers: a newer mark stays where it is.
enum NFC {
    /// The text in Normalization Form C; nil if it is already.
    static func normalized(_ text: UTF8Text) -> [UInt8]? {
        guard !isNormalized(text) else { return nil }
        var scalars: [UInt32] = []
        scalars.reserveCapacity(text.count)
        var position = 0
        while position < text.count {
            let (scalar, length) = text.scalar(at: position)
            decompose(scalar, into: &scalars)
            position += length
        }
        reorder(&scalars)
        compose(&scalars)
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        for scalar in scalars { UTF8Text.append(scalar, to: &out) }
        return out
    }

    // MARK: Quick check (UAX #15, section 9)

    /// In `quickCheck`: a character that may not occur in form C, or only after some others.
    private static let suspect: UInt8 = 255

    /// Whether the quick check says yes; a "maybe" is a no here, and costs time, not correctness.
    private static func isNormalized(_ text: UTF8Text) -> Bool {
        quickCheck.withLookup { quickCheck in
            var position = 0
            var last: UInt8 = 0
            while position < text.count {
                // Everything below U+0300, that is of one or two bytes and before 0xCC, is in form C.
                if text.bytes[position] < 0xCC {
                    last = 0
                    position += text.bytes[position] < 0x80 ? 1 : 2
                    continue
                }
                let (scalar, length) = text.scalar(at: position)
                let value = quickCheck[scalar]
                if value == suspect || (value != 0 && value < last) { return false }
                last = value
                position += length
            }
            return true
        }
    }

    /// The combining class, or `suspect`.
    private static let quickCheck: ScalarTable = {
        var suspects: Set<UInt32> = Set(decompositions.keys).subtracting(compositions.values)
        for pair in compositions.keys { suspects.insert(UInt32(truncatingIfNeeded: pair)) }
        let jamo = [(Hangul.vowels, suspect), (Hangul.trailing, suspect)]
        return ScalarTable(
            ranges(UnicodeTables.combiningClasses, stride: 3) { UInt8(UnicodeTables.combiningClasses[$0 + 2]) }
                + suspects.map { ($0...$0, suspect) } + jamo)
    }()

    // MARK: Decomposition

    private static let combiningClass = ScalarTable(
        ranges(UnicodeTables.combiningClasses, stride: 3) { UInt8(UnicodeTables.combiningClasses[$0 + 2]) })

    /// One step; the second is 0 for a singleton.
    private static let decompositions: [UInt32: (first: UInt32, second: UInt32)] = {
        let table = UnicodeTables.decompositions
        return Dictionary(uniqueKeysWithValues: stride(from: 0, to: table.count, by: 3).map { (table[$0], (table[$0 + 1], table[$0 + 2])) })
    }()

    /// First character in the high half of the key, second in the low half.
    private static let compositions: [UInt64: UInt32] = {
        let excluded = Set(UnicodeTables.excludedCompositions)
        let pairs = decompositions.filter { $0.value.second != 0 && !excluded.contains($0.key) }
        return Dictionary(uniqueKeysWithValues: pairs.map { (UInt64($0.value.first) << 32 | UInt64($0.value.second), $0.key) })
    }()

    private static func decompose(_ scalar: UInt32, into out: inout [UInt32]) {
        if scalar < 0xC0 {
            out.append(scalar)
        } else if Hangul.syllables.contains(scalar) {
            Hangul.decompose(scalar, into: &out)
        } else if let (first, second) = decompositions[scalar] {
            decompose(first, into: &out)
            if second != 0 { decompose(second, into: &out) }
        } else {
            out.append(scalar)
        }
    }

    // MARK: Order

    /// Sorts every run of marks (combining class not 0) by class, equal ones in the order they came.
    private static func reorder(_ scalars: inout [UInt32]) {
        var start = 0
        while start < scalars.count {
            guard combiningClass[scalars[start]] != 0 else {
                start += 1
                continue
            }
            var end = start
            while end < scalars.count, combiningClass[scalars[end]] != 0 { end += 1 }
            if end - start > 1 {
                // One number a mark: class, place, scalar (21 bits); places are below 2^32.
                let marks = (start..<end).map { UInt64(combiningClass[scalars[$0]]) << 53 | UInt64($0 - start) << 21 | UInt64(scalars[$0]) }
                for (place, mark) in marks.sorted().enumerated() { scalars[start + place] = UInt32(mark & 0x1F_FFFF) }
            }
            start = end
        }
    }

    // MARK: Composition

    /// Joins each character with the last starter before it, unless something of the same or a higher class stands between.
    private static func compose(_ scalars: inout [UInt32]) {
        var kept = 0
        var starter: Int?
        var lastClass: UInt8 = 0
        for index in scalars.indices {
            let scalar = scalars[index]
            let itsClass = combiningClass[scalar]
            // Nothing below U+0300 composes with what stands before it.
            if scalar >= 0x300, let place = starter, place == kept - 1 || (lastClass != 0 && lastClass < itsClass),
                let composite = Hangul.compose(scalars[place], scalar) ?? compositions[UInt64(scalars[place]) << 32 | UInt64(scalar)]
            {
                scalars[place] = composite
                continue
            }
            scalars[kept] = scalar
            if itsClass == 0 { starter = kept }
            lastClass = itsClass
            kept += 1
        }
        scalars.removeLast(scalars.count - kept)
    }
}

/// Hangul syllables are (leading, vowel, trailing) by arithmetic (The Unicode Standard, 3.12).
private enum Hangul {
    static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    static let leading: ClosedRange<UInt32> = 0x1100...0x1112
    static let vowels: ClosedRange<UInt32> = 0x1161...0x1175
    static let trailing: ClosedRange<UInt32> = 0x11A8...0x11C2

    static func decompose(_ syllable: UInt32, into out: inout [UInt32]) {
        let index = syllable - syllables.lowerBound
        out.append(leading.lowerBound + index / 588)
        out.append(vowels.lowerBound + index % 588 / 28)
        if index % 28 != 0 { out.append(trailing.lowerBound - 1 + index % 28) }
    }

    static func compose(_ first: UInt32, _ second: UInt32) -> UInt32? {
        if leading.contains(first), vowels.contains(second) {
            return syllables.lowerBound + (first - leading.lowerBound) * 588 + (second - vowels.lowerBound) * 28
        }
        if syllables.contains(first), (first - syllables.lowerBound) % 28 == 0, trailing.contains(second) {
            return first + second - (trailing.lowerBound - 1)
        }
        return nil
    }
}
