/// A value with a behaviour of its own.
class RuntimeObject {
    /// Python's name of its type.
    var typeName: String { "object" }
    /// Levels of values inside it, where it holds values; what can hold itself (namespaces, macros) is 0 and cleared when the rendering ends.
    var depth: Int { 0 }
    var isTrue: Bool { true }
    var isCallable: Bool { false }
    /// What `str` and `repr` make of it.
    func representation(_ renderer: Renderer, depth: Int) throws(JinjaError) -> Text { Text("<\(typeName) object>") }
    /// nil if it has no such attribute.
    func attribute(_ name: Text, _ renderer: Renderer) throws(JinjaError) -> Value? { nil }
    /// nil if it has no such element.
    func item(_ key: Value) -> Value? { nil }
    /// nil if it has no length.
    var length: Int? { nil }
    /// nil if it cannot be iterated over. What can be iterated over only once says so by `Iterator`.
    var elements: [Value]? { nil }

    func call(_ arguments: Arguments, _ renderer: Renderer) throws(JinjaError) -> Value {
        throw JinjaError("'\(typeName)' object is not callable")
    }
}

/// A built-in function, or a method of a value.
final class Function: RuntimeObject {
    typealias Body = (Arguments, Renderer) throws(JinjaError) -> Value

    let name: Text
    private let body: Body
    private let receiverDepth: Int

    init(_ name: Text, receiver: Value = .none, _ body: @escaping Body) {
        self.name = name
        self.body = body
        receiverDepth = receiver.depth + 1
    }

    override var typeName: String { "builtin_function_or_method" }
    override var depth: Int { receiverDepth }
    override var isCallable: Bool { true }

    override func representation(_ renderer: Renderer, depth: Int) throws(JinjaError) -> Text { Text("<function \(name.string)>") }

    override func call(_ arguments: Arguments, _ renderer: Renderer) throws(JinjaError) -> Value { try body(arguments, renderer) }
}
