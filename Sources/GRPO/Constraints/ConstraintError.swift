/// Why an expression cannot constrain answers.
public struct ConstraintError: Error, Sendable, CustomStringConvertible {
    /// One line: what was found and what to do.
    public let description: String
}
