import Foundation

/// Writes GGUF files, right ones and wrong ones: every number of the header can be overridden.
struct GGUFBuilder {
    struct Tensor {
        var name: [UInt8]
        var dimensions: [UInt64]  // as in the file: innermost first
        var type: UInt32
        var data: [UInt8]
        var rank: UInt32? = nil
        var offset: UInt64? = nil
    }

    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var keyCount: UInt64? = nil
    var tensorCount: UInt64? = nil
    var keys: [[UInt8]] = []  // encoded pairs
    var tensors: [Tensor] = []
    var alignment = 32
    var cut = 0  // bytes left out at the end

    static func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    static func string(_ bytes: [UInt8]) -> [UInt8] { little(UInt64(bytes.count)) + bytes }
    static func string(_ text: String) -> [UInt8] { string(Array(text.utf8)) }

    mutating func key(_ name: String, _ type: UInt32, _ value: [UInt8]) { keys.append(Self.string(name) + Self.little(type) + value) }
    mutating func key(_ name: String, _ value: String) { key(name, 8, Self.string(value)) }
    mutating func key(_ name: String, _ value: UInt32) { key(name, 4, Self.little(value)) }
    mutating func key(_ name: String, _ value: Float) { key(name, 6, Self.little(value.bitPattern)) }
    mutating func key(_ name: String, _ value: Bool) { key(name, 7, [value ? 1 : 0]) }
    mutating func key(_ name: String, _ value: [String]) {
        key(name, 9, Self.little(UInt32(8)) + Self.little(UInt64(value.count)) + value.flatMap { Self.string($0) })
    }
    mutating func key(_ name: String, _ value: [Int32]) {
        key(name, 9, Self.little(UInt32(5)) + Self.little(UInt64(value.count)) + value.flatMap { Self.little($0) })
    }

    mutating func tensor(_ name: String, _ dimensions: [UInt64], _ type: UInt32, _ data: [UInt8]) {
        tensors.append(Tensor(name: Array(name.utf8), dimensions: dimensions, type: type, data: data))
    }
    mutating func tensor(_ name: String, _ dimensions: [UInt64], _ values: [Float]) {
        tensor(name, dimensions, 0, values.flatMap { Self.little($0.bitPattern) })
    }

    var bytes: [UInt8] {
        var out = magic + Self.little(version) + Self.little(tensorCount ?? UInt64(tensors.count)) + Self.little(keyCount ?? UInt64(keys.count))
        out += keys.joined()
        var offset = 0
        for tensor in tensors {
            out += Self.string(tensor.name) + Self.little(tensor.rank ?? UInt32(tensor.dimensions.count))
            out += tensor.dimensions.flatMap { Self.little($0) } + Self.little(tensor.type) + Self.little(tensor.offset ?? UInt64(offset))
            offset += padded(tensor.data.count)
        }
        out += [UInt8](repeating: 0, count: padded(out.count) - out.count)
        for tensor in tensors { out += tensor.data + [UInt8](repeating: 0, count: padded(tensor.data.count) - tensor.data.count) }
        return Array(out.dropLast(cut))
    }

    private func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }
}

/// A file that is removed at the end of its scope.
func withFile<Result>(_ bytes: [UInt8], _ body: (String) throws -> Result) throws -> Result {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("gguf-\(UUID().uuidString).gguf").path
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}
