internal import JSON

/// `tokenizer.json`, section by section: each is understood exactly or refused by name.
struct TokenizerFile {
    let text: UnsafeBufferPointer<UInt8>
    let source: String
    /// Everything but `model`.
    let json: JSONValue
    /// `model` without its two big members.
    let model: JSONValue
    /// Where the big ones are.
    let bigMembers: [BigMember: Extent]

    /// The members of `model` that are read without a `JSONValue` in between.
    enum BigMember: String {
        case vocab, merges

        fileprivate var bracket: UInt8 { self == .vocab ? UInt8(ascii: "{") : UInt8(ascii: "[") }
    }

    /// The bytes of an array or object, and how many elements it has.
    typealias Extent = (range: Range<Int>, count: Int)

    init(_ text: UnsafeBufferPointer<UInt8>, source: String) throws(TokenizerError) {
        self.text = text
        self.source = source
        do {
            var sections: [(key: String, value: JSONValue)] = []
            var model: [(key: String, value: JSONValue)] = []
            var bigMembers: [BigMember: Extent] = [:]
            guard text.count <= JSONLimits().bytes else { throw JSONCursor.Malformed() }
            var cursor = JSONCursor(text, range: 0..<text.count)
            cursor.skipWhitespace()
            try Self.forEachMember(&cursor) { key, cursor in
                guard key == "model", cursor.peek == UInt8(ascii: "{") else {
                    sections.append((key, try Self.parse(text, try cursor.skipValue().range)))
                    return
                }
                sections.append((key, .object(JSONObject())))
                try Self.forEachMember(&cursor) { key, cursor in
                    let big = BigMember(rawValue: key)
                    if let big, cursor.peek == big.bracket {
                        bigMembers[big] = try cursor.skipValue()
                        model.append((key, .null))
                    } else {
                        model.append((key, try Self.parse(text, try cursor.skipValue().range)))
                    }
                }
            }
            guard cursor.isAtEnd() else { throw JSONCursor.Malformed() }
            json = .object(JSONObject(sections))
            self.model = .object(JSONObject(model))
            self.bigMembers = bigMembers
        } catch {
            throw Self.malformed(text, source: source)
        }
    }

    /// What the strict reader has against the text.
    static func malformed(_ text: UnsafeBufferPointer<UInt8>, source: String) -> TokenizerError {
        do throws(JSONError) {
            let value = try JSONValue.parse(UnsafeRawBufferPointer(text), source: source)
            return TokenizerError(
                source: source, location: "", message: value.object == nil ? "expected an object; is this a tokenizer.json?" : "cannot be read")
        } catch {
            return TokenizerError(source: source, location: "", message: "not a readable tokenizer.json: \(error.detail)")
        }
    }

    /// Calls `body` with the key of every member of the object here, the cursor at its value; no key may stand twice.
    private static func forEachMember(_ cursor: inout JSONCursor, _ body: (String, inout JSONCursor) throws -> Void) throws {
        var keys: Set<[UInt8]> = []
        guard try cursor.open(UInt8(ascii: "{")) else { return }
        repeat {
            let key = try cursor.string()
            guard keys.insert(Array(key)).inserted else { throw JSONCursor.Malformed() }
            let name = String(decoding: key, as: UTF8.self)
            try cursor.colon()
            try body(name, &cursor)
        } while try cursor.next(UInt8(ascii: "{"))
    }

    private static func parse(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) throws(JSONError) -> JSONValue {
        try JSONValue.parse(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(text)[range]), source: "")
    }

    /// There is one version of the format; Hugging Face's tokenizers refuse any other.
    func checkVersion() throws(TokenizerError) {
        switch json["version"] {
        case nil, .string("1.0"): return
        case let version?: throw error("version", "\(excerpt(version.serialized())) is not supported; \"1.0\" is")
        }
    }

    // MARK: Helpers

    func error(_ location: String, _ message: String) -> TokenizerError {
        TokenizerError(source: source, location: location, message: Self.onOneLine(message))
    }

    private static func onOneLine(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 ? "\u{FFFD}" : $0 }))
    }

    /// One component of a section.
    struct Step {
        var location: String
        var type: String
        var json: JSONValue
    }

    /// The steps of a section, with a `Sequence` (and those inside it) laid flat; none if the section is null or missing.
    func steps(_ section: String, list: String) throws(TokenizerError) -> [Step] {
        var steps: [Step] = []
        try collect(json[section] ?? .null, at: section, list: list, into: &steps)
        return steps
    }

    private func collect(_ value: JSONValue, at location: String, list: String, into steps: inout [Step]) throws(TokenizerError) {
        if case .null = value { return }
        guard let type = value["type"]?.string else { throw error(location, "expected an object with a \"type\"") }
        guard type == "Sequence" else {
            guard steps.count < Self.mostSteps else { throw error(location, "more than \(Self.mostSteps) components") }
            steps.append(Step(location: location, type: excerpt(type), json: value))
            return
        }
        guard let inner = value[list]?.array else { throw error("\(location).\(list)", "expected an array") }
        for (index, step) in inner.enumerated() { try collect(step, at: "\(location).\(list)[\(index)]", list: list, into: &steps) }
    }

    /// Real tokenizers have a handful of components; each goes over the whole text.
    private static let mostSteps = 64

    func flag(_ key: String, of step: Step, default missing: Bool? = nil) throws(TokenizerError) -> Bool {
        guard let found = step.json[key]?.bool ?? (step.json.lacks(key) ? missing : nil) else {
            throw error("\(step.location).\(key)", "expected true or false")
        }
        return found
    }

    func string(_ key: String, of step: Step) throws(TokenizerError) -> String {
        guard let found = step.json[key]?.string else { throw error("\(step.location).\(key)", "expected a string") }
        return found
    }

    /// A string of one character.
    func scalar(_ key: String, of step: Step) throws(TokenizerError) -> Unicode.Scalar {
        let scalars = try string(key, of: step).unicodeScalars
        guard let first = scalars.first, scalars.count == 1 else { throw error("\(step.location).\(key)", "expected one character") }
        return first
    }

    /// `pattern`: `{"String": ...}` or `{"Regex": ...}`.
    func pattern(of step: Step) throws(TokenizerError) -> Pattern {
        let location = "\(step.location).pattern"
        if let literal = step.json["pattern"]?["String"]?.string, !literal.utf8.isEmpty { return .literal(Array(literal.utf8)) }
        guard let expression = step.json["pattern"]?["Regex"]?.string ?? (step.json["pattern"]?["String"] == "" ? "" : nil) else {
            throw error(location, "expected {\"String\": ...} or {\"Regex\": ...}")
        }
        do throws(RegularExpression.Refusal) {
            return .expression(try RegularExpression(expression, source: source, location: "\(location).Regex"))
        } catch {
            throw self.error(
                "\(location).Regex", "expression \(JSONValue.string(excerpt(expression)).serialized()) is not supported: \(error.message)")
        }
    }

    /// The start of a text that may be long, on one line.
    func excerpt(_ text: String) -> String {
        let start = Self.onOneLine(String(text.unicodeScalars.prefix(120)))
        return text.unicodeScalars.count > 120 ? start + "…" : start
    }

    /// The same for UTF-8.
    func excerpt(_ bytes: UnsafeBufferPointer<UInt8>) -> String { excerpt(String(decoding: bytes, as: UTF8.self)) }
}

extension JSONValue {
    /// Whether there is no such member; a `null` is one.
    func lacks(_ key: String) -> Bool { if case .none = self[key] { true } else { false } }
}
