/// Makes statements of tokens. Here the stream of tokens, names and nesting; the grammar in `Parser+Statements` and `Parser+Expressions`.
struct Parser {
    private let tokens: [Token]
    private var index = 0
    private let nestingLimit: Int
    private var nesting = 0
    private(set) var names: [Text] = []
    private var nameIDs: [Text: Int] = [:]
    /// Scope 0 is the template's.
    private(set) var scopeCount = 1
    /// `for` blocks around the place that `break` could leave: a macro's body starts anew.
    var loopDepth = 0
    /// The most parameters of a macro, and named arguments of a call: they are looked up one by one.
    static let mostArguments = 255

    /// The last of `tokens` is `.end`.
    init(tokens: [Token], nesting: Int) {
        self.tokens = tokens
        nestingLimit = nesting
    }

    mutating func template() throws(JinjaError) -> [Statement] {
        try statements(until: [], opener: nil)
    }

    // MARK: Tokens

    var current: Token { tokens[index] }
    var following: Token { tokens[min(index + 1, tokens.count - 1)] }

    @discardableResult
    mutating func advance() -> Token {
        defer { if index < tokens.count - 1 { index += 1 } }
        return current
    }

    func isAt(_ kind: Token.Kind) -> Bool { current.kind == kind }
    func isAt(name: Text) -> Bool { isAt(.name(name)) }
    func isAt(symbol: String) -> Bool { isAt(.symbol(symbol)) }

    /// Takes the token, if it is the current one.
    mutating func take(name: Text) -> Bool { take(.name(name)) }
    mutating func take(symbol: String) -> Bool { take(.symbol(symbol)) }

    private mutating func take(_ kind: Token.Kind) -> Bool {
        guard isAt(kind) else { return false }
        advance()
        return true
    }

    @discardableResult
    mutating func expect(_ kind: Token.Kind) throws(JinjaError) -> Token {
        guard isAt(kind) else { throw unexpected(expected: Token(kind: kind, offset: 0).description) }
        return advance()
    }

    mutating func expectName() throws(JinjaError) -> (name: Text, offset: Int) {
        guard case .name(let name) = current.kind else { throw unexpected(expected: "a name") }
        return (name, advance().offset)
    }

    func unexpected(expected: String) -> JinjaError {
        JinjaError("unexpected \(current.description), expected \(expected)", at: current.offset)
    }

    // MARK: Names, scopes, nesting

    mutating func name(_ text: Text, at offset: Int) -> Name {
        if let id = nameIDs[text] { return Name(id: id, offset: offset) }
        nameIDs[text] = names.count
        names.append(text)
        return Name(id: names.count - 1, offset: offset)
    }

    mutating func newScope() -> Int {
        defer { scopeCount += 1 }
        return scopeCount
    }

    /// Parses something inside the current thing; deeper than the limit is an error instead of the end of the stack.
    mutating func nested<Result>(_ parse: (inout Parser) throws(JinjaError) -> Result) throws(JinjaError) -> Result {
        guard nesting < nestingLimit else {
            throw JinjaError("expressions or statements nested deeper than \(nestingLimit) levels", at: current.offset)
        }
        nesting += 1
        defer { nesting -= 1 }
        return try parse(&self)
    }
}
