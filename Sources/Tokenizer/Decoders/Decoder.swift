/// A step of `decoder`: a list of tokens into another. After the last, they are joined.
enum Decoder: Sendable {
    /// The byte alphabet back into bytes, of all tokens together; what is not UTF-8 becomes U+FFFD.
    case byteLevel
    /// `<0xE4>` into its byte. A run of them that is not UTF-8 becomes as many U+FFFD.
    case byteFallback
    /// All tokens into one.
    case fuse
    /// Other bytes for those, not none, wherever they stand in a token.
    case replace([UInt8], with: [UInt8])
    /// Takes up to so many of a character from the start and the end of every token.
    case strip(UInt32, start: Int, stop: Int)
    /// Spaces for the character that stands for them; none for those of the first token if `dropsFirst`.
    case metaspace(UInt32, dropsFirst: Bool)
    /// A space between tokens: what a missing `decoder` means.
    case spaced
}

/// Decoders at work: tokens go in one by one, and text comes out as soon as nothing that follows can change it.
struct DecoderChain: Sendable {
    private let decoders: [Decoder]
    /// Whether what comes to a decoder is all one token, piece by piece.
    private let isFused: [Bool]
    /// What each decoder holds back.
    private var held: [[UInt8]]
    /// How many tokens each has seen; for `strip` behind a fuse, how many characters it has taken, or that it is done.
    private var counts: [Int]
    /// The text so far.
    private(set) var output: [UInt8] = []

    init(_ decoders: [Decoder]) {
        self.decoders = decoders
        let firstFuse = decoders.firstIndex {
            switch $0 {
            case .byteLevel, .fuse: true
            default: false
            }
        }
        isFused = decoders.indices.map { $0 > firstFuse ?? .max }
        held = [[UInt8]](repeating: [], count: decoders.count)
        counts = [Int](repeating: 0, count: decoders.count)
    }

    /// Takes the next token.
    mutating func append(_ token: [UInt8]) { feed(token, to: 0) }

    /// Takes the end: everything held back comes out.
    mutating func finish() {
        for index in decoders.indices { flush(index) }
    }

    /// Takes the text out.
    mutating func takeOutput() -> String {
        defer { output.removeAll(keepingCapacity: true) }
        return String(decoding: output, as: UTF8.self)
    }

    // MARK: One step

    private mutating func feed(_ token: [UInt8], to index: Int) {
        guard index < decoders.count else {
            output += token
            return
        }
        switch decoders[index] {
        case .fuse: feed(token, to: index + 1)
        case .spaced:
            counts[index] += 1
            feed(counts[index] > 1 ? [UInt8(ascii: " ")] + token : token, to: index + 1)
        case .metaspace(let replacement, let dropsFirst):
            let isFirst = isFused[index] || counts[index] == 0
            counts[index] += 1
            feed(Self.unspelled(token, replacement, drops: dropsFirst && isFirst), to: index + 1)
        case .byteLevel:
            if isFused[index] {
                held[index] += token
            } else {
                held[index] += Self.bytes(of: token)
                let certain = held[index].count - UTF8Text.unfinishedSuffix(of: held[index])
                give(certain, from: index)
            }
        case .byteFallback:
            if isFused[index] {
                held[index] += token
            } else if let byte = Self.byte(of: token) {
                held[index].append(byte)
            } else {
                flush(index)
                feed(token, to: index + 1)
            }
        case .replace(let wanted, let content):
            if isFused[index] { held[index] += token } else { feed(Self.replaced(token, wanted, content), to: index + 1) }
        case .strip(let character, let start, let stop):
            if isFused[index] {
                stripFused(token, character, start: start, stop: stop, index)
            } else {
                feed(Self.stripped(token, character, start: start, stop: stop), to: index + 1)
            }
        }
    }

    /// Lets out what a decoder holds when it can know no more: at the end, or of a run of bytes.
    private mutating func flush(_ index: Int) {
        let token = held[index]
        guard !token.isEmpty else { return }
        switch decoders[index] {
        case .byteLevel:
            if isFused[index] { held[index] = Self.bytes(of: token) }
            give(held[index].count, from: index)
        case .byteFallback where isFused[index]:
            held[index] = []
            let bytes = Self.byte(of: token).map { [$0] }
            feed(bytes.map(Self.textOrReplacements)?.joined().map { $0 } ?? token, to: index + 1)
        case .byteFallback:
            held[index] = []
            for token in Self.textOrReplacements(token) { feed(token, to: index + 1) }
        case .replace(let wanted, let content):
            held[index] = []
            feed(Self.replaced(token, wanted, content), to: index + 1)
        case .strip:
            // What may be cut at the end, and it is the end.
            held[index] = []
        case .fuse, .metaspace, .spaced: break
        }
    }

    /// Passes the first bytes held on, as text.
    private mutating func give(_ count: Int, from index: Int) {
        guard count > 0 else { return }
        let text = String(decoding: held[index][..<count], as: UTF8.self)
        held[index].removeFirst(count)
        feed(Array(text.utf8), to: index + 1)
    }

    // MARK: The decoders

    /// The bytes that a token spells; its own if it is not of the byte alphabet.
    static func bytes(of token: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        return token.withUnsafeBufferPointer { ByteAlphabet.append($0, to: &buffer) } ? Array(buffer.contents) : token
    }

    /// The byte of `<0x..>`, as Rust's `from_str_radix` reads two characters: a plus sign is a sign.
    private static func byte(of token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: token[3..<5], as: UTF8.self), radix: 16)
    }

    private static func textOrReplacements(_ bytes: [UInt8]) -> [[UInt8]] {
        let isText = bytes.withUnsafeBufferPointer { bytes in
            var position = 0
            while position < bytes.count {
                let length = UTF8Text.wellFormedLength(bytes, at: position, end: bytes.count)
                guard length > 0 else { return false }
                position += length
            }
            return true
        }
        return isText ? [bytes] : bytes.map { _ in [0xEF, 0xBF, 0xBD] }
    }

    private static func unspelled(_ token: [UInt8], _ replacement: UInt32, drops: Bool) -> [UInt8] {
        var out: [UInt8] = []
        token.withUnsafeBufferPointer { token in
            UTF8Text(bytes: token).forEachScalar { scalar in
                if scalar != replacement {
                    UTF8Text.append(scalar, to: &out)
                } else if !drops {
                    out.append(UInt8(ascii: " "))
                }
            }
        }
        return out
    }

    private static func replaced(_ token: [UInt8], _ wanted: [UInt8], _ content: [UInt8]) -> [UInt8] {
        token.withUnsafeBufferPointer { bytes in
            var out: [UInt8] = []
            var end = 0
            Pattern.findLiteral(wanted, in: UTF8Text(bytes: bytes)) { match in
                out += bytes[end..<match.lowerBound]
                out += content
                end = match.upperBound
            }
            return out + bytes[end...]
        }
    }

    private static func stripped(_ token: [UInt8], _ character: UInt32, start: Int, stop: Int) -> [UInt8] {
        token.withUnsafeBufferPointer { bytes in
            let text = UTF8Text(bytes: bytes)
            var (first, last) = (0, text.count)
            var left = start
            while left > 0, first < text.count, text.scalar(at: first).value == character {
                first += text.scalar(at: first).length
                left -= 1
            }
            left = stop
            while left > 0, last > first, text.scalar(at: text.start(before: last)).value == character {
                last = text.start(before: last)
                left -= 1
            }
            return Array(bytes[first..<last])
        }
    }

    /// `strip` of one token that comes piece by piece: the start is cut as it comes, and as much of the end as may be cut is held back.
    private mutating func stripFused(_ token: [UInt8], _ character: UInt32, start: Int, stop: Int, _ index: Int) {
        var given: [UInt8] = []
        token.withUnsafeBufferPointer { bytes in
            UTF8Text(bytes: bytes).forEachScalar { scalar in
                if counts[index] < start, scalar == character {
                    counts[index] += 1
                    return
                }
                counts[index] = start
                if scalar != character {
                    given += held[index]
                    held[index] = []
                    UTF8Text.append(scalar, to: &given)
                } else {
                    UTF8Text.append(scalar, to: &held[index])
                    // More than `stop` of them: the first is safe.
                    let width = UTF8Text.width(of: character)
                    if held[index].count > stop * width {
                        given += held[index].prefix(width)
                        held[index].removeFirst(width)
                    }
                }
            }
        }
        if !given.isEmpty { feed(given, to: index + 1) }
    }
}

extension UTF8Text {
    /// How many bytes a scalar has.
    static func width(of scalar: UInt32) -> Int { scalar < 0x80 ? 1 : scalar < 0x800 ? 2 : scalar < 0x10000 ? 3 : 4 }
}
