internal import JSON

/// A tokenizer of SentencePiece's kind (`tokenizer.ggml.model` is "llama"; Llama 2, Mistral, TinyLlama): characters merged in the order of scores, spaces
/// spelt "▁", what has no token spelt in bytes. The file has no merges: they are all splits of tokens into tokens, as transformers makes them
/// (`generate_merges`), the best score first.
enum GGUFSentencePiece {
    /// The sum of the squares of the tokens' lengths that is taken on; 100,000 tokens of 40 bytes have half of that.
    private static let mostWork = 1 << 28

    /// A merge, as the ids of its parts and of what it makes.
    typealias Merge = (left: Int, right: Int, made: Int)

    /// The merges of the tokens that can be merged, best first; of two of one score the one with the longer left part. nil when the tokens are too long
    /// for a SentencePiece vocabulary.
    static func merges(_ tokens: [[UInt8]?], scores: [Float]) -> [Merge]? {
        guard tokens.reduce(0, { $0 + ($1?.count ?? 0) * ($1?.count ?? 0) }) <= mostWork else { return nil }
        var ids: [ArraySlice<UInt8>: Int] = [:]
        for (id, token) in tokens.enumerated() { if let token { ids[token[...]] = id } }
        var merges: [(merge: Merge, leftLength: Int)] = []
        for (id, token) in tokens.enumerated() {
            guard let token else { continue }
            var length = 1
            // Between characters, not within one.
            for cut in token.indices.dropFirst() where token[cut] & 0xC0 != 0x80 {
                if let left = ids[token[..<cut]], let right = ids[token[cut...]] { merges.append(((left, right, id), length)) }
                length += 1
            }
        }
        let order = merges.indices.sorted { a, b in
            let (x, y) = (merges[a], merges[b])
            if scores[x.merge.made] != scores[y.merge.made] { return scores[x.merge.made] > scores[y.merge.made] }
            return x.leftLength != y.leftLength ? x.leftLength > y.leftLength : a < b
        }
        return order.map { merges[$0].merge }
    }

    /// Scores that give a vocabulary these merges: the later a token is made, the less. nil when no scores do, because a split of a token is not among
    /// the merges, or those of one token are not neighbours.
    static func scores(_ tokens: [[UInt8]?], merges: [Merge]) -> [Float]? {
        var scores = (0..<tokens.count).map { -Float(merges.count + $0) }
        var seen = Set<Int>()
        for (rank, merge) in merges.enumerated() where rank == 0 || merges[rank - 1].made != merge.made {
            guard seen.insert(merge.made).inserted else { return nil }
            scores[merge.made] = -Float(rank)
        }
        guard let all = Self.merges(tokens, scores: scores), all.count == merges.count else { return nil }
        let pairs = Set(merges.map { [$0.left, $0.right] })
        return all.allSatisfy { pairs.contains([$0.left, $0.right]) } && pairs.count == merges.count ? scores : nil
    }

    // MARK: tokenizer.json

    private static let space: JSONValue = ["String": " "], mark: JSONValue = ["String": "▁"]
    private static let replace: JSONValue = ["type": "Replace", "pattern": space, "content": "▁"]
    private static let prepend: JSONValue = ["type": "Prepend", "prepend": "▁"]

    /// The members `normalizer` and `decoder`.
    static func members(addsPrefixSpace: Bool) -> [(key: String, value: JSONValue)] {
        let decoders: [JSONValue] = [
            ["type": "Replace", "pattern": mark, "content": " "], ["type": "ByteFallback"], ["type": "Fuse"],
        ]
        let strip: JSONValue = ["type": "Strip", "content": " ", "start": 1, "stop": 0]
        return [
            ("normalizer", ["type": "Sequence", "normalizers": .array(addsPrefixSpace ? [prepend, replace] : [replace])]), ("pre_tokenizer", nil),
            ("decoder", ["type": "Sequence", "decoders": .array(addsPrefixSpace ? decoders + [strip] : decoders)]),
        ]
    }

    /// What llama.cpp does otherwise than a tokenizer.json, for people; nil where it does the same.
    static func difference(_ tokenizer: JSONValue) -> String? {
        guard let scheme = tokenizer["pre_tokenizer"]?["prepend_scheme"]?.string, scheme != "never" else { return nil }
        return "llama.cpp puts a space also before a text that begins with one" + (scheme == "first" ? ", and after special tokens" : "")
    }

    /// Whether a tokenizer.json puts a space before every stretch of text; nil when it treats spaces in another way than such a file can tell.
    static func addsPrefixSpace(_ tokenizer: JSONValue) -> Bool? {
        let steps = tokenizer["normalizer"]?["normalizers"]?.array ?? [tokenizer["normalizer"] ?? .null]
        let splitting = tokenizer["pre_tokenizer"] ?? .null
        if splitting.isNull { return steps == [prepend, replace] ? true : steps == [replace] ? false : nil }
        // transformers' newer spelling. A text that begins with a space gets no other; with "first" only the beginning of a text gets one, not what
        // follows a special token. llama.cpp does not make these distinctions: see `difference`.
        guard steps == [.null], splitting["type"]?.string == "Metaspace", splitting["replacement"]?.string == "▁", splitting["split"]?.bool == false
        else { return nil }
        return ["always": true, "first": true, "never": false][splitting["prepend_scheme"]?.string ?? ""]
    }
}
