/// Which bytes of the original text a byte of a changed text stands for.
struct Alignment: BitwiseCopyable, Sendable {
    var start: UInt32
    var end: UInt32
}

/// A text on its way through normalizers and pre-tokenizers: its bytes now, and if offsets are wanted where each comes from.
///
/// The rules by which changes move alignments are Hugging Face's tokenizers', so that offsets are too.
struct AlignedText {
    /// Valid UTF-8.
    private(set) var bytes: [UInt8] = []
    /// One a byte; empty if nobody wants to know.
    private(set) var alignments: [Alignment] = []
    /// Whether `alignments` is kept.
    let isTracked: Bool
    /// Where in the original text this one starts.
    let originalStart: Int

    /// An original text, which starts at `originalStart` of a larger one.
    init(_ text: UTF8Text, originalStart: Int, isTracked: Bool) {
        self.init(originalStart: originalStart, isTracked: isTracked)
        bytes = Array(text.bytes)
        guard isTracked else { return }
        alignments.reserveCapacity(bytes.count)
        var position = 0
        while position < text.count {
            let length = text.scalar(at: position).length
            let alignment = Alignment(
                start: UInt32(truncatingIfNeeded: originalStart + position), end: UInt32(truncatingIfNeeded: originalStart + position + length))
            for _ in 0..<length { alignments.append(alignment) }
            position += length
        }
    }

    /// A part of another text as a text of its own.
    init(_ piece: Piece) {
        self.init(originalStart: piece.originalStart, isTracked: piece.alignments != nil)
        bytes = Array(piece.text.bytes)
        if let alignments = piece.alignments { self.alignments = Array(UnsafeBufferPointer(start: alignments, count: bytes.count)) }
    }

    private init(originalStart: Int, isTracked: Bool) {
        self.originalStart = originalStart
        self.isTracked = isTracked
    }

    /// Lends the text as a piece.
    func withPiece<Result, Failure: Error>(_ body: (Piece) throws(Failure) -> Result) throws(Failure) -> Result {
        try bytes.withUnsafeBufferPointer { bytes throws(Failure) in
            try alignments.withUnsafeBufferPointer { alignments throws(Failure) in
                try body(
                    Piece(text: UTF8Text(bytes: bytes), alignments: isTracked ? alignments.baseAddress : nil, originalStart: originalStart))
            }
        }
    }

    // MARK: Changing

    /// Steps that each make a text longer would, a few of them, make it longer than any memory.
    static func checkLength(_ length: Int) throws(TokenizerError) {
        guard length <= 1 << 28 else {
            throw TokenizerError(
                source: "text", location: "", message: "the tokenizer's steps make \(length) bytes of it, more than the \(1 << 28) allowed")
        }
    }

    /// One character of the changed text. `removed` 0: it takes the place of the next old one; -n: and n more behind that one vanish;
    /// 1: it is put in between.
    struct Change {
        var scalar: UInt32
        var removed: Int
    }

    /// Goes over a text from start to end and writes the changed one.
    struct Rewriter {
        private let old: Piece
        private(set) var new: AlignedText

        init(_ old: Piece) {
            self.old = old
            new = AlignedText(originalStart: old.originalStart, isTracked: old.alignments != nil)
            new.bytes.reserveCapacity(old.text.count)
        }

        /// Takes a part as it is.
        mutating func keep(_ range: Range<Int>) {
            new.bytes += old.text.bytes[range]
            if let alignments = old.alignments { for index in range { new.alignments.append(alignments[index]) } }
        }

        /// Puts the changed characters for a part, its first `skipped` characters vanishing before them.
        mutating func replace(_ range: Range<Int>, with changes: some Sequence<Change>, skipping skipped: Int = 0) {
            guard let alignments = old.alignments else {
                for change in changes { UTF8Text.append(change.scalar, to: &new.bytes) }
                return
            }
            var position = range.lowerBound
            func step() { if position < range.upperBound { position += old.text.scalar(at: position).length } }
            for _ in 0..<skipped { step() }
            for change in changes {
                var alignment = Alignment(
                    start: UInt32(truncatingIfNeeded: old.originalStart), end: UInt32(truncatingIfNeeded: old.originalStart))
                if change.removed <= 0 {
                    if position < old.text.count { alignment = alignments[position] }
                    for _ in 0...(-change.removed) { step() }
                } else if position > 0 {
                    // What is put in shares the place of what stands before it.
                    alignment = alignments[position - 1]
                }
                let before = new.bytes.count
                UTF8Text.append(change.scalar, to: &new.bytes)
                for _ in before..<new.bytes.count { new.alignments.append(alignment) }
            }
        }
    }
}

/// A borrowed part of a text.
struct Piece {
    var text: UTF8Text
    /// One a byte, if offsets are wanted.
    var alignments: UnsafePointer<Alignment>?
    /// Where in the original text it starts; known only if alignments are, or if the text is the original.
    var originalStart: Int

    /// A part of the part, not empty.
    @inline(__always)
    subscript(range: Range<Int>) -> Piece {
        guard let alignments else { return Piece(text: text[range], alignments: nil, originalStart: originalStart) }
        return Piece(
            text: text[range], alignments: alignments + range.lowerBound, originalStart: Int(alignments[range.lowerBound].start))
    }

    /// How many bytes behind this piece belong to the same text is not known; the piece itself may be read.
    @inline(__always)
    var bytes: UnsafeBufferPointer<UInt8> { text.bytes }
}

extension UTF8Text {
    /// Appends a scalar's UTF-8.
    static func append(_ scalar: UInt32, to out: inout [UInt8]) {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: 0x80 | (scalar >> shift & 0x3F)) }
        switch scalar {
        case ..<0x80: out.append(UInt8(truncatingIfNeeded: scalar))
        case ..<0x800:
            out.append(UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6))
            out.append(tail(0))
        case ..<0x10000:
            out.append(UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12))
            out.append(tail(6))
            out.append(tail(0))
        default:
            out.append(UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18))
            out.append(tail(12))
            out.append(tail(6))
            out.append(tail(0))
        }
    }
}
