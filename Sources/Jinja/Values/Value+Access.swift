extension Renderer {
    /// `value.name`: a method or attribute, else the element under that key, else undefined.
    func attribute(_ name: Text, of value: Value) throws(JinjaError) -> Value {
        if let found = try ownAttribute(name, of: value) { return found }
        if let found = element(.string(name), of: value) { return found }
        if case .undefined(let undefined) = value { throw undefined.error }
        return .undefined(Undefined("'\(value.kindName)' has no attribute '\(name.string)'"))
    }

    /// `value[key]`: the element, else the method or attribute, else undefined.
    func item(_ key: Value, of value: Value) throws(JinjaError) -> Value {
        if case .undefined(let undefined) = value { throw undefined.error }
        if let found = element(key, of: value) { return found }
        guard case .string(let name) = key else {
            let shown = try representation(of: key)
            return .undefined(Undefined("\(value.kindName) has no element \(shown.string)"))
        }
        if let found = try ownAttribute(name, of: value) { return found }
        return .undefined(Undefined("'\(value.kindName)' has no attribute '\(name.string)'"))
    }

    /// A method, or what objects have as attributes.
    func ownAttribute(_ name: Text, of value: Value) throws(JinjaError) -> Value? {
        let methods: [Text: Method]
        switch value {
        case .string: methods = Self.stringMethods
        case .dictionary:
            if ["clear", "pop", "popitem", "setdefault", "update"].contains(name) { return Self.unsafe(name, of: value) }
            methods = Self.dictionaryMethods
        case .list:
            if ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"].contains(name) { return Self.unsafe(name, of: value) }
            methods = Self.listMethods
        case .tuple(let items):
            if let group = items as? Group {
                if name == "grouper" { return group.grouper }
                if name == "list" { return group.list }
            }
            methods = Self.tupleMethods
        case .object(let object):
            if let found = try object.attribute(name, self) { return found }
            methods = [:]
        default: methods = [:]
        }
        if let method = methods[name] {
            return .object(Function(name, receiver: value) { arguments, renderer throws(JinjaError) in try method(renderer, value, arguments) })
        }
        // Python's inner attributes are there, but the sandbox does not let a template have them.
        guard name.scalars.starts(with: ["_", "_"]), name.scalars.reversed().starts(with: ["_", "_"]), name.count > 4 else { return nil }
        return Self.unsafe(name, of: value)
    }

    /// What the immutable sandbox gives instead of a method that changes its value.
    private static func unsafe(_ name: Text, of value: Value) -> Value {
        let type = value.typeName
        return .undefined(Undefined("access to attribute '\(name.string)' of '\(type)' object is unsafe"))
    }

    /// The element under a key or at an index; nil if there is none.
    private func element(_ key: Value, of value: Value) -> Value? {
        switch value {
        case .string(let text):
            guard let index = Self.index(key, count: text.count) else { return nil }
            return .string(text.with([text.scalars[index]]))
        case .list(let items), .tuple(let items):
            return Self.index(key, count: items.elements.count).map { items.elements[$0] }
        case .dictionary(let dictionary):
            guard let key = try? Key(key) else { return nil }
            return dictionary[key]
        case .object(let object): return object.item(key)
        default: return nil
        }
    }

    /// Python's index: from the end if negative.
    private static func index(_ key: Value, count: Int) -> Int? {
        guard let index = key.wholeNumber, index < count, index >= -count else { return nil }
        return index < 0 ? index + count : index
    }

    /// `value[start:end:step]`
    func slice(_ value: Value, from start: Int?, to end: Int?, by step: Int) throws(JinjaError) -> Value {
        func elements<Element>(_ all: [Element]) throws(JinjaError) -> [Element] {
            let (first, last, step) = try Self.ends(all.count, start, end, step)
            try spend(characters: (last - first) / step)
            return stride(from: first, to: last, by: step).map { all[$0] }
        }
        switch value {
        case .string(let text): return .string(text.with(try elements(text.scalars)))
        case .list(let items): return try list(try elements(items.elements))
        case .tuple(let items): return try tuple(try elements(items.elements))
        case .object(let object as NumberRange):
            let (first, last, step) = try Self.ends(object.length ?? 0, start, end, step)
            func number(_ start: Int, _ place: Int) throws(JinjaError) -> Int {
                let (distance, isTooFar) = place.multipliedReportingOverflow(by: object.step)
                let (number, isTooLarge) = start.addingReportingOverflow(distance)
                guard !isTooFar, !isTooLarge else { throw JinjaError("a range beyond 64 bits") }
                return number
            }
            return .object(
                try NumberRange(start: number(object.start, first), end: number(object.start, last), step: number(0, step)))
        case .undefined(let undefined): throw undefined.error
        default: throw JinjaError("'\(value.typeName)' object is not subscriptable")
        }
    }

    /// The indices that a slice of `count` elements goes through: from, up to, by.
    private static func ends(_ count: Int, _ start: Int?, _ end: Int?, _ step: Int) throws(JinjaError) -> (first: Int, last: Int, step: Int) {
        guard step != 0 else { throw JinjaError("slice step cannot be zero") }
        // A longer step than there are elements takes one of them all the same.
        let step = max(-count - 1, min(count + 1, step))
        func clamped(_ bound: Int?, absent: Int) -> Int {
            guard let bound else { return absent }
            let lowest = step > 0 ? 0 : -1
            let highest = step > 0 ? count : count - 1
            if bound >= 0 { return min(bound, highest) }
            return bound < -count ? lowest : max(lowest, bound + count)
        }
        return step > 0
            ? (clamped(start, absent: 0), clamped(end, absent: count), step)
            : (clamped(start, absent: count - 1), clamped(end, absent: -1), step)
    }
}
