/// What pre-tokenizers and added tokens ask of a character; as bits.
enum CharacterClass {
    /// `\p{L}`
    static let letter: UInt8 = 1
    /// `\p{N}`
    static let number: UInt8 = 2
    /// `\s`
    static let whitespace: UInt8 = 4
    /// `\w`
    static let word: UInt8 = 8
    /// Punctuation, as the `Punctuation` pre-tokenizer has it: with ASCII symbols, and by an older Unicode.
    static let punctuation: UInt8 = 16

    /// The classes of every scalar.
    static let table = ScalarTable(
        ranges(UnicodeTables.letters, stride: 2) { _ in letter } + ranges(UnicodeTables.numbers, stride: 2) { _ in number }
            + ranges(UnicodeTables.whitespace, stride: 2) { _ in whitespace } + ranges(UnicodeTables.words, stride: 2) { _ in word }
            + ranges(UnicodeTables.punctuation, stride: 2) { _ in punctuation })
}
