import Checkpoints
import Foundation
import JSON

/// A directory of a test's own, removed with it.
final class TemporaryDirectory {
    let path = NSTemporaryDirectory() + "checkpoints-\(UUID().uuidString)"

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var contents: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

    func names(in name: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path + "/" + name)) ?? []).sorted() }

    func bytes(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: URL(fileURLWithPath: path + "/" + name))) }

    func write(_ bytes: [UInt8], to name: String) throws {
        // A new file and not Data.write: that, and truncating a file that is there, take milliseconds, and some tests write thousands.
        unlink(path + "/" + name)
        let file = fopen(path + "/" + name, "w")
        defer { if let file { fclose(file) } }
        guard let file, fwrite(bytes, 1, bytes.count, file) == bytes.count else { throw CocoaError(.fileWriteUnknown) }
    }
}

/// Tensors in memory, of FP32 numbers.
struct MemoryProvider: TensorProvider {
    let tensors: [TensorInfo]
    let values: [String: [Float]]

    init(_ tensors: [(name: String, shape: [Int], values: [Float])]) {
        self.tensors =
            tensors
            .map { TensorInfo(name: $0.name, shape: $0.shape, storage: "F32", type: .float32) }
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        self.values = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.values) })
    }

    func read(_ name: String, rows: Range<Int>, as type: ElementType, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let tensor = tensors.first(where: { $0.name == name }), let values = values[name] else {
            throw CheckpointError(path: "memory", tensor: name, message: "missing")
        }
        for (index, value) in values[rows.lowerBound * tensor.rowLength..<rows.upperBound * tensor.rowLength].enumerated() {
            switch type {
            case .float32: buffer.storeBytes(of: value, toByteOffset: 4 * index, as: Float.self)
            case .bfloat16: buffer.storeBytes(of: bfloat16(value), toByteOffset: 2 * index, as: UInt16.self)
            case .float16: buffer.storeBytes(of: Float16(value).bitPattern, toByteOffset: 2 * index, as: UInt16.self)
            }
        }
    }
}

/// To nearest, ties to even; written apart from the code under test.
func bfloat16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}

/// Normal numbers, the same every time.
func normal(_ count: Int, deviation: Float, seed: UInt64) -> [Float] {
    var state = seed &* 2 &+ 1
    func uniform() -> Float {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return (Float(state >> 40) + 0.5) / 16_777_216
    }
    return (0..<count).map { _ in deviation * (-2 * log(uniform())).squareRoot() * cos(2 * Float.pi * uniform()) }
}

let config: JSONValue = ["model_type": "qwen2", "hidden_size": 8]
let companions: [(name: String, bytes: [UInt8])] = [("tokenizer.json", Array("{}".utf8)), ("chat_template.jinja", Array("x".utf8))]

/// A small model: a matrix, a vector, a scalar, an empty tensor.
func smallModel() -> MemoryProvider {
    MemoryProvider([
        ("model.embed_tokens.weight", [37, 8], normal(37 * 8, deviation: 0.02, seed: 1)),
        ("model.norm.weight", [8], [1, -1, 0, 0.5, .infinity, 65504, 1e-30, 3.14159]),
        ("b.scalar", [], [2.5]), ("a.empty", [0, 4], []),
    ])
}

extension TensorProvider {
    /// The bytes of all rows of a tensor.
    func bytes(of name: String, as type: ElementType, rows: Range<Int>? = nil) throws -> [UInt8] {
        guard let tensor = tensors.first(where: { $0.name == name }) else { throw CheckpointError(path: "test", tensor: name, message: "missing") }
        let rows = rows ?? 0..<tensor.rowCount
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: rows.count * tensor.rowLength * type.byteCount, alignment: 64)
        defer { buffer.deallocate() }
        try read(name, rows: rows, as: type, into: buffer)
        return Array(buffer)
    }
}
