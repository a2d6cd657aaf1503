internal import JSON
internal import SafeTensors

/// GPTQ: for a layer X, `X.qweight` [in / n, out] of INT32, n integers along the inputs in each, the first in the lowest bits; `X.qzeros` [groups, out / n];
/// `X.scales` [groups, out]; `X.g_idx` [in], the group of each input. w = scale (q - zero); version 1 stores zero - 1.
enum GPTQWeights {
    static func weights(
        _ parts: QuantizedWeights.Parts, _ settings: JSONValue
    ) throws(CheckpointError) -> [(name: String, parts: [String], info: TensorInfo, reader: any TensorReader)] {
        guard let bits = settings["bits"]?.int, bits == 4 || bits == 8 else {
            throw CheckpointError(
                path: parts.path,
                message: "config.json: quantization_config: \(settings["bits"]?.serialized() ?? "no") bits a weight; 4 and 8 are read")
        }
        let n = 32 / bits
        let offset: Float = settings["checkpoint_format"]?.string == "gptq_v2" ? 0 : 1
        var found: [(name: String, parts: [String], info: TensorInfo, reader: any TensorReader)] = []
        for part in parts.names where part.hasSuffix(".qweight") {
            let layer = String(part.dropLast(".qweight".utf8.count))
            let qweight = try parts.part(part, .i32, shape: [-1, -1])
            let (columns, rows) = (qweight.tensor.shape[0] * n, qweight.tensor.shape[1])
            let scales = try parts.part(layer + ".scales", .f16, .bf16, .f32, shape: [-1, rows])
            let groups = scales.tensor.shape[0]
            guard groups > 0, columns % groups == 0, rows % n == 0, rows > 0, columns > 0 else {
                throw CheckpointError(
                    path: parts.path, tensor: part, message: "\(groups) groups for \(columns) inputs and \(rows) outputs do not fit")
            }
            let zeros = try parts.part(layer + ".qzeros", .i32, shape: [groups, rows / n])
            var group: [Int] = (0..<columns).map { $0 / (columns / groups) }
            var used = [part, layer + ".scales", layer + ".qzeros"]
            if parts.optional(layer + ".g_idx") != nil {
                group = try parts.part(layer + ".g_idx", .i32, shape: [columns]).integers().map { Int($0) }
                used.append(layer + ".g_idx")
                guard group.allSatisfy((0..<groups).contains) else {
                    throw CheckpointError(path: parts.path, tensor: layer + ".g_idx", message: "names a group that is none of the \(groups)")
                }
            }
            let name = layer + ".weight"
            let reader = Reader(
                name: name, path: parts.path, columns: columns, outputs: rows, qweight: qweight, zeros: zeros, scales: scales, group: group,
                groups: groups,
                bits: bits, offset: offset)
            found.append((name, used, QuantizedWeights.info(name, rows: rows, columns: columns, storage: "GPTQ INT\(bits)"), reader))
        }
        return found
    }

    private struct Reader: QuantizedRows {
        let name, path: String
        let columns, outputs: Int
        let qweight, zeros, scales: PlainTensor
        let group: [Int]
        let groups, bits: Int
        let offset: Float

        func rows(_ rows: Range<Int>, into out: UnsafeMutablePointer<Float>) throws(CheckpointError) {
            let n = 32 / bits, mask = UInt32(1 << bits) - 1
            // Zero and scale of each group for these rows only: `rows` is a few hundred outputs of thousands.
            var scale = [Float](repeating: 0, count: groups * rows.count), zero = scale
            let packedZeros = try zeros.integers()
            for g in 0..<groups {
                for (place, number) in try scales.numbers(g * outputs + rows.lowerBound..<g * outputs + rows.upperBound).enumerated() {
                    let row = rows.lowerBound + place
                    let word = UInt32(bitPattern: packedZeros[g * (outputs / n) + row / n])
                    scale[g * rows.count + place] = number
                    zero[g * rows.count + place] = Float(word >> UInt32(bits * (row % n)) & mask) + offset
                }
            }
            try qweight.withAllBytes { bytes in
                for input in 0..<columns {
                    let first = input / n * outputs + rows.lowerBound, shift = UInt32(bits * (input % n)), g = group[input] * rows.count
                    for place in 0..<rows.count {
                        let word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * (first + place), as: UInt32.self))
                        out[place * columns + input] = scale[g + place] * (Float(word >> shift & mask) - zero[g + place])
                    }
                }
            }
        }
    }
}
