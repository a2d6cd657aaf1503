/// The checked header of a GGUF file: counts, metadata, tensor descriptions.
///
///     u32 magic "GGUF" | u32 version | u64 tensors | u64 keys | key-value pairs | tensor descriptions | padding | data
///
/// Nothing is trusted: a length is compared with the bytes left before anything of that size is made, sums and products are checked for
/// overflow, and the work is linear in the size of the file. Beyond what ggml's loader enforces, this refuses empty dimensions, names that are
/// not UTF-8 or hold a NUL, a bool that is neither 0 nor 1, alignments past a mebibyte, and more than a million keys or tensors.
struct GGUFHeader {
    let version: UInt32
    private(set) var alignment = 32
    private(set) var metadata: [(key: String, value: GGUFValue)] = []
    private(set) var keyIndex: [[UInt8]: Int] = [:]
    private(set) var tensors: [GGUFTensor] = []
    private(set) var tensorIndex: [[UInt8]: Int] = [:]

    private static let mostEntries = 1_000_000
    private static let mostArrayElements = 1 << 30
    private static let mostAlignment = 1 << 20
    private static let longestTensorName = 63
    private static let mostDimensions = 4

    init(reading mapping: FileMapping, path: String) throws(GGUFError) {
        if let mistaken = whatItIs(mapping.bytes) { throw GGUFError(path: path, place: "", message: mistaken) }
        var cursor = GGUFCursor(path: path, bytes: mapping.bytes, offset: 4)
        version = try cursor.integer("version")
        guard version == 2 || version == 3 else {
            let swapped = version.byteSwapped == 2 || version.byteSwapped == 3
            let hint =
                version == 1 ? "; convert it again with a current llama.cpp" : swapped ? "; the file is big-endian: gguf-convert-endian turns it" : ""
            throw cursor.failure(at: 4, "GGUF version \(version), expected 2 or 3\(hint)")
        }
        let tensorCount = try cursor.count(of: "tensors", eachAtLeast: 24, most: Self.mostEntries)
        let keyCount = try cursor.count(of: "metadata keys", eachAtLeast: 13, most: Self.mostEntries)
        for _ in 0..<keyCount { try readKey(&cursor, mapping) }
        alignment = try checkedAlignment(path)
        try readTensors(tensorCount, &cursor)
        try checkQuantizationVersion(path)
    }

    // MARK: Metadata

    private mutating func readKey(_ cursor: inout GGUFCursor, _ mapping: FileMapping) throws(GGUFError) {
        let start = cursor.offset
        let key = try cursor.name("metadata key")
        guard keyIndex.updateValue(metadata.count, forKey: Array(key.utf8)) == nil else {
            throw cursor.failure(at: start, "the key \(quoted(key.utf8)) occurs twice")
        }
        let type = try valueType(&cursor, key)
        metadata.append((key, type == .array ? try readArray(&cursor, key, mapping) : try cursor.value(type, of: key)))
    }

    private func valueType(_ cursor: inout GGUFCursor, _ key: String) throws(GGUFError) -> GGUFValueType {
        let start = cursor.offset
        let number: UInt32 = try cursor.integer("value type")
        guard let type = GGUFValueType(rawValue: number) else {
            throw cursor.failure(at: start, "the key \(quoted(key.utf8)) has value type \(number), expected 0 to 12")
        }
        return type
    }

    private func readArray(_ cursor: inout GGUFCursor, _ key: String, _ mapping: FileMapping) throws(GGUFError) -> GGUFValue {
        let start = cursor.offset
        let type = try valueType(&cursor, key)
        guard type != .array else {
            throw cursor.failure(at: start, "the key \(quoted(key.utf8)) is an array of arrays, which GGUF loaders do not read")
        }
        let count = try cursor.count(of: "elements of \(quoted(key.utf8))", eachAtLeast: type.leastBytes, most: Self.mostArrayElements)
        let array = GGUFArray(elementType: type, count: count, offset: cursor.offset, in: mapping)
        switch type {
        case .string: for _ in 0..<count { _ = try cursor.string("string of \(quoted(key.utf8))") }
        case .bool: for _ in 0..<count { _ = try cursor.bool(of: key) }
        default: try cursor.skip(count * type.leastBytes)  // at most the bytes left, by the check above
        }
        return .array(array)
    }

    private func checkedAlignment(_ path: String) throws(GGUFError) -> Int {
        guard let value = keyIndex[Array("general.alignment".utf8)].map({ metadata[$0].value }) else { return alignment }
        func failure(_ found: String) -> GGUFError {
            GGUFError(
                path: path, place: "key 'general.alignment'",
                message: "\(found), expected a UINT32 that is a power of two up to \(Self.mostAlignment)")
        }
        guard case .uint32(let alignment) = value else { throw failure("has type \(value.typeName)") }
        guard alignment.nonzeroBitCount == 1, alignment <= Self.mostAlignment else { throw failure("is \(alignment)") }
        return Int(alignment)
    }

    /// Version 1 laid blocks out differently; a file that does not say is taken to be of version 2, the only one since 2023.
    private func checkQuantizationVersion(_ path: String) throws(GGUFError) {
        guard let value = keyIndex[Array("general.quantization_version".utf8)].map({ metadata[$0].value }), value.int != 2,
            let quantised = tensors.first(where: { $0.type.blockWeights > 1 })
        else { return }
        let found = value.int.map { "is \($0)" } ?? "has type \(value.typeName)"
        throw GGUFError(
            path: path, place: "key 'general.quantization_version'",
            message: "\(found), expected 2 (tensor \(quoted(quantised.name.utf8)) is \(quantised.type.name))")
    }

    // MARK: Tensors

    private mutating func readTensors(_ count: Int, _ cursor: inout GGUFCursor) throws(GGUFError) {
        var relativeOffsets: [Int] = []  // in the data section
        var expected = 0
        for _ in 0..<count {
            let start = cursor.offset
            let name = try cursor.name("tensor name")
            guard name.utf8.count <= Self.longestTensorName else {
                throw cursor.failure(
                    at: start, "a tensor's name has \(name.utf8.count) bytes, at most \(Self.longestTensorName) are allowed: \(quoted(name.utf8))")
            }
            guard tensorIndex.updateValue(tensors.count, forKey: Array(name.utf8)) == nil else {
                throw cursor.failure(at: start, "the tensor \(quoted(name.utf8)) occurs twice")
            }
            let tensor = try describe(name, &cursor)
            let offset: UInt64 = try cursor.integer("tensor offset")
            guard offset == UInt64(expected) else {
                throw cursor.failure(
                    tensor: name,
                    "its data is at offset \(offset), expected \(expected): right after the tensor before it, padded to \(alignment) bytes")
            }
            relativeOffsets.append(expected)
            guard let next = padded(expected, adding: tensor.byteCount) else {
                throw cursor.failure(tensor: name, "the sizes of the tensors up to it overflow")
            }
            expected = next
            tensors.append(tensor)
        }
        guard !tensors.isEmpty else { return }
        guard let data = padded(cursor.offset, adding: 0) else {
            throw cursor.failure(at: cursor.offset, "the data section lies past the largest offset")
        }
        for (index, tensor) in tensors.enumerated() {
            let (start, overflow) = data.addingReportingOverflow(relativeOffsets[index])
            let (end, endOverflow) = start.addingReportingOverflow(tensor.byteCount)
            guard !overflow, !endOverflow, end <= cursor.bytes.count else {
                throw cursor.failure(
                    tensor: tensor.name,
                    "its \(tensor.byteCount) bytes start at byte \(overflow ? Int.max : start), but the file has only \(cursor.bytes.count) bytes (a download cut short?)"
                )
            }
            tensors[index] = GGUFTensor(name: tensor.name, type: tensor.type, shape: tensor.shape, offset: start, byteCount: tensor.byteCount)
        }
    }

    /// Dimensions and type of one tensor; where its data is, is not known before the last of them is read.
    private func describe(_ name: String, _ cursor: inout GGUFCursor) throws(GGUFError) -> GGUFTensor {
        let rank: UInt32 = try cursor.integer("number of dimensions")
        guard rank <= Self.mostDimensions else {
            throw cursor.failure(tensor: name, "\(rank) dimensions, at most \(Self.mostDimensions) are allowed")
        }
        var shape: [Int] = []
        var weights = 1
        for _ in 0..<rank {
            let raw: UInt64 = try cursor.integer("dimension")
            guard let dimension = Int(exactly: raw), dimension > 0 else {
                throw cursor.failure(tensor: name, "dimension \(Int64(bitPattern: raw)), expected a positive number")
            }
            let (product, overflow) = weights.multipliedReportingOverflow(by: dimension)
            guard !overflow else { throw cursor.failure(tensor: name, "the product of its dimensions overflows") }
            weights = product
            shape.append(dimension)
        }
        let number: UInt32 = try cursor.integer("tensor type")
        guard let type = GGMLType(rawValue: number) else {
            throw cursor.failure(tensor: name, "type \(number) is not a tensor type of ggml (a newer file, or a broken one)")
        }
        let rowLength = shape.first ?? 1
        guard rowLength % type.blockWeights == 0 else {
            throw cursor.failure(tensor: name, "rows of \(rowLength) weights do not divide into \(type.name) blocks of \(type.blockWeights)")
        }
        let (byteCount, overflow) = (weights / type.blockWeights).multipliedReportingOverflow(by: type.blockBytes)
        guard !overflow else { throw cursor.failure(tensor: name, "its size in bytes overflows") }
        return GGUFTensor(name: name, type: type, shape: shape.reversed(), offset: 0, byteCount: byteCount)
    }

    /// `offset + count`, rounded up to the alignment; nil on overflow.
    private func padded(_ offset: Int, adding count: Int) -> Int? {
        let (end, overflow) = offset.addingReportingOverflow(count)
        let (raised, raisedOverflow) = end.addingReportingOverflow(alignment - 1)
        return overflow || raisedOverflow ? nil : raised & ~(alignment - 1)
    }
}
