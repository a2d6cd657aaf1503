extension ModelFamily {
    /// Whether the rows of a tensor, by its Hugging Face name, are stored in another order: those of queries and keys, in a file whose architecture rotates
    /// neighbouring pairs. Hugging Face rotates element i of a head with element i + half.
    func reorders(_ name: String) -> Bool {
        permutes && ["q_proj.weight", "k_proj.weight", "q_proj.bias", "k_proj.bias"].contains { name.hasSuffix("self_attn.\($0)") }
    }

    /// Where a row of Hugging Face's stands in such a file, as a range of one row.
    static func place(of row: Int, _ headSize: Int) -> Range<Int> {
        let head = row / headSize, inside = row % headSize, half = headSize / 2
        let place = head * headSize + 2 * (inside % half) + inside / half
        return place..<place + 1
    }

    /// The row of Hugging Face's that stands at a place in such a file: the inverse of `place`.
    static func row(at place: Int, _ headSize: Int) -> Int {
        let head = place / headSize, inside = place % headSize
        return head * headSize + inside % 2 * (headSize / 2) + inside / 2
    }
}
