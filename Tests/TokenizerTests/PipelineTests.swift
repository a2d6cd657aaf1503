import Foundation
import JSON
import Testing

@testable import Tokenizer

/// The pipelines of model families, and random ones of all components, against Hugging Face's tokenizers; see
/// `scripts/goldens/tokenizer_families.py` and `tokenizer_pipelines.py`.
@Suite struct PipelineTests {
    /// The committed ones, and those of the file that GRPO_TOKENIZER_CASES names.
    private static func lines() throws -> [Substring] {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Goldens")
        let more = ProcessInfo.processInfo.environment["GRPO_TOKENIZER_CASES"].map(URL.init(fileURLWithPath:))
        let committed = ["families.golden.json", "pipelines.golden.json"].map(folder.appendingPathComponent)
        return try (committed + [more].compactMap { $0 })
            .flatMap { try String(contentsOf: $0, encoding: .utf8).utf8.split(separator: UInt8(ascii: "\n")).map(Substring.init) }
    }

    @Test func pipelinesDoAsHuggingFace() throws {
        var compared = 0
        for line in try Self.lines() {
            let golden = try JSONValue.parse(Array(line.utf8), source: "golden")
            let spec = try #require(golden["tokenizer"])
            let tokenizer = try BPETokenizer(json: spec, source: "pipeline")
            func name() -> String {
                (golden["name"]?.string.map { $0 + "\n" } ?? "")
                    + ["normalizer", "pre_tokenizer", "added_tokens", "post_processor", "decoder"].map { "\($0) \(spec[$0]?.serialized() ?? "")" }
                    .joined(separator: "\n")
                    + "\n"
                    + ["unk_token", "fuse_unk", "byte_fallback", "ignore_merges"].map { "\($0) \(spec["model"]?[$0]?.serialized() ?? "")" }
                    .joined(separator: " ")
            }
            for row in try #require(golden["encode"]?.array) {
                let row = try #require(row.array)
                let text = try #require(row[0].string)
                let encoding = try tokenizer.encodeWithOffsets(text)
                #expect(encoding.ids == row[1].ids, "\(text.debugDescription)\n\(name())")
                #expect(try tokenizer.encode(text) == row[1].ids, "\(text.debugDescription)\n\(name())")
                #expect(try tokenizer.encode(text, addSpecialTokens: true) == row[3].ids, "\(text.debugDescription)\n\(name())")
                let offsets = row[2].ids.map(Int.init)
                #expect(encoding.offsets.flatMap { [$0.lowerBound, $0.upperBound] } == offsets, "\(text.debugDescription)\n\(name())")
                compared += 1
            }
            for row in try #require(golden["decode"]?.array) {
                let row = try #require(row.array)
                #expect(same(tokenizer.decode(row[0].ids), row[1].string), "\(row[0].ids)\n\(name())")
                #expect(same(tokenizer.decode(row[0].ids, skipSpecialTokens: true), row[2].string), "\(row[0].ids)\n\(name())")
                var decoder = StreamingDecoder(tokenizer)
                let pieces = row[0].ids.map { decoder.append($0) } + [decoder.finish()]
                #expect(same(pieces.joined(), row[1].string), "streaming \(row[0].ids)\n\(name())")
            }
        }
        #expect(compared > 730)
    }
}
