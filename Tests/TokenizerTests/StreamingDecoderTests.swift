import Testing

@testable import Tokenizer

@Suite struct StreamingDecoderTests {
    @Test(arguments: [false, true])
    func piecesJoinedAreTheWhole(skipSpecialTokens: Bool) throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        var generator = SeededGenerator(state: 11)
        let bytes = Int32(256)
        for round in 0..<2000 {
            // Every other round single bytes mostly, so that characters are cut everywhere and many are broken.
            let limit = round % 2 == 0 ? Int32(tokenizer.vocabularySize) + 5 : bytes
            let ids = (0..<Int.random(in: 0...30, using: &generator)).map { _ in Int32.random(in: 0..<limit, using: &generator) }
            var decoder = StreamingDecoder(tokenizer, skipSpecialTokens: skipSpecialTokens)
            let pieces = ids.map { decoder.append($0) }
            let text = pieces.joined() + decoder.finish()
            #expect(same(text, tokenizer.decode(ids, skipSpecialTokens: skipSpecialTokens)), "\(ids)")
        }
    }

    @Test func noPieceEndsInsideACharacter() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        let text = "é 社区 🥳 \u{10FFFF} \u{800} \u{FFFF} ก็"
        var decoder = StreamingDecoder(tokenizer)
        // A byte at a time: every piece is empty or one whole character.
        let pieces = text.utf8.map { decoder.append(tokenizer.model.byteIDs[Int($0)]) }
        #expect(pieces.filter { !$0.isEmpty }.map { $0.unicodeScalars.count } == text.unicodeScalars.map { _ in 1 })
        #expect(!pieces.joined().unicodeScalars.contains("\u{FFFD}"))
        #expect(same(pieces.joined(), text))
        #expect(decoder.finish() == "")
    }

    @Test func anUnfinishedCharacterIsReplacedAtTheEnd() throws {
        let tokenizer = try Goldens.tokenizer("qwen2-tiny")
        var decoder = StreamingDecoder(tokenizer)
        for byte: UInt8 in [0xF0, 0x9F, 0xA5] { #expect(decoder.append(tokenizer.model.byteIDs[Int(byte)]) == "") }
        #expect(decoder.finish() == "\u{FFFD}")
        #expect(decoder.append(tokenizer.model.byteIDs[0x41]) == "A")
        // What cannot become a character any more is replaced at once.
        for bad: UInt8 in [0x80, 0xC0, 0xC1, 0xF5, 0xFF] { #expect(decoder.append(tokenizer.model.byteIDs[Int(bad)]) == "\u{FFFD}") }
    }
}
