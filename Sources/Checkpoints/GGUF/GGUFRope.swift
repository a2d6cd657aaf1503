internal import GGUF
internal import JSON

/// Scaled rotary embeddings between config.json and GGUF. Linear and YaRN are keys of the metadata; Llama 3's scaling is a tensor of a factor for each
/// frequency.
enum GGUFRope {
    static let tensorName = "rope_freqs.weight"

    /// `rope_scaling` of config.json for a GGUF file; nil when nothing is scaled.
    static func scaling(_ metadata: GGUFMetadata, _ architecture: String, theta: Float, headSize: Int) throws(CheckpointError) -> JSONValue? {
        if let tensor = metadata.file.tensor(named: tensorName) { return try llama3(tensor, metadata, theta: theta, headSize: headSize) }
        let key = "\(architecture).rope.scaling"
        guard let type = try metadata.optionalString("\(key).type"), type != "none" else { return nil }
        guard type == "linear" || type == "yarn" else {
            throw metadata.failure("\(key).type", "is '\(type.prefix(40))'; linear, yarn and none are read")
        }
        var scaling = JSONObject([("rope_type", .string(type))])
        guard let factor = try metadata.optionalFloat("\(key).factor"), factor > 0, factor.isFinite else {
            throw metadata.failure("\(key).factor", "is missing or not a positive number")
        }
        scaling["factor"] = .number(Double(factor.description) ?? Double(factor))
        if let original = try metadata.optionalInteger("\(key).original_context_length") {
            scaling["original_max_position_embeddings"] = .integer(Int64(original))
        }
        return .object(scaling)
    }

    /// The published Llama 3 models differ only in the factor, which is the largest of the tensor; any other tensor is refused.
    private static func llama3(_ tensor: GGUFTensor, _ metadata: GGUFMetadata, theta: Float, headSize: Int) throws(CheckpointError) -> JSONValue? {
        func failure(_ message: String) -> CheckpointError { CheckpointError(path: metadata.file.path, tensor: tensorName, message: message) }
        guard tensor.shape == [headSize / 2], tensor.type == .f32 else {
            throw failure("has shape \(tensor.shape), expected [\(headSize / 2)] in F32")
        }
        var factors = [Float](repeating: 0, count: headSize / 2)
        let read = factors.withUnsafeMutableBufferPointer { buffer in
            Result { () throws(GGUFError) in try metadata.file.read(tensor, rows: 0..<1, into: buffer) }
        }
        do { try read.get() } catch { throw CheckpointError(error) }
        let factor = factors.max() ?? 1
        if factors.allSatisfy({ $0 == 1 }) { return nil }
        let llama3 = RotaryParameters(
            theta: Double(theta), scaling: .llama3(factor: Double(factor), lowFactor: 1, highFactor: 4, context: 8192))
        guard let expected = llama3.divisors(headSize: headSize), zip(factors, expected).allSatisfy({ abs($0 - $1) <= 1e-3 * $1 }) else {
            throw failure("scales the rotary frequencies in a way that is not Llama 3's (low factor 1, high factor 4, context 8192)")
        }
        return [
            "rope_type": "llama3", "factor": .number(Double(factor)), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        ]
    }

    /// Keys, and perhaps the tensor, for a configuration. Throws when its kind of scaling cannot be written.
    static func written(
        _ rotary: RotaryParameters, _ config: JSONValue, _ architecture: String, headSize: Int, path: String
    ) throws(CheckpointError) -> (keys: [(key: String, value: GGUFLayout.Value)], factors: [Float]?) {
        let key = "\(architecture).rope.scaling"
        switch rotary.scaling {
        case .none: return ([], nil)
        case .linear(let factor): return ([("\(key).type", .string("linear")), ("\(key).factor", .float32(Float(factor)))], nil)
        case .llama3: return ([], rotary.divisors(headSize: headSize))
        case .other("yarn"):
            let scaling = RotaryParameters.object(of: config).members
            guard let factor = scaling?["factor"]?.double, factor > 0, factor.isFinite else {
                throw CheckpointError(path: path, message: "config.json: rope_scaling: `factor` is missing or not a positive number")
            }
            var keys: [(key: String, value: GGUFLayout.Value)] = [("\(key).type", .string("yarn")), ("\(key).factor", .float32(Float(factor)))]
            if let original = scaling?["original_max_position_embeddings"]?.int, let value = UInt32(exactly: original) {
                keys.append(("\(key).original_context_length", .uint32(value)))
            }
            return (keys, nil)
        case .other(let type):
            throw CheckpointError(path: path, message: "config.json: rope_scaling: the type '\(type)' cannot be written to a GGUF file")
        }
    }
}
