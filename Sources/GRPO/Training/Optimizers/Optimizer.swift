internal import CKernels
internal import Qwen2
internal import SafeTensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What moves the weights along their gradients (`optim`).
public enum OptimizerKind: String, Sendable, CaseIterable {
    /// AdamW with moments in FP32.
    case adamW = "adamw_torch"
    /// AdamW with moments of one byte: a quarter of the memory.
    case adamW8Bit = "adamw_8bit"
    /// Stochastic gradient descent, with momentum where `optim_args` says so.
    case sgd
}

/// The optimizer of a run, over the FP32 master weights of its parameters.
protocol Optimizer: AnyObject {
    /// Steps taken.
    var steps: Int { get set }
    /// What it remembers from step to step, in a fixed order.
    var state: [OptimizerTensor] { get }
    /// Moves every parameter along its gradient times `gradientScale`, and makes the forward pass use the result.
    func step(learningRate: Double, gradientScale: Double)
}

/// A tensor of an optimizer's memory, under its parameter's name and its own.
struct OptimizerTensor {
    let name: String
    let type: SafeTensorsType
    let shape: [Int]
    let buffer: OptimizerBuffer
}

extension GRPOConfiguration {
    /// The optimizer that is asked for; biases and norms are not decayed, as in transformers.
    func makeOptimizer(_ parameters: [Parameter]) throws(ConfigurationError) -> any Optimizer {
        switch optimizer {
        case .adamW: AdamW(parameters, self)
        case .adamW8Bit: AdamW8Bit(parameters, self)
        case .sgd: SGD(parameters, try SGD.Settings(self))
        }
    }

    /// The weight decay of a parameter: none for vectors.
    func weightDecay(of parameter: Parameter) -> Double { parameter.shape.count > 1 ? weightDecay : 0 }

    func adamWStep(_ parameter: Parameter, step: Int, learningRate: Double, gradientScale: Double) -> ck_adamw_step {
        ck_adamw_step(
            learning_rate: learningRate, beta1: adamBeta1, beta2: adamBeta2, epsilon: adamEpsilon, weight_decay: weightDecay(of: parameter),
            gradient_scale: gradientScale, correction1: 1 - pow(adamBeta1, Double(step)), correction2: 1 - pow(adamBeta2, Double(step)))
    }
}

extension [Parameter] {
    /// The Euclidean norm of all gradients together.
    var gradientNorm: Double {
        reduce(0.0) { sum, parameter in
            guard let gradient = parameter.gradient?.baseAddress else { return sum }
            return sum + ck_sum_of_squares(gradient, parameter.count)
        }.squareRoot()
    }
}

/// Memory of an optimizer, zero at first; what is never touched costs nothing.
final class OptimizerBuffer {
    let bytes: UnsafeMutableRawBufferPointer

    init(byteCount: Int) {
        guard let memory = calloc(Swift.max(byteCount, 1), 1) else {
            // Nothing from outside reaches this: the run's memory has been estimated and told.
            fatalError("out of memory: the system gave no \(byteCount) bytes")
        }
        bytes = UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
    }

    convenience init(floats: Int) { self.init(byteCount: floats * 4) }

    deinit { free(bytes.baseAddress) }

    var floats: UnsafeMutablePointer<Float>? { bytes.bindMemory(to: Float.self).baseAddress }
    var codes: UnsafeMutablePointer<UInt8>? { bytes.bindMemory(to: UInt8.self).baseAddress }
}
