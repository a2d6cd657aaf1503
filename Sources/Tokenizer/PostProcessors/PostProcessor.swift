/// `post_processor`: the special tokens around a text, and how offsets are shown.
struct PostProcessor: Sendable {
    /// What `TemplateProcessing` puts together.
    enum Part: Sendable {
        /// The ids of the text.
        case text
        /// Special tokens, left out unless asked for.
        case special([Int32])
    }

    /// The parts of a single text.
    var template: [Part] = [.text]
    /// `ByteLevel` with `trim_offsets`: offsets do not cover the white space around a token. One for each, with its `add_prefix_space`.
    var trims: [Bool] = []

    /// Whether a text stays as it is. A template may also leave it out.
    var keepsTextAlone: Bool {
        guard template.count == 1, case .text? = template.first else { return false }
        return true
    }

    /// How many special tokens are put around a text.
    var specialCount: Int {
        template.reduce(0) { if case .special(let ids) = $1 { $0 + ids.count } else { $0 } }
    }

    /// Puts the special tokens around the elements of a text.
    func around<Element>(_ text: [Element], addSpecialTokens: Bool, special: (Int32) -> Element) -> [Element] {
        if keepsTextAlone { return text }
        var out: [Element] = []
        for part in template {
            switch part {
            case .text: out += text
            case .special(let ids): if addSpecialTokens { out += ids.map(special) }
            }
        }
        return out
    }
}
