public import Tokenizer

/// A completion as it grows: pieces that never cut a character, and an end at the first stop string.
public struct CompletionText: Sendable {
    private var decoder: StreamingDecoder
    private let stop: [String]
    /// Text that may turn out to begin a stop string.
    private var held = ""
    /// Everything that was given out.
    public private(set) var text = ""
    /// Whether a stop string has come; it is not part of the text.
    public private(set) var isStopped = false

    /// A completion that ends before any of the stop strings.
    public init(_ tokenizer: BPETokenizer, stop: [String] = []) {
        decoder = StreamingDecoder(tokenizer, skipSpecialTokens: true)
        self.stop = stop
    }

    /// The text that has become certain with the next id.
    public mutating func append(_ id: Int32) -> String {
        if isStopped { return "" }
        return give(decoder.append(id), atEnd: false)
    }

    /// The rest, when the completion has ended.
    public mutating func finish() -> String { isStopped ? "" : give(decoder.finish(), atEnd: true) }

    private mutating func give(_ piece: String, atEnd: Bool) -> String {
        var bytes = Array((held + piece).utf8)
        held = ""
        let found = stop.compactMap { Self.first(of: Array($0.utf8), in: bytes) }.min()
        if let found {
            isStopped = true
            bytes = Array(bytes[..<found])
        } else if !atEnd {
            // Hold back the longest end that some stop string begins with.
            let longest =
                stop.map { word in
                    let word = Array(word.utf8)
                    return (0..<word.count).reversed().first { bytes.count >= $0 && bytes.suffix($0).elementsEqual(word.prefix($0)) } ?? 0
                }.max() ?? 0
            held = String(decoding: bytes.suffix(longest), as: UTF8.self)
            bytes.removeLast(longest)
        }
        let given = String(decoding: bytes, as: UTF8.self)
        text += given
        return given
    }

    private static func first(of word: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= word.count else { return nil }
        return (0...bytes.count - word.count).first { bytes[$0..<$0 + word.count].elementsEqual(word) }
    }
}
