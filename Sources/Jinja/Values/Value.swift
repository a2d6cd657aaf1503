/// What a template computes with: Python's values.
enum Value {
    case undefined(Undefined)
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(Text)
    case list(Items)
    case tuple(Items)
    case dictionary(OrderedDictionary)
    /// What is neither data nor text: functions, namespaces, iterators.
    case object(RuntimeObject)

    static func string(_ text: String) -> Value { .string(Text(text)) }
}

/// A value that is not there: it prints as nothing, is false and empty, and anything else done to it is an error.
final class Undefined {
    /// What the error says.
    let message: () -> String

    init(_ message: @autoclosure @escaping () -> String) { self.message = message }

    var error: JinjaError { JinjaError(message()) }
}

/// The elements of a list or a tuple; never changed, as in Jinja2's immutable sandbox.
class Items {
    final let elements: [Value]
    /// Levels of lists, dictionaries and iterators inside each other, this one included.
    final let depth: Int

    init(_ elements: [Value], depth: Int) {
        self.elements = elements
        self.depth = depth
    }
}

/// What `groupby` gives: a tuple of two with names.
final class Group: Items {
    var grouper: Value { elements[0] }
    var list: Value { elements[1] }
}

extension Value {
    /// Levels of values inside each other: 0 for what holds no other.
    var depth: Int {
        switch self {
        case .list(let items), .tuple(let items): items.depth
        case .dictionary(let dictionary): dictionary.depth
        case .object(let object): object.depth
        default: 0
        }
    }

    /// Python's truth.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .number(let value): value != 0
        case .string(let text): !text.isEmpty
        case .list(let items), .tuple(let items): !items.elements.isEmpty
        case .dictionary(let dictionary): !dictionary.entries.isEmpty
        case .object(let object): object.isTrue
        }
    }

    /// The value as a whole number, which Python's `True` and `False` are too.
    var wholeNumber: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    /// The value as a number with a fraction.
    var double: Double? {
        if case .number(let value) = self { return value }
        return wholeNumber.map(Double.init)
    }

    var text: Text? {
        if case .string(let text) = self { return text }
        return nil
    }

    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .number: "float"
        case .string(let text): text.isMarkup ? "Markup" : "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dictionary: "dict"
        case .object(let object): object.typeName
        }
    }

    /// How Jinja2's errors call the value: by its type.
    var kindName: String {
        if case .none = self { return "None" }
        return "\(typeName) object"
    }
}
