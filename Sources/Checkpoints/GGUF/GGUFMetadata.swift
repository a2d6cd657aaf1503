internal import GGUF

/// A GGUF file's metadata asked for by key and type; an error says what is missing or what stands there instead.
struct GGUFMetadata: Sendable {
    let file: GGUFFile

    func failure(_ key: String, _ message: String) -> CheckpointError { CheckpointError(path: file.path, message: "key '\(key)': \(message)") }

    /// The value of a key turned into what is wanted; nil when the key is missing.
    private func value<Wanted>(_ key: String, _ expected: String, _ turn: (GGUFValue) -> Wanted?) throws(CheckpointError) -> Wanted? {
        guard let value = file[key] else { return nil }
        guard let wanted = turn(value) else { throw failure(key, "has type \(value.typeName), expected \(expected)") }
        return wanted
    }

    private func required<Wanted>(_ key: String, _ value: Wanted?) throws(CheckpointError) -> Wanted {
        guard let value else { throw failure(key, "is missing, and the model cannot be understood without it") }
        return value
    }

    func optionalString(_ key: String) throws(CheckpointError) -> String? { try value(key, "a string", \.string) }
    func optionalInteger(_ key: String) throws(CheckpointError) -> Int? { try value(key, "an integer", \.int) }
    func optionalFloat(_ key: String) throws(CheckpointError) -> Float? { try value(key, "a FLOAT32", \.float) }
    func optionalBool(_ key: String) throws(CheckpointError) -> Bool? { try value(key, "a BOOL", \.bool) }
    func optionalIntegers(_ key: String) throws(CheckpointError) -> [Int]? { try value(key, "an array of integers") { $0.array?.integers } }

    func optionalFloats(_ key: String) throws(CheckpointError) -> [Float]? { try value(key, "an array of FLOAT32") { $0.array?.floats } }

    func string(_ key: String) throws(CheckpointError) -> String { try required(key, optionalString(key)) }
    func float(_ key: String) throws(CheckpointError) -> Float { try required(key, optionalFloat(key)) }
    func strings(_ key: String) throws(CheckpointError) -> GGUFArray {
        try required(key, try value(key, "an array of strings") { $0.array.flatMap { $0.elementType == .string ? $0 : nil } })
    }

    /// A count: positive, and small enough that products of two do not overflow.
    func count(_ key: String) throws(CheckpointError) -> Int {
        let count = try required(key, optionalInteger(key))
        guard (1...Int(Int32.max)).contains(count) else { throw failure(key, "is \(count), expected 1 to \(Int32.max)") }
        return count
    }
}
