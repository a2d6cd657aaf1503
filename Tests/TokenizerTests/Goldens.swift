import Foundation
import JSON
import Testing

@testable import Tokenizer

/// The files in `Goldens`, and the real tokenizer if there is one.
enum Goldens {
    static func json(_ name: String) throws -> JSONValue {
        let folder = try #require(Bundle.module.resourceURL).appendingPathComponent("Goldens")
        return try JSONValue.parse(contentsOf: folder.appendingPathComponent(name).path)
    }

    static func tokenizer(_ name: String) throws -> BPETokenizer {
        try BPETokenizer(json: try json("\(name).json"), source: "\(name).json")
    }

    /// The real `tokenizer.json`: of the checkpoint that GRPO_MODEL names, or of the one in `models/`.
    static var realTokenizerPath: String? {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let folders: [String?] = [
            ProcessInfo.processInfo.environment["GRPO_MODEL"], root.appendingPathComponent("models/qwen2.5-coder-0.5b-instruct").path,
        ]
        return folders.compactMap { $0.map { $0 + "/tokenizer.json" } }.first(where: FileManager.default.fileExists(atPath:))
    }
}

extension JSONValue {
    /// An array of ids.
    var ids: [Int32] { (array ?? []).compactMap { $0.int.map(Int32.init) } }
}

/// Equal bytes: `String ==` would hold canonically equivalent texts for equal.
func same(_ left: String, _ right: String?) -> Bool { right.map { left.utf8.elementsEqual($0.utf8) } ?? false }
