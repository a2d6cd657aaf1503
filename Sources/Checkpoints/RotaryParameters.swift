public import JSON

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What config.json says of the rotary embedding, in its three spellings: `rope_theta` alone, with `rope_scaling` (transformers 4), or both within
/// `rope_parameters` (transformers 5).
public struct RotaryParameters: Sendable, Equatable {
    /// Base of the frequencies: frequency i of a head is theta^(-2i / headSize) before it is scaled.
    public let theta: Double
    /// How the frequencies are scaled.
    public let scaling: Scaling

    /// The ways of scaling, by `rope_type`.
    public enum Scaling: Sendable, Equatable {
        /// Not at all.
        case none
        /// Every frequency divided by the factor.
        case linear(factor: Double)
        /// Llama 3's: low frequencies divided by the factor, high ones not, those between in part.
        case llama3(factor: Double, lowFactor: Double, highFactor: Double, context: Double)
        /// Another one, such as `yarn`.
        case other(String)
    }

    /// Reads the keys, in transformers' order of precedence.
    /// - Throws: `CheckpointError` for a number that is missing, not positive or not finite.
    public init(_ config: JSONValue, path: String) throws(CheckpointError) {
        let (spelling, parameters) = Self.object(of: config)
        func number(_ key: String, _ value: JSONValue?, default standard: Double? = nil) throws(CheckpointError) -> Double {
            guard let value, !value.isNull else {
                if let standard { return standard }
                throw CheckpointError(path: path, message: "config.json: `\(key)` is missing, expected a positive number")
            }
            guard let number = value.double, number > 0, number < 1e30 else {
                throw CheckpointError(path: path, message: "config.json: `\(key)` is \(value.serialized()), expected a positive number")
            }
            return number
        }
        func parameter(_ key: String, default standard: Double? = nil) throws(CheckpointError) -> Double {
            try number("\(spelling).\(key)", parameters?[key], default: standard)
        }
        theta = try number("rope_theta", parameters?["rope_theta"] ?? config["rope_theta"], default: 10000)
        guard try number("partial_rotary_factor", parameters?["partial_rotary_factor"] ?? config["partial_rotary_factor"], default: 1) == 1 else {
            throw CheckpointError(
                path: path, message: "config.json: `partial_rotary_factor` is not 1: heads that are rotated in part are not supported")
        }
        switch parameters?["rope_type"]?.string ?? parameters?["type"]?.string ?? "default" {
        case "default": scaling = .none
        case "linear": scaling = .linear(factor: try parameter("factor"))
        case "llama3":
            let low = try parameter("low_freq_factor"), high = try parameter("high_freq_factor")
            guard low < high else {
                throw CheckpointError(path: path, message: "config.json: `low_freq_factor` is \(low), expected less than `high_freq_factor`, \(high)")
            }
            let context = try number("max_position_embeddings", config["max_position_embeddings"], default: 2048)
            scaling = .llama3(
                factor: try parameter("factor"), lowFactor: low, highFactor: high,
                context: try parameter("original_max_position_embeddings", default: context))
        case let type: scaling = .other(type)
        }
    }

    /// The object that has the parameters, and its key.
    static func object(of config: JSONValue) -> (key: String, members: JSONValue?) {
        for key in ["rope_scaling", "rope_parameters"] {
            if let object = config[key], object.object?.members.isEmpty == false { return (key, object) }
        }
        return ("rope_parameters", nil)
    }

    /// What frequency theta^(-2i / headSize) is divided by, for every i; nil where nothing is scaled. `_compute_llama3_parameters` in transformers.
    public func divisors(headSize: Int) -> [Float]? {
        let indices = stride(from: 0, to: headSize, by: 2)
        switch scaling {
        case .none, .other: return nil
        case .linear(let factor): return indices.map { _ in Float(factor) }
        case .llama3(let factor, let low, let high, let context):
            return indices.map { index in
                let wavelength = 2 * Double.pi * pow(theta, Double(index) / Double(headSize))
                if wavelength < context / high { return 1 }
                if wavelength > context / low { return Float(factor) }
                let smooth = (context / wavelength - low) / (high - low)
                return Float(1 / ((1 - smooth) / factor + smooth))
            }
        }
    }

    /// Of these values, not read from anywhere.
    init(theta: Double, scaling: Scaling) {
        self.theta = theta
        self.scaling = scaling
    }
}
