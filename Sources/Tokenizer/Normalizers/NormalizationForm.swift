/// Unicode's normalization forms (UAX #15): decompose, order the marks, compose.
///
/// The data is Unicode 9.0, as in Hugging Face's tokenizers: a newer mark stays where it is.
struct NormalizationForm: Sendable {
    /// Whether compatibility characters (`ﬁ`, `①`) are decomposed as well: forms KC and KD.
    var isCompatible: Bool
    /// Whether the decomposed is composed again: forms C and KC.
    var composes: Bool

    static let nfc = NormalizationForm(isCompatible: false, composes: true)
    static let nfd = NormalizationForm(isCompatible: false, composes: false)
    static let nfkc = NormalizationForm(isCompatible: true, composes: true)
    static let nfkd = NormalizationForm(isCompatible: true, composes: false)

    /// A scalar, its combining class, and what it does to alignments.
    private typealias Mark = (scalar: UInt32, combiningClass: UInt8, removed: Int)

    /// The text in this form; nil if it is already.
    func normalized(_ piece: Piece) -> AlignedText? {
        let text = piece.text
        var checked = quickCheckEnd(text, from: 0)
        guard checked.suspect < text.count else { return nil }
        var rewriter = AlignedText.Rewriter(piece)
        var kept = 0
        // Only from the last safe character before a suspect to the next safe one behind it can anything change.
        while checked.suspect < text.count {
            let end = nextSafe(text, from: checked.suspect)
            rewriter.keep(kept..<checked.safe)
            var marks = decomposed(text, checked.safe..<end)
            Self.reorder(&marks)
            if composes { marks = Self.composed(marks) }
            rewriter.replace(checked.safe..<end, with: marks.lazy.map { AlignedText.Change(scalar: $0.scalar, removed: $0.removed) })
            kept = end
            checked = quickCheckEnd(text, from: end)
        }
        rewriter.keep(kept..<text.count)
        return rewriter.new
    }

    // MARK: Quick check (UAX #15, section 9)

    /// In the quick-check tables: a character that may not occur in the form, or only after some others. Other values are combining classes.
    private static let suspect: UInt8 = 255

    private var quickCheck: ScalarTable {
        composes
            ? isCompatible ? Self.compatibleComposed : Self.canonicalComposed
            : isCompatible ? Self.compatibleDecomposed : Self.canonicalDecomposed
    }

    /// Everything below this is in the form. U+00A0 is the first compatibility character, U+00C0 the first with a decomposition; what could
    /// compose starts at U+0300, whose UTF-8 starts with 0xCC.
    private var firstSuspectLead: UInt8 { isCompatible ? 0xC2 : composes ? 0xCC : 0xC3 }

    /// The first suspect from `start` on (the text's end if there is none), and the last character before it that nothing behind can change.
    private func quickCheckEnd(_ text: UTF8Text, from start: Int) -> (suspect: Int, safe: Int) {
        let (table, firstSuspectLead) = (quickCheck, firstSuspectLead)
        var (position, safe) = (start, start)
        var last: UInt8 = 0
        while position < text.count {
            if text.bytes[position] < firstSuspectLead {
                position = skipPlain(text, from: position, below: firstSuspectLead)
                safe = text.start(before: position)
                last = 0
                continue
            }
            let (scalar, length) = text.scalar(at: position)
            let value = table[scalar]
            if value == Self.suspect || (value != 0 && value < last) { return (position, safe) }
            if value == 0 { safe = position }
            last = value
            position += length
        }
        return (text.count, text.count)
    }

    /// Behind the run of characters whose lead byte is below `lead`, which is at most two bytes' (0xCC): eight bytes at a time where ASCII.
    @inline(__always)
    private func skipPlain(_ text: UTF8Text, from start: Int, below lead: UInt8) -> Int {
        let raw = UnsafeRawBufferPointer(text.bytes)
        var position = start
        while position < text.count, text.bytes[position] < lead {
            if position + 8 <= text.count, raw.loadUnaligned(fromByteOffset: position, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
                position += 8
            } else {
                position += text.bytes[position] < 0x80 ? 1 : 2
            }
        }
        return position
    }

    /// The next character behind `start` that begins anew: of class 0, allowed in the form, and no part of a composition.
    private func nextSafe(_ text: UTF8Text, from start: Int) -> Int {
        let table = quickCheck
        var position = start + text.scalar(at: start).length
        while position < text.count {
            let (scalar, length) = text.scalar(at: position)
            if table[scalar] == 0 { break }
            position += length
        }
        return position
    }

    private static let canonicalComposed = quickCheckTable(suspects: notInComposed)
    private static let compatibleComposed = quickCheckTable(suspects: notInComposed.union(compatible.keys))
    private static let canonicalDecomposed = quickCheckTable(suspects: Set(decompositions.keys), hangul: true)
    private static let compatibleDecomposed = quickCheckTable(suspects: Set(decompositions.keys).union(compatible.keys), hangul: true)

    /// Decomposed for good, or the second of a composition (the trailing jamo are below).
    private static let notInComposed: Set<UInt32> = {
        var suspects = Set(decompositions.keys).subtracting(compositions.values)
        for pair in compositions.keys { suspects.insert(UInt32(truncatingIfNeeded: pair)) }
        return suspects
    }()

    private static func quickCheckTable(suspects: Set<UInt32>, hangul: Bool = false) -> ScalarTable {
        let jamo = hangul ? [(Hangul.syllables, suspect)] : [(Hangul.vowels, suspect), (Hangul.trailing, suspect)]
        return ScalarTable(
            ranges(UnicodeTables.combiningClasses, stride: 3) { UInt8(UnicodeTables.combiningClasses[$0 + 2]) }
                + suspects.map { ($0...$0, suspect) } + jamo)
    }

    // MARK: Decomposition

    private static let combiningClass = ScalarTable(
        ranges(UnicodeTables.combiningClasses, stride: 3) { UInt8(UnicodeTables.combiningClasses[$0 + 2]) })

    /// One canonical step; the second is 0 for a singleton.
    private static let decompositions: [UInt32: (first: UInt32, second: UInt32)] = {
        let table = UnicodeTables.decompositions
        return Dictionary(uniqueKeysWithValues: stride(from: 0, to: table.count, by: 3).map { (table[$0], (table[$0 + 1], table[$0 + 2])) })
    }()

    /// The whole compatibility decomposition of each character whose canonical one is another, as a range of `compatibleDecompositions`.
    private static let compatible: [UInt32: Range<Int>] = {
        let table = UnicodeTables.compatibleDecompositions
        var ranges: [UInt32: Range<Int>] = [:]
        var position = 0
        while position + 1 < table.count {
            let end = position + 2 + Int(table[position + 1])
            ranges[table[position]] = position + 2..<end
            position = end
        }
        return ranges
    }()

    /// First character in the high half of the key, second in the low half.
    private static let compositions: [UInt64: UInt32] = {
        let excluded = Set(UnicodeTables.excludedCompositions)
        let pairs = decompositions.filter { $0.value.second != 0 && !excluded.contains($0.key) }
        return Dictionary(uniqueKeysWithValues: pairs.map { (UInt64($0.value.first) << 32 | UInt64($0.value.second), $0.key) })
    }()

    private func decomposed(_ text: UTF8Text, _ range: Range<Int>) -> [Mark] {
        var marks: [Mark] = []
        text[range].forEachScalar { scalar in
            let first = marks.count
            func append(_ part: UInt32) { marks.append((part, Self.combiningClass[part], marks.count == first ? 0 : 1)) }
            if isCompatible, let parts = Self.compatible[scalar] {
                for part in parts { append(UnicodeTables.compatibleDecompositions[part]) }
            } else {
                Self.decompose(scalar, append)
            }
        }
        return marks
    }

    private static func decompose(_ scalar: UInt32, _ append: (UInt32) -> Void) {
        if scalar < 0xC0 {
            append(scalar)
        } else if Hangul.syllables.contains(scalar) {
            Hangul.decompose(scalar, append)
        } else if let (first, second) = decompositions[scalar] {
            decompose(first, append)
            if second != 0 { decompose(second, append) }
        } else {
            append(scalar)
        }
    }

    // MARK: Order

    /// Sorts every run of marks (combining class not 0) by class, equal ones in the order they came.
    private static func reorder(_ marks: inout [Mark]) {
        var start = 0
        while start < marks.count {
            guard marks[start].combiningClass != 0 else {
                start += 1
                continue
            }
            var end = start
            while end < marks.count, marks[end].combiningClass != 0 { end += 1 }
            if end - start > 1 {
                let order = (start..<end).sorted { (marks[$0].combiningClass, $0) < (marks[$1].combiningClass, $1) }
                marks.replaceSubrange(start..<end, with: order.map { marks[$0] })
            }
            start = end
        }
    }

    // MARK: Composition

    /// Joins each character with the last starter before it, unless something of the same or a higher class stands between.
    private static func composed(_ marks: [Mark]) -> [Mark] {
        var out: [Mark] = []
        var starter: Int?
        var lastClass: UInt8 = 0
        for mark in marks {
            // Nothing below U+0300 composes with what stands before it.
            if mark.scalar >= 0x300, let place = starter, place == out.count - 1 || (lastClass != 0 && lastClass < mark.combiningClass),
                let composite = Hangul.compose(out[place].scalar, mark.scalar)
                    ?? compositions[UInt64(out[place].scalar) << 32 | UInt64(mark.scalar)]
            {
                out[place].scalar = composite
                out[place].removed += mark.removed - 1
                continue
            }
            if mark.combiningClass == 0 { starter = out.count }
            lastClass = mark.combiningClass
            out.append(mark)
        }
        return out
    }
}

/// Hangul syllables are (leading, vowel, trailing) by arithmetic (The Unicode Standard, 3.12).
private enum Hangul {
    static let syllables: ClosedRange<UInt32> = 0xAC00...0xD7A3
    static let leading: ClosedRange<UInt32> = 0x1100...0x1112
    static let vowels: ClosedRange<UInt32> = 0x1161...0x1175
    static let trailing: ClosedRange<UInt32> = 0x11A8...0x11C2

    static func decompose(_ syllable: UInt32, _ append: (UInt32) -> Void) {
        let index = syllable - syllables.lowerBound
        append(leading.lowerBound + index / 588)
        append(vowels.lowerBound + index % 588 / 28)
        if index % 28 != 0 { append(trailing.lowerBound - 1 + index % 28) }
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
