import Foundation
import Testing

@testable import Tokenizer

@Suite struct NFCTests {
    private func normalized(_ text: String) -> String {
        var text = text
        let bytes = text.withUTF8 { NFC.normalized(UTF8Text(bytes: $0)) }
        return bytes.map { String(decoding: $0, as: UTF8.self) } ?? text
    }

    /// Foundation's data is newer than Unicode 9.0, so only characters that are older; and only the jamo that the standard composes
    /// (Foundation composes U+1176 too).
    @Test func agreesWithFoundationOnOldCharacters() {
        let pool =
            Array(0xC0...0x36F) + Array(0x1E00...0x1FFF) + Array(0x1100...0x1112) + Array(0x1161...0x1175) + Array(0x11A8...0x11C2)
            + Array(0x93C...0x94D) + Array(0xAC00...0xAC40) + [
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

    @Test func normalisingTwiceChangesNothing() {
        for scalar in (0...0x10FFFF).lazy.compactMap(Unicode.Scalar.init) {
            let once = normalized("a\u{323}\(scalar)\u{300}\u{1161}")
            if !same(normalized(once), once) { Issue.record("U+\(String(scalar.value, radix: 16))") }
        }
    }

    @Test func textInFormCIsNotCopied() {
        var text = "Ünïcödé 社区 🥳 안녕 สวัสดี"
        let isNil = text.withUTF8 { NFC.normalized(UTF8Text(bytes: $0)) == nil }
        #expect(isNil)
    }
}
