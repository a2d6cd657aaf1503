/// What a template may use: it is a program from outside.
public struct JinjaLimits: Sendable {
    /// The most scalars of template source.
    public var source = 1 << 20
    /// The most steps of one rendering: one for every expression and statement, one for four characters or one element made or searched,
    /// more for what takes longer.
    public var steps = 4_000_000
    /// Steps added for every character of the values given, so that a long conversation renders as surely as a short one.
    public var stepsPerInputCharacter = 16
    /// The most scalars of rendered text.
    public var output = 64 << 20
    /// The most lists, dictionaries and parentheses inside each other, in the template and in values.
    public var nesting = 100
    /// The most expressions and statements evaluated inside each other, macros that call themselves included.
    public var depth = 300

    /// The defaults: every real template stays far below, and one that does not ends within about a second.
    public init() {}
}
