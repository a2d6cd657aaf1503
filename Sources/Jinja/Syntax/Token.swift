/// A piece of a template's source.
struct Token {
    enum Kind: Equatable {
        /// Text between tags, already stripped as `-`, `+`, trim_blocks and lstrip_blocks say.
        case data(Text)
        /// `{{`, `}}`, `{%` and `%}`, or the end of the source.
        case variableBegin, variableEnd, blockBegin, blockEnd, end
        case name(Text)
        case string(Text)
        case integer(Int)
        case number(Double)
        /// An operator or a bracket.
        case symbol(String)
    }

    let kind: Kind
    /// Scalars of the source before the token.
    let offset: Int

    /// How errors call the token.
    var description: String {
        switch kind {
        case .data: "text"
        case .variableBegin: "'{{'"
        case .variableEnd: "the end of the expression, '}}'"
        case .blockBegin: "'{%'"
        case .blockEnd: "the end of the statement, '%}'"
        case .end: "the end of the template"
        case .name(let name): "'\(name.string)'"
        case .string: "a string"
        case .integer, .number: "a number"
        case .symbol(let symbol): "'\(symbol)'"
        }
    }
}
