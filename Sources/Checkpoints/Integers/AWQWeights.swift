internal import JSON
internal import SafeTensors

/// AWQ ("gemm"): for a layer X, `X.qweight` [in, out / 8] of INT32, eight 4-bit integers along the outputs in each, in the order 0 2 4 6 1 3 5 7; `X.qzeros`
/// [groups, out / 8] likewise; `X.scales` [groups, out]. w = scale (q - zero).
enum AWQWeights {
    /// Where output i of eight stands in an integer, in nibbles: output 1 is the fifth.
    private static let place: [UInt32] = [0, 4, 1, 5, 2, 6, 3, 7]

    static func weights(
        _ parts: QuantizedWeights.Parts, _ settings: JSONValue
    ) throws(CheckpointError) -> [(name: String, parts: [String], info: TensorInfo, reader: any TensorReader)] {
        let version = settings["version"]?.string?.lowercased() ?? "gemm"
        guard settings["bits"]?.int ?? 4 == 4, version == "gemm" else {
            throw CheckpointError(
                path: parts.path,
                message: "config.json: quantization_config: AWQ \(version) of \(settings["bits"]?.serialized() ?? "4") bits; gemm of 4 bits is read")
        }
        var found: [(name: String, parts: [String], info: TensorInfo, reader: any TensorReader)] = []
        for part in parts.names where part.hasSuffix(".qweight") {
            let layer = String(part.dropLast(".qweight".utf8.count))
            let qweight = try parts.part(part, .i32, shape: [-1, -1])
            let (columns, rows) = (qweight.tensor.shape[0], qweight.tensor.shape[1] * 8)
            let scales = try parts.part(layer + ".scales", .f16, .bf16, .f32, shape: [-1, rows])
            let groups = scales.tensor.shape[0]
            guard groups > 0, columns % groups == 0, rows > 0, columns > 0 else {
                throw CheckpointError(path: parts.path, tensor: part, message: "\(groups) groups for \(columns) inputs do not fit")
            }
            let zeros = try parts.part(layer + ".qzeros", .i32, shape: [groups, rows / 8])
            let name = layer + ".weight"
            let reader = Reader(
                name: name, path: parts.path, columns: columns, outputs: rows, qweight: qweight, zeros: zeros, scales: scales, groups: groups)
            found.append(
                (
                    name, [part, layer + ".scales", layer + ".qzeros"],
                    QuantizedWeights.info(name, rows: rows, columns: columns, storage: "AWQ INT4"), reader
                ))
        }
        return found
    }

    private struct Reader: QuantizedRows {
        let name, path: String
        let columns, outputs: Int
        let qweight, zeros, scales: PlainTensor
        let groups: Int

        func rows(_ rows: Range<Int>, into out: UnsafeMutablePointer<Float>) throws(CheckpointError) {
            var scale = [Float](repeating: 0, count: groups * rows.count), zero = scale
            let packedZeros = try zeros.integers()
            for g in 0..<groups {
                for (index, number) in try scales.numbers(g * outputs + rows.lowerBound..<g * outputs + rows.upperBound).enumerated() {
                    let row = rows.lowerBound + index
                    scale[g * rows.count + index] = number
                    zero[g * rows.count + index] = Float(UInt32(bitPattern: packedZeros[g * (outputs / 8) + row / 8]) >> (4 * place[row % 8]) & 15)
                }
            }
            try qweight.withAllBytes { bytes in
                for input in 0..<columns {
                    let g = input / (columns / groups) * rows.count
                    for index in 0..<rows.count {
                        let row = rows.lowerBound + index
                        let word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * (input * (outputs / 8) + row / 8), as: UInt32.self))
                        out[index * columns + input] = scale[g + index] * (Float(word >> (4 * place[row % 8]) & 15) - zero[g + index])
                    }
                }
            }
        }
    }
}
