/// A position in an untrusted GGUF header that only moves over bytes that are there.
struct GGUFCursor {
    let path: String
    let bytes: UnsafeRawBufferPointer
    private(set) var offset: Int

    init(path: String, bytes: UnsafeRawBufferPointer, offset: Int) {
        self.path = path
        self.bytes = bytes
        self.offset = offset
    }

    func failure(at offset: Int, _ message: String) -> GGUFError { GGUFError(path: path, place: "byte \(offset)", message: message) }

    func failure(tensor: String, _ message: String) -> GGUFError { GGUFError(path: path, place: "tensor \(quoted(tensor.utf8))", message: message) }

    mutating func integer<Number: FixedWidthInteger & BitwiseCopyable>(_ what: String) throws(GGUFError) -> Number {
        let size = MemoryLayout<Number>.size
        guard bytes.count - offset >= size else {
            throw failure(at: offset, "the file ends inside a \(what): \(size) bytes expected, \(bytes.count - offset) left (a download cut short?)")
        }
        defer { offset += size }
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    /// A 64-bit number of things to follow, refused when that many cannot be there.
    mutating func count(of what: String, eachAtLeast size: Int, most: Int) throws(GGUFError) -> Int {
        let start = offset
        let raw: UInt64 = try integer("number of \(what)")
        guard raw <= UInt64(most) else { throw failure(at: start, "\(raw) \(what), at most \(most) are read") }
        guard Int(raw) <= (bytes.count - offset) / size else {
            throw failure(at: start, "\(raw) \(what) do not fit into the \(bytes.count - offset) bytes left (a download cut short?)")
        }
        return Int(raw)
    }

    /// A length and as many bytes.
    mutating func string(_ what: @autoclosure () -> String) throws(GGUFError) -> UnsafeRawBufferPointer {
        let start = offset
        let length: UInt64 = try integer("string length")
        guard length <= UInt64(bytes.count - offset) else {
            throw failure(
                at: start, "a \(what()) of \(length) bytes does not fit into the \(bytes.count - offset) bytes left (a download cut short?)")
        }
        guard length <= 1 << 30 else { throw failure(at: start, "a \(what()) of \(length) bytes; ggml reads at most \(1 << 30)") }
        defer { offset += Int(length) }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(length)])
    }

    mutating func text(_ what: @autoclosure () -> String) throws(GGUFError) -> String {
        let start = offset
        let raw = try string(what())
        guard let text = String(validating: raw, as: UTF8.self) else { throw failure(at: start, "a \(what()) is not UTF-8: \(quoted(raw))") }
        return text
    }

    /// A key or a tensor's name: UTF-8, not empty, without NUL (C code would see a shorter name).
    mutating func name(_ what: String) throws(GGUFError) -> String {
        let start = offset
        let name = try text(what)
        guard !name.utf8.isEmpty else { throw failure(at: start, "a \(what) is empty") }
        guard !name.utf8.contains(0) else { throw failure(at: start, "a \(what) holds a NUL: \(quoted(name.utf8))") }
        return name
    }

    mutating func bool(of key: String) throws(GGUFError) -> Bool {
        let start = offset
        let byte: UInt8 = try integer("bool")
        guard byte <= 1 else { throw failure(at: start, "the key \(quoted(key.utf8)) holds a bool of \(byte), expected 0 or 1") }
        return byte == 1
    }

    /// Any value but an array.
    mutating func value(_ type: GGUFValueType, of key: String) throws(GGUFError) -> GGUFValue {
        switch type {
        case .uint8: .uint8(try integer("UINT8"))
        case .int8: .int8(try integer("INT8"))
        case .uint16: .uint16(try integer("UINT16"))
        case .int16: .int16(try integer("INT16"))
        case .uint32: .uint32(try integer("UINT32"))
        case .int32: .int32(try integer("INT32"))
        case .uint64: .uint64(try integer("UINT64"))
        case .int64: .int64(try integer("INT64"))
        case .float32: .float32(Float(bitPattern: try integer("FLOAT32")))
        case .float64: .float64(Double(bitPattern: try integer("FLOAT64")))
        case .bool: .bool(try bool(of: key))
        case .string, .array: .string(try text("value of \(quoted(key.utf8))"))
        }
    }

    /// Moves over bytes that `count` has found to be there.
    mutating func skip(_ count: Int) throws(GGUFError) {
        guard count <= bytes.count - offset else { throw failure(at: offset, "\(count) bytes expected, \(bytes.count - offset) left") }
        offset += count
    }
}
