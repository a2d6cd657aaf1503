internal import GGUF
internal import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Scaled rotary embeddings between config.json and GGUF. Linear and YaRN are keys of the metadata; Llama 3's scaling is a tensor of a factor for each
/// frequency.
enum GGUFRope {
    static let tensorName = "rope_freqs.weight"

    /// What Llama 3.1 and 3.2 divide their frequencies by: `_compute_llama3_parameters` in transformers.
    static func llama3Factors(theta: Double, headSize: Int, factor: Double, low: Double, high: Double, context: Double) -> [Float] {
        stride(from: 0, to: headSize, by: 2).map { index in
            let wavelength = 2 * Double.pi * pow(theta, Double(index) / Double(headSize))
            if wavelength < context / high { return 1 }
            if wavelength > context / low { return Float(factor) }
            let smooth = (context / wavelength - low) / (high - low)
            return Float(1 / ((1 - smooth) / factor + smooth))
        }
    }

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
        let expected = llama3Factors(theta: Double(theta), headSize: headSize, factor: Double(factor), low: 1, high: 4, context: 8192)
        guard zip(factors, expected).allSatisfy({ abs($0 - $1) <= 1e-3 * $1 }) else {
            throw failure("scales the rotary frequencies in a way that is not Llama 3's (low factor 1, high factor 4, context 8192)")
        }
        return [
            "rope_type": "llama3", "factor": .number(Double(factor)), "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        ]
    }

    /// Keys, and perhaps the tensor, for a configuration. Throws when its kind of scaling cannot be written.
    static func written(
        _ config: JSONValue, _ architecture: String, theta: Double, headSize: Int, path: String
    ) throws(CheckpointError) -> (keys: [(key: String, value: GGUFLayout.Value)], factors: [Float]?) {
        let scaling = config["rope_scaling"].flatMap { $0.isNull ? nil : $0 } ?? config["rope_parameters"]
        let type = scaling?["rope_type"]?.string ?? scaling?["type"]?.string ?? "default"
        func failure(_ message: String) -> CheckpointError { CheckpointError(path: path, message: "config.json: rope_scaling: \(message)") }
        func number(_ key: String) throws(CheckpointError) -> Double {
            guard let value = scaling?[key]?.double, value > 0, value.isFinite else { throw failure("`\(key)` is missing or not a positive number") }
            return value
        }
        switch type {
        case "default": return ([], nil)
        case "linear", "yarn":
            let key = "\(architecture).rope.scaling"
            var keys: [(key: String, value: GGUFLayout.Value)] = [
                ("\(key).type", .string(type)), ("\(key).factor", .float32(Float(try number("factor")))),
            ]
            if let original = scaling?["original_max_position_embeddings"]?.int, let value = UInt32(exactly: original) {
                keys.append(("\(key).original_context_length", .uint32(value)))
            }
            return (keys, nil)
        case "llama3":
            let factors = llama3Factors(
                theta: theta, headSize: headSize, factor: try number("factor"), low: try number("low_freq_factor"),
                high: try number("high_freq_factor"),
                context: try number("original_max_position_embeddings"))
            return ([], factors)
        default: throw failure("the type '\(type)' cannot be written to a GGUF file")
        }
    }
}
