/// The variables of a scope while it runs. A macro keeps the frame that it was defined in.
final class Frame {
    let scope: Int
    /// By the scope's places; nil is undefined.
    var values: [Value?]
    let parent: Frame?

    init(scope: Int, values: [Value?], parent: Frame?) {
        self.scope = scope
        self.values = values
        self.parent = parent
    }
}

extension Renderer {
    /// Makes a scope's frame inside the current one, which it then is, for the time of `body`.
    func withFrame<Result>(_ scope: Int, parent: Frame? = nil, _ body: (Frame) throws(JinjaError) -> Result) throws(JinjaError) -> Result {
        try spend(template.scopes[scope].loads.count)
        let outer = frame
        let inner = Frame(scope: scope, values: initialValues(of: scope, parent: parent ?? outer), parent: parent ?? outer)
        frame = inner
        defer { frame = outer }
        return try body(inner)
    }

    /// What the variables of a scope are when it begins; in a loop, when an iteration begins.
    func initialValues(of scope: Int, parent: Frame?) -> [Value?] {
        template.scopes[scope].loads.map { variable in
            switch variable.load {
            case .parameter, .undefined: nil
            case .given: given[variable.name]
            case .outer: find(variable.name, from: parent)
            }
        }
    }

    /// The variable as the frame, or the next one outside that knows the name, has it.
    func find(_ name: Int, from frame: Frame?) -> Value? {
        var next = frame
        while let frame = next {
            charge(1)
            if let slot = template.scopes[frame.scope].slots[name] { return frame.values[slot] }
            next = frame.parent
        }
        return given[name]
    }

    func value(of name: Name) -> Value {
        if let value = find(name.id, from: frame) { return value }
        let text = template.names[name.id]
        return .undefined(Undefined("'\(text.string)' is undefined"))
    }

    /// Sets a variable of the current frame.
    func set(_ name: Int, _ value: Value, in frame: Frame) {
        if let slot = template.scopes[frame.scope].slots[name] { frame.values[slot] = value }
    }

    /// Assigns to a target, in a frame that has its names.
    func assign(_ value: Value, to target: Target, in frame: Frame) throws(JinjaError) {
        switch target {
        case .name(let name): set(name.id, value, in: frame)
        case .attribute(let name, let attribute):
            guard case .object(let object)? = find(name.id, from: frame), let namespace = object as? Namespace else {
                throw JinjaError("cannot assign attribute on non-namespace object '\(template.names[name.id].string)'", at: name.offset)
            }
            try namespace.set(attribute, value)
        case .tuple(let targets, let offset):
            let values: [Value]
            do { values = try elements(of: value) } catch { throw error.located(at: offset) }
            guard values.count == targets.count else {
                let problem = values.count < targets.count ? "not enough values to unpack" : "too many values to unpack"
                throw JinjaError("\(problem) (expected \(targets.count), got \(values.count))", at: offset)
            }
            for (target, value) in zip(targets, values) { try assign(value, to: target, in: frame) }
        }
    }
}
