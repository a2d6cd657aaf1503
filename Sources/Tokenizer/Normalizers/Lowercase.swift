/// The lower case of single characters, as Rust's `char::to_lowercase` has it.
enum Lowercase {
    /// The lower case of a scalar: one scalar, or two (İ is the only one); the second is 0 if there is none.
    static func mapping(_ scalar: UInt32) -> (first: UInt32, second: UInt32) {
        if scalar < 0x80 { return ((0x41...0x5A).contains(scalar) ? scalar + 0x20 : scalar, 0) }
        if scalar == 0x130 { return (0x69, 0x307) }
        return (table[scalar] ?? scalar, 0)
    }

    private static let table: [UInt32: UInt32] = {
        let flat = UnicodeTables.lowercase
        return Dictionary(uniqueKeysWithValues: stride(from: 0, to: flat.count, by: 2).map { (flat[$0], flat[$0 + 1]) })
    }()
}
