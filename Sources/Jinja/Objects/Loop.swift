/// A running `for`: the source of its elements, and the variable `loop` in its body.
final class Loop: RuntimeObject {
    private let source: Source
    private let condition: (Value, Renderer) throws(JinjaError) -> Bool
    private let isConditional: Bool
    private let recurse: ((Value, Int) throws(JinjaError) -> Value)?
    private let depth0: Int
    private let innerDepth: Int
    /// Elements of `.items` taken so far.
    private var sourcePosition = 0
    private var index0 = -1
    private var knownLength: Int?
    private var current: Value?
    private var previous: Value?
    /// Elements taken early, by `loop.last` or `loop.length`.
    private var ahead: ArraySlice<Value> = []
    private var lastChanged: [Value]?

    private enum Source {
        case items([Value])
        case iterator(Iterator)
    }

    /// - Parameters:
    ///   - condition: of `for x in y if condition`; asked when an element is due, not before.
    ///   - recurse: renders the loop anew, for `loop(children)`.
    init(
        over value: Value, _ renderer: Renderer, condition: ((Value, Renderer) throws(JinjaError) -> Bool)?, depth0: Int,
        recurse: ((Value, Int) throws(JinjaError) -> Value)?
    ) throws(JinjaError) {
        if case .object(let object) = value, let iterator = object as? Iterator {
            source = .iterator(iterator)
        } else {
            source = .items(try renderer.elements(of: value))
        }
        innerDepth = value.depth + 1
        isConditional = condition != nil
        self.condition = condition ?? { _, _ in true }
        self.depth0 = depth0
        self.recurse = recurse
    }

    // MARK: Iteration

    private func take(_ renderer: Renderer) throws(JinjaError) -> Value? {
        while true {
            try renderer.spend(2)
            let element: Value
            switch source {
            case .items(let items):
                guard sourcePosition < items.count else { return nil }
                element = items[sourcePosition]
                sourcePosition += 1
            case .iterator(let iterator):
                guard let next = iterator.next() else { return nil }
                element = next
            }
            if try condition(element, renderer) { return element }
        }
    }

    /// Goes on to the next element; nil at the end.
    func advance(_ renderer: Renderer) throws(JinjaError) -> Value? {
        guard let element = ahead.isEmpty ? try take(renderer) : ahead.popFirst() else { return nil }
        index0 += 1
        previous = current
        current = element
        return element
    }

    private func next(_ renderer: Renderer) throws(JinjaError) -> Value? {
        if ahead.isEmpty, let element = try take(renderer) { ahead.append(element) }
        return ahead.first
    }

    private func count(_ renderer: Renderer) throws(JinjaError) -> Int {
        if let knownLength { return knownLength }
        if case .items(let items) = source, !isConditional {
            knownLength = items.count
            return items.count
        }
        while let element = try take(renderer) { ahead.append(element) }
        let count = index0 + 1 + ahead.count
        knownLength = count
        return count
    }

    // MARK: The variable

    override var typeName: String { "LoopContext" }
    override var depth: Int { innerDepth }
    override var isCallable: Bool { true }

    override func representation(_ renderer: Renderer, depth: Int) throws(JinjaError) -> Text {
        Text("<LoopContext \(index0 + 1)/\(try count(renderer))>")
    }

    override func attribute(_ name: Text, _ renderer: Renderer) throws(JinjaError) -> Value? {
        switch name {
        case "index": return .integer(index0 + 1)
        case "index0": return .integer(index0)
        case "revindex": return .integer(try count(renderer) - index0)
        case "revindex0": return .integer(try count(renderer) - index0 - 1)
        case "first": return .bool(index0 == 0)
        case "last": return .bool(try next(renderer) == nil)
        case "length": return .integer(try count(renderer))
        case "depth": return .integer(depth0 + 1)
        case "depth0": return .integer(depth0)
        case "previtem": return (index0 == 0 ? nil : previous) ?? .undefined(Undefined("there is no previous item"))
        case "nextitem": return try next(renderer) ?? .undefined(Undefined("there is no next item"))
        case "cycle", "changed":
            let isCycle = name == "cycle"
            return .object(
                Function(name, receiver: .object(self)) { arguments, renderer throws(JinjaError) in
                    isCycle ? try self.cycled(arguments) : .bool(try self.isChanged(arguments, renderer))
                })
        default: return nil
        }
    }

    private func cycled(_ arguments: Arguments) throws(JinjaError) -> Value {
        guard !arguments.positional.isEmpty else { throw JinjaError("no items for cycling given") }
        return arguments.positional[index0 % arguments.positional.count]
    }

    /// Whether these values differ from those of the last call.
    private func isChanged(_ arguments: Arguments, _ renderer: Renderer) throws(JinjaError) -> Bool {
        let values = arguments.positional
        if let last = lastChanged, try renderer.equal(last, values, depth: 0) { return false }
        // Kept only as deep as everything else is.
        _ = try renderer.tuple(values)
        lastChanged = values
        return true
    }

    override func call(_ arguments: Arguments, _ renderer: Renderer) throws(JinjaError) -> Value {
        guard let recurse else { throw JinjaError("the loop must have the 'recursive' marker to be called recursively") }
        guard let value = try arguments.bound(to: ["iterable"], required: 1, of: "loop")[0] else { return .none }
        return try recurse(value, depth0 + 1)
    }
}
