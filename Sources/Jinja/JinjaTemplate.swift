public import JSON

/// A template, read and ready to be rendered any number of times.
///
/// The language is Jinja2's in the environment that Hugging Face transformers renders chat templates in: `trim_blocks`, `lstrip_blocks`, loop
/// controls, the immutable sandbox, `raise_exception`, `strftime_now`, `tojson` with Python's options, the `generation` block. What is left
/// out (inheritance, includes, autoescaping, a few HTML filters) is refused by name.
public struct JinjaTemplate: Sendable {
    let source: [Unicode.Scalar]
    let limits: JinjaLimits
    let body: [Statement]
    /// Every name the template mentions; `Name.id` indexes it.
    let names: [Text]
    /// Scope 0 is the template's own.
    let scopes: [Scope]

    /// Reads a template.
    /// - Throws: `JinjaError` with line and column for the first thing that is not Jinja.
    public init(_ text: String, limits: JinjaLimits = .init()) throws(JinjaError) {
        self.limits = limits
        guard text.unicodeScalars.count <= limits.source else {
            throw JinjaError("the template has more than the \(limits.source) characters allowed")
        }
        let source = Lexer.normalized(text)
        self.source = source
        do {
            var lexer = Lexer(source)
            var parser = Parser(tokens: try lexer.tokens(), nesting: limits.nesting)
            body = try parser.template()
            try FilterCheck.check(body)
            names = parser.names
            scopes = try ScopeAnalysis.scopes(of: body, names: names, count: parser.scopeCount)
        } catch {
            throw error.located(in: source)
        }
    }

    /// The text the template makes of these variables.
    /// - Throws: `JinjaError` with line and column: what Jinja2 would raise, and a limit that is reached.
    public func render(_ variables: JSONObject) throws(JinjaError) -> JinjaRendering {
        let renderer = Renderer(self)
        do {
            return try renderer.render(variables)
        } catch {
            throw error.located(in: source)
        }
    }
}

/// What a template has rendered.
public struct JinjaRendering: Sendable, Equatable {
    /// The text.
    public let text: String
    /// The parts of the text, in UTF-8 bytes, that `generation` blocks wrote: what the assistant said.
    ///
    /// In order of writing. As in transformers, a block inside a macro or a `set` block counts from where the template's own text had got to.
    public let generations: [Range<Int>]
}
