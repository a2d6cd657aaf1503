/// One byte for every Unicode scalar, in two stages: blocks of 256 values, equal blocks stored once.
struct ScalarTable: Sendable {
    private var blocks = [UInt16](repeating: 0, count: 0x110000 >> 8)
    private var values: [UInt8] = []

    /// Combines with `|` the values of all the ranges (both ends included) that a scalar lies in.
    init(_ ranges: some Sequence<(ClosedRange<UInt32>, UInt8)>) {
        var full: [Int: [UInt8]] = [:]
        for (range, value) in ranges {
            for scalar in range { full[Int(scalar >> 8), default: [UInt8](repeating: 0, count: 256)][Int(scalar & 0xFF)] |= value }
        }
        var numbers: [[UInt8]: UInt16] = [:]
        for block in blocks.indices {
            let content = full[block] ?? [UInt8](repeating: 0, count: 256)
            if let number = numbers[content] {
                blocks[block] = number
            } else {
                blocks[block] = UInt16(numbers.count)
                numbers[content] = blocks[block]
                values += content
            }
        }
    }

    /// The value of a scalar; 0 beyond U+10FFFF.
    subscript(scalar: UInt32) -> UInt8 {
        guard scalar < 0x110000 else { return 0 }
        return values[Int(blocks[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)]
    }

    /// Lends the table for look-ups in inner loops.
    func withLookup<Result>(_ body: (Lookup) -> Result) -> Result {
        blocks.withUnsafeBufferPointer { blocks in
            values.withUnsafeBufferPointer { values in body(Lookup(blocks: blocks, values: values)) }
        }
    }

    /// The borrowed table. Scalars must be below 0x110000, which those of valid UTF-8 are.
    struct Lookup {
        fileprivate let blocks: UnsafeBufferPointer<UInt16>
        fileprivate let values: UnsafeBufferPointer<UInt8>

        @inline(__always)
        subscript(scalar: UInt32) -> UInt8 {
            values[Int(blocks[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)]
        }
    }
}

/// Triples (first, last, value) or pairs (first, last) of a flat generated table, as ranges.
func ranges(_ flat: [UInt32], stride width: Int, value: (Int) -> UInt8) -> [(ClosedRange<UInt32>, UInt8)] {
    stride(from: 0, to: flat.count, by: width).map { (flat[$0]...flat[$0 + 1], value($0)) }
}
