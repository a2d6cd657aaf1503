internal import CKernels
internal import JSON
internal import SafeTensors

/// compressed-tensors: `pack-quantized` (integers of 4 or 8 bits, several to an INT32), `int-quantized` (INT8) and `float-quantized` (FP8), each with a scale
/// a group, a row or a tensor. The first may be asymmetric: with a zero point beside each scale.
enum CompressedTensors {
    static func weights(
        _ parts: QuantizedWeights.Parts, _ settings: JSONValue
    ) throws(CheckpointError) -> [(name: String, parts: [String], info: TensorInfo, reader: any TensorReader)] {
        func failure(_ message: String) -> CheckpointError {
            CheckpointError(path: parts.path, message: "config.json: quantization_config: \(message)")
        }
        let groups = settings["config_groups"]?.object?.members ?? []
        guard groups.count == 1, let weights = groups[0].value["weights"], let bits = weights["num_bits"]?.int else {
            throw failure("expected one group of layers with the settings of its weights in `config_groups`")
        }
        let hasZeros = weights["symmetric"]?.bool == false
        var found: [(name: String, parts: [String], info: TensorInfo, reader: any TensorReader)] = []
        for name in parts.names {
            if name.hasSuffix(".weight_packed") {
                guard bits == 4 || bits == 8 else { throw failure("\(bits) bits a weight; 4 and 8 are read") }
                found.append(try packed(String(name.dropLast("_packed".utf8.count)), parts, bits: bits, hasZeros: hasZeros))
            } else if name.hasSuffix(".weight"), let weight = parts.optional(name), parts.optional(name + "_scale") != nil {
                guard !hasZeros else { throw failure("asymmetric weights (with zero points) are read of the format pack-quantized only") }
                found.append(try scaled(name, weight, parts))
            }
        }
        return found
    }

    private static func packed(
        _ name: String, _ parts: QuantizedWeights.Parts, bits: Int, hasZeros: Bool
    ) throws(CheckpointError) -> (name: String, parts: [String], info: TensorInfo, reader: any TensorReader) {
        let shapePart = try parts.part(name + "_shape", .i64, shape: [2])
        let shape = try shapePart.withAllBytes { bytes in
            [0, 8].map { Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: Int64.self)) }
        }
        guard let rows = Int(exactly: shape[0]), let columns = Int(exactly: shape[1]), rows > 0, columns > 0, columns % (32 / bits) == 0 else {
            throw CheckpointError(
                path: parts.path, tensor: name + "_shape", message: "is \(shape), which cannot be packed \(32 / bits) to an integer")
        }
        let packed = try parts.part(name + "_packed", .i32, shape: [rows, columns / (32 / bits)])
        let scale = try parts.part(name + "_scale", .bf16, .f16, .f32, shape: [rows, -1])
        let groups = scale.tensor.shape[1]
        guard groups > 0, columns % groups == 0 else {
            throw CheckpointError(path: parts.path, tensor: name + "_scale", message: "has \(groups) scales for rows of \(columns)")
        }
        // Zero points are packed along the rows, offset as the integers are.
        let zeros = hasZeros ? try parts.part(name + "_zero_point", .i32, shape: [(rows * bits + 31) / 32, groups]) : nil
        let reader = Packed(
            name: name, path: parts.path, columns: columns, packed: packed, scale: scale, zeros: try zeros?.integers(), groups: groups, bits: bits)
        let info = QuantizedWeights.info(name, rows: rows, columns: columns, storage: "INT\(bits) x \(columns / groups)")
        let used = [name + "_packed", name + "_scale", name + "_shape"] + (hasZeros ? [name + "_zero_point"] : [])
        return (name, used, info, reader)
    }

    private static func scaled(
        _ name: String, _ weight: PlainTensor, _ parts: QuantizedWeights.Parts
    ) throws(CheckpointError) -> (name: String, parts: [String], info: TensorInfo, reader: any TensorReader) {
        let checked = try parts.part(name, .i8, .f8E4M3, shape: [-1, -1])
        let (rows, columns) = (checked.tensor.shape[0], checked.tensor.shape[1])
        let scale =
            parts.optional(name + "_scale")?.tensor.shape.reduce(1, *) == 1
            ? try parts.part(name + "_scale", .bf16, .f16, .f32, shape: parts.optional(name + "_scale")?.tensor.shape ?? [])
            : try parts.part(name + "_scale", .bf16, .f16, .f32, shape: [rows, 1])
        let reader = Scaled(name: name, path: parts.path, columns: columns, weight: weight, scale: scale)
        return (
            name, [name, name + "_scale"],
            QuantizedWeights.info(name, rows: rows, columns: columns, storage: "scaled \(weight.tensor.type.rawValue)"), reader
        )
    }

    /// Offset-binary integers, the first in the lowest bits: on a little-endian machine a run of bytes or nibbles.
    private struct Packed: QuantizedRows {
        let name, path: String
        let columns: Int
        let packed, scale: PlainTensor
        /// Zero points as they are packed, if the weights are asymmetric.
        let zeros: [Int32]?
        let groups, bits: Int

        func rows(_ rows: Range<Int>, into out: UnsafeMutablePointer<Float>) throws(CheckpointError) {
            let scales = try scale.numbers(rows.lowerBound * groups..<rows.upperBound * groups)
            let rowBytes = columns * bits / 8
            let integers = UnsafeMutableRawBufferPointer.allocate(byteCount: rows.count * rowBytes, alignment: 64)
            defer { integers.deallocate() }
            try packed.readStored(rows.lowerBound * columns * bits / 32..<rows.upperBound * columns * bits / 32, into: integers)
            guard let q = integers.baseAddress else { return }
            ck_dequantize_groups(out, q.assumingMemoryBound(to: UInt8.self), scales, rows.count, columns, columns / groups, Int32(bits))
            guard let zeros else { return }
            let inOne = 32 / bits, mask = Int32(1 << bits - 1), middle = Int32(1 << (bits - 1))
            for (place, row) in rows.enumerated() {
                for group in 0..<groups {
                    let zero = zeros[row / inOne * groups + group] >> Int32(row % inOne * bits) & mask
                    let shift = Float(middle - zero) * scales[place * groups + group]
                    let first = place * columns + group * (columns / groups)
                    for column in first..<first + columns / groups { out[column] += shift }
                }
            }
        }
    }

    /// INT8 or FP8 times a scale a row, or one for all.
    private struct Scaled: QuantizedRows {
        let name, path: String
        let columns: Int
        let weight, scale: PlainTensor

        func rows(_ rows: Range<Int>, into out: UnsafeMutablePointer<Float>) throws(CheckpointError) {
            let isOne = scale.tensor.shape.reduce(1, *) == 1
            let scales = try scale.numbers(isOne ? 0..<1 : rows)
            let range = rows.lowerBound * columns..<rows.upperBound * columns
            if weight.tensor.type == .i8 {
                try weight.withAllBytes { bytes in
                    for (place, index) in range.enumerated() { out[place] = Float(Int8(bitPattern: bytes[index])) }
                }
            } else {
                for (place, number) in try weight.numbers(range).enumerated() { out[place] = number }
            }
            for place in 0..<range.count { out[place] *= scales[isOne ? 0 : place / columns] }
        }
    }
}
