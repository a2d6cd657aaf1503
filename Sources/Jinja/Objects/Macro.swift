/// A macro, or the body of a `call` block, with the variables around it.
final class Macro: RuntimeObject {
    let definition: MacroDefinition
    /// nil once the rendering has ended.
    private var frame: Frame?
    /// Where the body finds `caller`, `kwargs` and `varargs`; nil where it does not read them, or where they are ordinary parameters.
    private let callerSlot, namedSlot, positionalSlot: Int?

    init(_ definition: MacroDefinition, definedIn frame: Frame, of template: JinjaTemplate) {
        self.definition = definition
        self.frame = frame
        let loads = template.scopes[definition.scope].loads
        func slot(_ name: Text) -> Int? {
            if definition.parameterNames.contains(name) { return nil }
            return loads.firstIndex { $0.load == .parameter && template.names[$0.name] == name }
        }
        callerSlot = slot("caller")
        namedSlot = slot("kwargs")
        positionalSlot = slot("varargs")
    }

    func clear() { frame = nil }

    override var typeName: String { "Macro" }
    override var isCallable: Bool { true }

    override func representation(_ renderer: Renderer, depth: Int) throws(JinjaError) -> Text {
        Text("<Macro \(definition.name.map { "'\($0.string)'" } ?? "anonymous")>")
    }

    override func attribute(_ name: Text, _ renderer: Renderer) throws(JinjaError) -> Value? {
        switch name {
        case "name": definition.name.map(Value.string) ?? Value.none
        case "arguments": try renderer.tuple(definition.parameterNames.map(Value.string))
        case "catch_kwargs": .bool(namedSlot != nil)
        case "catch_varargs": .bool(positionalSlot != nil)
        case "caller": .bool(callerSlot != nil)
        default: nil
        }
    }

    override func call(_ arguments: Arguments, _ renderer: Renderer) throws(JinjaError) -> Value {
        // A frame, a buffer, a table of arguments: dearer than an operator.
        try renderer.spend(8 + definition.parameters.count)
        return try renderer.nested { () throws(JinjaError) in
            try renderer.withFrame(definition.scope, parent: frame) { frame throws(JinjaError) in
                try bind(arguments, to: frame, renderer)
                return .string(try renderer.capture { () throws(JinjaError) in try renderer.execute(definition.body) }.text)
            }
        }
    }

    private var title: String { "macro '\(definition.name?.string ?? "caller")'" }

    private func bind(_ arguments: Arguments, to frame: Frame, _ renderer: Renderer) throws(JinjaError) {
        let names = definition.parameterNames
        var named = arguments.named
        var given: [Value?] = Array(repeating: nil, count: names.count)
        for (index, value) in arguments.positional.prefix(names.count).enumerated() { given[index] = value }
        for index in names.indices.dropFirst(arguments.positional.count) {
            if let place = named.firstIndex(where: { $0.name == names[index] }) { given[index] = named.remove(at: place).value }
        }
        if let callerSlot {
            let place = named.firstIndex { $0.name == "caller" }
            frame.values[callerSlot] = place.map { named.remove(at: $0).value } ?? .undefined(Undefined("no caller defined"))
        }
        if let namedSlot {
            frame.values[namedSlot] = try renderer.dictionary(named.map { (.string($0.name), $0.value) })
        } else if let extra = named.first {
            throw JinjaError("\(title) takes no keyword argument '\(extra.name.string)'")
        }
        if let positionalSlot {
            frame.values[positionalSlot] = try renderer.tuple(Array(arguments.positional.dropFirst(names.count)))
        } else if arguments.positional.count > names.count {
            throw JinjaError("\(title) takes not more than \(names.count) argument(s)")
        }
        // Defaults come last: they may read the parameters before them.
        let firstDefault = names.count - definition.defaults.count
        for (index, parameter) in definition.parameters.enumerated() {
            let value: Value
            if let argument = given[index] {
                value = argument
            } else if index >= firstDefault {
                value = try renderer.evaluate(definition.defaults[index - firstDefault])
            } else {
                value = .undefined(Undefined("parameter '\(names[index].string)' was not provided"))
            }
            renderer.set(parameter.id, value, in: frame)
        }
    }
}
