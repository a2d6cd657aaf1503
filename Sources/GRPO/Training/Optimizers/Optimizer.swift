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
    let buffer: AlignedBuffer
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
