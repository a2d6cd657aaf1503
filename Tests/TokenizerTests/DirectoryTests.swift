import Foundation
import JSON
import Testing

@testable import Tokenizer

/// A checkpoint's directory, with `tokenizer.json` or with the older files.
@Suite struct DirectoryTests {
    private func withDirectory(_ files: [String: String], _ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("tokenizer-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in files { try Data(text.utf8).write(to: folder.appendingPathComponent(name)) }
        try body(folder.path)
    }

    /// The older files that say the same as a golden `tokenizer.json`.
    private func legacy(_ name: String, tokenizerClass: String) throws -> [String: String] {
        let json = try Goldens.json("\(name).json")
        let merges = try #require(json["model"]?["merges"]?.array).map { merge in
            merge.string ?? (merge.array ?? []).compactMap(\.string).joined(separator: " ")
        }
        let added = try #require(json["added_tokens"]?.array).map { (String($0["id"]?.int ?? -1), $0) }
        let configuration: JSONValue = ["tokenizer_class": .string(tokenizerClass), "added_tokens_decoder": .object(JSONObject(added))]
        return [
            "vocab.json": try #require(json["model"]?["vocab"]).serialized(), "merges.txt": "#version: 0.2\n" + merges.joined(separator: "\n") + "\n",
            "tokenizer_config.json": configuration.serialized(),
        ]
    }

    @Test(arguments: [("qwen2-tiny", "Qwen2Tokenizer"), ("gpt2-tiny", "GPT2TokenizerFast")])
    func olderFilesSayTheSame(name: String, tokenizerClass: String) throws {
        try withDirectory(try legacy(name, tokenizerClass: tokenizerClass)) { directory in
            let (tokenizer, same) = (try BPETokenizer(directory: directory), try Goldens.tokenizer(name))
            for row in try #require(try Goldens.json("\(name).golden.json")["encode"]?.array).prefix(150) {
                let text = try #require(row["text"]?.string)
                let (mine, theirs) = (try tokenizer.encode(text), try same.encode(text))
                #expect(mine == theirs, "\(text.debugDescription)")
            }
        }
    }

    @Test func tokenizerFileComesFirst() throws {
        let json = try Goldens.json("qwen2-tiny.json").serialized()
        try withDirectory(["tokenizer.json": json, "vocab.json": "broken"]) { directory in
            let ids = try BPETokenizer(directory: directory).encode("hello")
            let expected = try Goldens.tokenizer("qwen2-tiny").encode("hello")
            #expect(ids == expected)
        }
    }

    @Test func whatIsMissingOrUnknownIsRefused() throws {
        var files = try legacy("gpt2-tiny", tokenizerClass: "LlamaTokenizer")
        func expectRefusal(_ part: String) throws {
            try withDirectory(files) { directory in
                let error = #expect(throws: TokenizerError.self) { try BPETokenizer(directory: directory) }
                #expect(error?.description.contains(part) == true && error?.description.contains("\n") == false, "\(error?.description ?? "")")
            }
        }
        try expectRefusal("tokenizer_class: 'LlamaTokenizer'")
        files["tokenizer_config.json"] = "{\"added_tokens_decoder\": {\"x\": {}}}"
        try expectRefusal("added_tokens_decoder")
        files["tokenizer_config.json"] = "{"
        try expectRefusal("tokenizer_config.json")
        files["tokenizer_config.json"] = nil
        files["merges.txt"] = "a b c\n"
        try expectRefusal("model.merges[0]")
        files["merges.txt"] = nil
        try expectRefusal("merges.txt")
        files = [:]
        try expectRefusal("tokenizer.json")
    }
}
