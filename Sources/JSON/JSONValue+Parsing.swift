internal import CJSONC

/// How large a document may be.
public struct JSONLimits: Sendable {
    /// The most bytes that are read; 2 GiB - 1 at the most.
    public var bytes: Int = 64 << 20
    /// The most arrays and objects inside each other; 512 at the most.
    public var depth: Int = 32

    /// 64 MiB and 32 levels, unless said otherwise.
    public init(bytes: Int = 64 << 20, depth: Int = 32) {
        self.bytes = min(bytes, Int(Int32.max))
        self.depth = min(depth, 512)
    }
}

extension JSONValue {
    /// Reads one document: RFC 8259 strictly, valid UTF-8, no key twice in an object, integers within 64 bits.
    ///
    /// `source` names the text in errors. Throws the first error with its line and column.
    public static func parse(_ bytes: UnsafeRawBufferPointer, source: String, limits: JSONLimits = .init()) throws(JSONError) -> JSONValue {
        guard bytes.count <= limits.bytes else {
            throw JSONError(source: source, message: "the text has \(bytes.count) bytes, more than the \(limits.bytes) allowed")
        }
        let (value, respelled) = try JSONGate.check(bytes, source: source, depth: limits.depth)
        guard let respelled else {
            return try JSONDocument(UnsafeRawBufferPointer(rebasing: bytes[value]), source: source, depth: limits.depth).value
        }
        return try respelled.withUnsafeBufferPointer { bytes throws(JSONError) in
            try JSONDocument(UnsafeRawBufferPointer(bytes), source: source, depth: limits.depth).value
        }
    }

    /// Reads one document from an array of bytes; see `parse(_:source:limits:)`.
    public static func parse(_ bytes: [UInt8], source: String, limits: JSONLimits = .init()) throws(JSONError) -> JSONValue {
        try bytes.withUnsafeBufferPointer { bytes throws(JSONError) in
            try parse(UnsafeRawBufferPointer(bytes), source: source, limits: limits)
        }
    }

    /// Reads one document from a regular file of at most `limits.bytes`; see `parse(_:source:limits:)`.
    public static func parse(contentsOf path: String, limits: JSONLimits = .init()) throws(JSONError) -> JSONValue {
        try parse(try BoundedFile.read(path, limit: limits.bytes), source: path, limits: limits)
    }
}

/// json-c's tree of a text that has passed the gate; freed when this value ends.
private struct JSONDocument: ~Copyable {
    private let root: OpaquePointer?

    init(_ text: UnsafeRawBufferPointer, source: String, depth: Int) throws(JSONError) {
        // json-c counts one level for a scalar and refuses at its limit, hence two more than the gate.
        guard let count = Int32(exactly: text.count), let tokener = json_tokener_new_ex(Int32(depth + 2)) else {
            throw JSONError(source: source, message: "out of memory")
        }
        defer { json_tokener_free(tokener) }
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT)
        var root = json_tokener_parse_ex(tokener, text.baseAddress?.assumingMemoryBound(to: CChar.self), count)
        // A number that ends with the text could go on: a NUL tells json-c that it does not.
        if root == nil, json_tokener_get_error(tokener) == json_tokener_continue { root = json_tokener_parse_ex(tokener, "", 1) }
        let error = json_tokener_get_error(tokener)
        guard error == json_tokener_success else {
            throw JSONError(source: source, message: "json-c: " + String(cString: json_tokener_error_desc(error)))
        }
        self.root = root
    }

    deinit { json_object_put(root) }

    var value: JSONValue { Self.value(of: root) }

    private static func value(of object: OpaquePointer?) -> JSONValue {
        switch json_object_get_type(object) {
        case json_type_boolean: return .bool(json_object_get_boolean(object) != 0)
        case json_type_int: return .integer(json_object_get_int64(object))
        case json_type_double: return .number(json_object_get_double(object))
        case json_type_string:
            return .string(string(json_object_get_string(object), count: Int(json_object_get_string_len(object))))
        case json_type_array:
            return .array((0..<json_object_array_length(object)).map { value(of: json_object_array_get_idx(object, $0)) })
        case json_type_object:
            var members: [(key: String, value: JSONValue)] = []
            members.reserveCapacity(Int(json_object_object_length(object)))
            // The table is linked in the order of insertion, which is that of the text.
            var entry = json_object_get_object(object)?.pointee.head
            while let member = entry?.pointee {
                let key = member.k.assumingMemoryBound(to: CChar.self)
                members.append((String(cString: key), value(of: OpaquePointer(member.v))))
                entry = member.next
            }
            return .object(JSONObject(members))
        default: return .null
        }
    }

    private static func string(_ start: UnsafePointer<CChar>?, count: Int) -> String {
        String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
