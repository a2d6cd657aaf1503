import Foundation
import Testing

@testable import Tokenizer

@Suite struct NFCTests {
    private func changed(_ text: String, _ form: NormalizationForm = .nfc) -> String? {
        Array(text.utf8).withUnsafeBufferPointer { bytes in
            form.normalized(Piece(text: UTF8Text(bytes: bytes), alignments: nil, originalStart: 0)).map { String(decoding: $0.bytes, as: UTF8.self) }
        }
    }

    private func normalized(_ text: String) -> String { changed(text) ?? text }

    /// Foundation's data is newer than Unicode 9.0, so only characters that are older; and no Hangul, where Foundation leaves
    /// U+AC00 U+11B1 apart.
    @Test func agreesWithFoundationOnOldCharacters() {
        let pool =
            Array(0xC0...0x36F) + Array(0x1E00...0x1FFF)
            + Array(0x93C...0x94D) + [
                0x212B, 0x2126, 0xF900,
            ]
        var generator = SeededGenerator(state: 5)
        for _ in 0..<20_000 {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                if let value = pool.randomElement(using: &generator), let scalar = Unicode.Scalar(UInt32(value)) { text.append(scalar) }
            }
            #expect(same(normalized(String(text)), String(text).precomposedStringWithCanonicalMapping), "\(text.map { String($0.value, radix: 16) })")
        }
    }

    @Test func composesEveryHangulSyllable() throws {
        for index in UInt32(0)..<11172 {
            let syllable = String(try #require(Unicode.Scalar(0xAC00 + index)))
            let (leading, vowel) = (try #require(Unicode.Scalar(0x1100 + index / 588)), try #require(Unicode.Scalar(0x1161 + index % 588 / 28)))
            let trailing = index % 28 == 0 ? "" : String(try #require(Unicode.Scalar(0x11A7 + index % 28)))
            let open = String(try #require(Unicode.Scalar(0xAC00 + index - index % 28)))
            if !same(normalized("\(leading)\(vowel)\(trailing)"), syllable) || !same(normalized(open + trailing), syllable) {
                Issue.record("U+\(String(0xAC00 + index, radix: 16))")
            }
        }
        // The neighbours of the ranges do not compose.
        for apart in ["\u{1112}\u{1176}", "\u{1113}\u{1161}", "\u{AC00}\u{11A7}", "\u{AC00}\u{11C3}", "\u{AC01}\u{11A8}"] {
            #expect(same(normalized(apart), apart))
        }
    }

    @Test func normalisingTwiceChangesNothing() {
        for scalar in (0...0x10FFFF).lazy.compactMap(Unicode.Scalar.init) {
            let once = normalized("a\u{323}\(scalar)\u{300}\u{1161}")
            if !same(normalized(once), once) { Issue.record("U+\(String(scalar.value, radix: 16))") }
        }
    }

    @Test func textInFormCIsNotCopied() {
        #expect(changed("Ünïcödé 社区 🥳 안녕 สวัสดี") == nil)
    }
}
