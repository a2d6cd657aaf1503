/// One byte for every Unicode scalar, in two stages: blocks of 256 values, equal blocks stored once.
struct ScalarTable: Sendable {
    private let blocks = FlatTable<UInt16>(repeating: 0, count: 0x110000 >> 8)
    private let values: FlatTable<UInt8>

    /// Combines with `|` the values of all the ranges (both ends included) that a scalar lies in.
    init(_ ranges: some Sequence<(ClosedRange<UInt32>, UInt8)>) {
        var full = [[UInt8]?](repeating: nil, count: blocks.count)
        for (range, value) in ranges {
            for block in Int(range.lowerBound >> 8)...Int(range.upperBound >> 8) {
                let first = max(Int(range.lowerBound), block << 8) & 0xFF
                let last = min(Int(range.upperBound), block << 8 | 0xFF) & 0xFF
                var content = full[block] ?? [UInt8](repeating: 0, count: 256)
                full[block] = nil
                for index in first...last { content[index] |= value }
                full[block] = content
            }
        }
        var numbers: [[UInt8]: UInt16] = [:]
        var values: [UInt8] = []
        let empty = [UInt8](repeating: 0, count: 256)
        var emptyNumber: UInt16?
        for block in 0..<blocks.count {
            let content = full[block] ?? empty
            if let number = full[block] == nil ? emptyNumber : numbers[content] {
                blocks[block] = number
            } else {
                blocks[block] = UInt16(values.count >> 8)
                if full[block] == nil { emptyNumber = blocks[block] } else { numbers[content] = blocks[block] }
                values += content
            }
        }
        self.values = FlatTable(repeating: 0, count: values.count)
        for (index, value) in values.enumerated() { self.values[index] = value }
    }

    /// The value of a scalar, below 0x110000, as those of valid UTF-8 are.
    @inline(__always)
    subscript(scalar: UInt32) -> UInt8 { values[Int(blocks[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)] }

    /// The value of an ASCII character: block 0 is stored first.
    @inline(__always)
    func ascii(_ byte: UInt8) -> UInt8 { values[Int(byte)] }
}

/// Triples (first, last, value) or pairs (first, last) of a flat generated table, as ranges.
func ranges(_ flat: [UInt32], stride width: Int, value: (Int) -> UInt8) -> [(ClosedRange<UInt32>, UInt8)] {
    stride(from: 0, to: flat.count, by: width).map { (flat[$0]...flat[$0 + 1], value($0)) }
}
