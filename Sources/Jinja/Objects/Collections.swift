/// What filters such as `map` and `select` give: its elements can be taken once, and it has no length.
final class Iterator: RuntimeObject {
    private var rest: ArraySlice<Value>
    private let innerDepth: Int
    private let name: String

    init(_ elements: [Value], typeName: String = "generator") {
        rest = elements[...]
        innerDepth = 1 + elements.reduce(0) { max($0, $1.depth) }
        name = typeName
    }

    override var typeName: String { name }
    override var depth: Int { innerDepth }

    func next() -> Value? { rest.popFirst() }

    /// What is left, which is taken.
    override var elements: [Value]? {
        defer { rest = [] }
        return Array(rest)
    }
}

/// `range(...)`
final class NumberRange: RuntimeObject {
    let start: Int
    let end: Int
    let step: Int
    private let count: Int

    /// The sandbox's bound.
    static let longest = 100_000

    init(start: Int, end: Int, step: Int) throws(JinjaError) {
        guard step != 0 else { throw JinjaError("range() arg 3 must not be zero") }
        let isEmpty = step > 0 ? start >= end : start <= end
        let (distance, overflow) = step > 0 ? end.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(end)
        let count = isEmpty ? 0 : overflow ? UInt.max : UInt(distance - 1) / step.magnitude + 1
        guard count <= UInt(Self.longest) else {
            throw JinjaError("range too big: the sandbox blocks ranges of more than \(Self.longest) elements")
        }
        self.start = start
        self.end = end
        self.step = step
        self.count = Int(count)
    }

    override var typeName: String { "range" }
    override var isTrue: Bool { count > 0 }
    override var length: Int? { count }
    override var elements: [Value]? { (0..<count).map { .integer(start + $0 * step) } }

    override func item(_ key: Value) -> Value? {
        guard let index = key.wholeNumber, index < count, index >= -count else { return nil }
        return .integer(start + (index < 0 ? index + count : index) * step)
    }

    override func representation(_ renderer: Renderer, depth: Int) throws(JinjaError) -> Text {
        Text("range(\(start), \(end)\(step == 1 ? "" : ", \(step)"))")
    }
}

/// What a dictionary's `keys()`, `values()` and `items()` give.
final class DictionaryView: RuntimeObject {
    private let name: String
    private let values: Items

    init(_ typeName: String, _ values: Items) {
        name = typeName
        self.values = values
    }

    override var typeName: String { name }
    override var depth: Int { values.depth }
    override var isTrue: Bool { !values.elements.isEmpty }
    override var length: Int? { values.elements.count }
    override var elements: [Value]? { values.elements }

    override func representation(_ renderer: Renderer, depth: Int) throws(JinjaError) -> Text {
        Text(Array("\(name)(".unicodeScalars) + (try renderer.representation(of: .list(values), depth: depth)).scalars + [")"])
    }
}

/// `cycler(...)`: one after the other, over and over.
final class Cycler: RuntimeObject {
    private let values: Items
    private var position = 0

    init(_ values: Items) { self.values = values }

    override var typeName: String { "Cycler" }
    override var depth: Int { values.depth }

    override func attribute(_ name: Text, _ renderer: Renderer) throws(JinjaError) -> Value? {
        switch name {
        case "current": values.elements[position]
        case "next":
            .object(
                Function(name, receiver: .object(self)) { arguments, _ throws(JinjaError) in
                    _ = try arguments.bound(to: [], of: "next")
                    defer { self.position = (self.position + 1) % self.values.elements.count }
                    return self.values.elements[self.position]
                })
        case "reset":
            .object(
                Function(name, receiver: .object(self)) { arguments, _ throws(JinjaError) in
                    _ = try arguments.bound(to: [], of: "reset")
                    self.position = 0
                    return .none
                })
        default: nil
        }
    }
}

/// `joiner(separator)`: nothing the first time it is called, then the separator.
final class Joiner: RuntimeObject {
    /// The one separator.
    private let separator: Items
    private var isUsed = false

    init(_ separator: Items) { self.separator = separator }

    override var typeName: String { "Joiner" }
    override var depth: Int { separator.depth }
    override var isCallable: Bool { true }

    override func call(_ arguments: Arguments, _ renderer: Renderer) throws(JinjaError) -> Value {
        _ = try arguments.bound(to: [], of: "joiner")
        defer { isUsed = true }
        return isUsed ? separator.elements[0] : .string("")
    }
}
