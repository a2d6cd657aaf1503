internal import JSON

/// One rendering of a template: its variables, what it has written, what it may still use.
///
/// Here the budget and the output; statements, expressions and the operations on values are extensions.
final class Renderer {
    let template: JinjaTemplate
    /// By name: the variables given to the template, and the built-in functions.
    private(set) var given: [Value?]
    var frame: Frame
    /// The name `loop`, if the template mentions it.
    let loopName: Int?
    /// What the innermost capture, or the template itself, has written.
    private(set) var output: [Unicode.Scalar] = []
    /// Captures (macros, `set` blocks) inside each other.
    private var captures = 0
    /// Scalars that the template itself had written when the outermost capture began.
    private var ownOutput = 0
    var generations: [Range<Int>] = []
    private var steps: Int
    private var depth = 0
    /// What could hold itself: emptied at the end, so that nothing stays in memory.
    private var namespaces: [Namespace] = []
    private var macros: [Macro] = []

    init(_ template: JinjaTemplate) {
        self.template = template
        steps = template.limits.steps
        loopName = template.names.firstIndex(of: "loop")
        given = Array(repeating: nil, count: template.names.count)
        frame = Frame(scope: 0, values: [], parent: nil)
    }

    func render(_ variables: JSONObject) throws(JinjaError) -> JinjaRendering {
        defer {
            for namespace in namespaces { namespace.clear() }
            for macro in macros { macro.clear() }
        }
        for (id, name) in template.names.enumerated() { given[id] = Self.functions[name].map { .object(Function(name, $0)) } }
        for (key, json) in variables.members {
            guard let id = template.names.firstIndex(of: Text(key)) else { continue }
            given[id] = try value(json, depth: 0)
        }
        frame = Frame(scope: 0, values: initialValues(of: 0, parent: nil), parent: nil)
        _ = try execute(template.body)
        return rendering()
    }

    private func rendering() -> JinjaRendering {
        // From scalars to bytes; the ranges are few, their ends need not be in order.
        let ends = Set(generations.flatMap { [$0.lowerBound, $0.upperBound] }).sorted()
        var offsets: [Int: Int] = [:]
        var bytes = 0
        var index = 0
        for end in ends {
            while index < min(end, output.count) {
                bytes += UTF8.width(output[index])
                index += 1
            }
            offsets[end] = bytes
        }
        return JinjaRendering(
            text: Text(output).string,
            generations: generations.compactMap { range in
                guard let lower = offsets[range.lowerBound], let upper = offsets[range.upperBound] else { return nil }
                return lower..<upper
            })
    }

    // MARK: The budget

    /// Counts work done or, better, about to be done.
    func spend(_ count: Int) throws(JinjaError) {
        steps -= count
        guard steps >= 0 else {
            steps = 0
            throw JinjaError("the template takes more than the \(template.limits.steps) steps allowed: it may not end")
        }
    }

    /// Counts small work; should nothing be left, the next `spend` says so.
    func charge(_ count: Int) { steps -= count }

    /// The cost of a text of that many scalars.
    func spend(characters count: Int) throws(JinjaError) {
        try spend(max(0, count) / 4 + 1)
    }

    func grant(characters count: Int) {
        steps += count * template.limits.stepsPerInputCharacter
    }

    /// Evaluates something inside the current thing; too deep is an error instead of the end of the stack.
    func nested<Result>(_ body: () throws(JinjaError) -> Result) throws(JinjaError) -> Result {
        try spend(1)
        guard depth < template.limits.depth else {
            throw JinjaError("evaluated deeper than \(template.limits.depth) levels: a macro may call itself without end")
        }
        depth += 1
        defer { depth -= 1 }
        return try body()
    }

    // MARK: The output

    func write(_ text: [Unicode.Scalar]) throws(JinjaError) {
        try spend(characters: text.count)
        guard text.count <= template.limits.output - output.count else {
            throw JinjaError("the template writes more than the \(template.limits.output) characters allowed")
        }
        output += text
    }

    /// What `body` writes, which is not written to the output.
    func capture(_ body: () throws(JinjaError) -> Flow) throws(JinjaError) -> (text: Text, flow: Flow) {
        var outer: [Unicode.Scalar] = []
        swap(&outer, &output)
        if captures == 0 { ownOutput = outer.count }
        captures += 1
        // An error ends the rendering, so nothing needs to be put back then.
        let flow = try body()
        captures -= 1
        swap(&outer, &output)
        return (Text(outer), flow)
    }

    /// Scalars that the template itself has written so far.
    var ownOutputCount: Int { captures == 0 ? output.count : ownOutput }

    // MARK: What is emptied at the end

    func newNamespace() throws(JinjaError) -> Namespace {
        try spend(8)
        let namespace = Namespace()
        namespaces.append(namespace)
        return namespace
    }

    func newMacro(_ definition: MacroDefinition) throws(JinjaError) -> Macro {
        try spend(8)
        let macro = Macro(definition, definedIn: frame, of: template)
        macros.append(macro)
        return macro
    }
}
