import Checkpoints
import Foundation
import Qwen2
import SafeTensors

/// One of the tiny models that transformers made, with what it computed (schema: Goldens/README.md).
struct Golden {
    /// A model of each family, with each of its switches.
    static let all = [
        "tiny-tied", "tiny-untied", "tiny-qwen3", "tiny-qwen3-biased", "tiny-llama3", "tiny-llama-biased", "tiny-smollm2", "tiny-mistral",
    ]

    let checkpoint: Checkpoint
    private let tensors: Tensors

    init(_ name: String) throws {
        let directory = try Self.directory.appendingPathComponent(name).path
        checkpoint = try Checkpoint(opening: directory)
        tensors = try Tensors(directory + "/golden.safetensors")
    }

    static var directory: URL {
        get throws {
            guard let url = Bundle.module.url(forResource: "Goldens", withExtension: nil) else { throw CocoaError(.fileNoSuchFile) }
            return url
        }
    }

    func floats(_ key: String) throws -> [Float] { try tensors.numbers(key) }

    func has(_ key: String) -> Bool { tensors.has(key) }

    func ids(_ key: String) throws -> [Int32] { try tensors.numbers(key).map { (value: Int64) in Int32(value) } }

    /// The numbers of a golden file.
    struct Tensors {
        private let file: SafeTensorsFile

        init(_ path: String) throws { file = try SafeTensorsFile(opening: path) }

        func has(_ key: String) -> Bool { file.tensor(named: key) != nil }

        func floats(_ key: String) throws -> [Float] { try numbers(key) }

        func numbers<Number>(_ key: String) throws -> [Number] {
            guard let tensor = file.tensor(named: key) else { throw SafeTensorsMissing(key: key) }
            return file.withBytes(of: tensor) { bytes in
                [Number](unsafeUninitializedCapacity: bytes.count / MemoryLayout<Number>.stride) { buffer, count in
                    UnsafeMutableRawBufferPointer(buffer).copyMemory(from: bytes)
                    count = buffer.count
                }
            }
        }
    }

    /// The three sequences as groups: the ids up to the first coefficient are the prompt.
    var sequences: [[Int32]] { get throws { try (0..<3).map { try ids("sequence.\($0).ids") } } }
}

struct SafeTensorsMissing: Error { let key: String }

/// A whole sequence as a group whose prompt is its first id, so that every next id is a completion token.
func wholeSequences(_ sequences: [[Int32]]) -> [TokenGroup] {
    sequences.map { TokenGroup(prompt: [$0[0]], completions: [Array($0.dropFirst())]) }
}

func largestDifference(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } }

func norm(_ a: [Float]) -> Double { a.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }

func relativeDifference(_ a: [Float], _ b: [Float]) -> Double {
    precondition(a.count == b.count)
    return norm(zip(a, b).map(-)) / max(norm(b), 1e-12)
}
