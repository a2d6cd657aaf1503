/// An array of a GGUF file's metadata: a view into the mapped file, so that a vocabulary of 150,000 strings costs nothing until it is walked.
public struct GGUFArray: Sendable {
    /// The type of every element; never an array.
    public let elementType: GGUFValueType
    /// How many elements there are.
    public let count: Int
    private let mapping: FileMapping
    private let offset: Int  // of the first element in the file

    /// The caller has checked that the elements, strings included, lie within the mapping.
    init(elementType: GGUFValueType, count: Int, offset: Int, in mapping: FileMapping) {
        self.elementType = elementType
        self.count = count
        self.offset = offset
        self.mapping = mapping
    }

    /// The integers of an array of any integer type, or nil when the elements are something else or one is beyond Int.
    public var integers: [Int]? {
        switch elementType {
        case .uint8: numbers(UInt8.self)
        case .int8: numbers(Int8.self)
        case .uint16: numbers(UInt16.self)
        case .int16: numbers(Int16.self)
        case .uint32: numbers(UInt32.self)
        case .int32: numbers(Int32.self)
        case .uint64: numbers(UInt64.self)
        case .int64: numbers(Int64.self)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    private func numbers<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) -> [Int]? {
        var result: [Int] = []
        result.reserveCapacity(count)
        for index in 0..<count {
            let raw = mapping.bytes.loadUnaligned(fromByteOffset: offset + index * MemoryLayout<Number>.size, as: Number.self)
            guard let value = Int(exactly: Number(littleEndian: raw)) else { return nil }
            result.append(value)
        }
        return result
    }

    /// The single-precision numbers of an array of them, or nil when the elements are something else.
    public var floats: [Float]? {
        guard elementType == .float32 else { return nil }
        return (0..<count).map { index in
            let raw = mapping.bytes.loadUnaligned(fromByteOffset: offset + index * 4, as: UInt32.self)
            return Float(bitPattern: UInt32(littleEndian: raw))
        }
    }

    /// Calls `body` with the bytes of each string in order (meant to be UTF-8, not checked); not at all when the elements are not strings.
    /// The bytes are the file's own: they must not be kept.
    public func forEachString<Failure: Error>(_ body: (Int, UnsafeRawBufferPointer) throws(Failure) -> Void) throws(Failure) {
        guard elementType == .string else { return }
        var position = offset
        for index in 0..<count {
            let length = Int(UInt64(littleEndian: mapping.bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
            position += 8
            try body(index, UnsafeRawBufferPointer(rebasing: mapping.bytes[position..<position + length]))
            position += length
        }
    }
}
