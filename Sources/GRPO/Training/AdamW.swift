internal import CKernels
internal import Qwen2

/// AdamW (Loshchilov and Hutter 2019) in PyTorch's arithmetic, over FP32 master weights. Biases and norms are not decayed, as in transformers.
final class AdamW {
    private let parameters: [Parameter]
    private var firstMoments: [[Float]]
    private var secondMoments: [[Float]]
    private var steps = 0

    init(_ parameters: [Parameter]) {
        self.parameters = parameters
        firstMoments = parameters.map { .init(repeating: 0, count: $0.count) }
        secondMoments = firstMoments
    }

    /// The Euclidean norm of all gradients together.
    func gradientNorm() -> Double {
        parameters.reduce(0.0) { sum, parameter in
            guard let gradient = parameter.gradient?.baseAddress else { return sum }
            return sum + ck_sum_of_squares(gradient, parameter.count)
        }.squareRoot()
    }

    /// Moves every parameter along its gradient times `gradientScale`, and makes the forward pass use the result.
    func step(_ configuration: GRPOConfiguration, learningRate: Double, gradientScale: Double) {
        steps += 1
        for (index, parameter) in parameters.enumerated() {
            guard let master = parameter.master, let gradient = parameter.gradient?.baseAddress else { continue }
            let decay = parameter.shape.count > 1 ? configuration.weightDecay : 0
            let step = ck_adamw_step(
                learning_rate: learningRate, beta1: configuration.adamBeta1, beta2: configuration.adamBeta2,
                epsilon: configuration.adamEpsilon, weight_decay: decay, gradient_scale: gradientScale,
                correction1: 1 - power(configuration.adamBeta1, steps), correction2: 1 - power(configuration.adamBeta2, steps))
            ck_adamw(master, &firstMoments[index], &secondMoments[index], gradient, step)
            parameter.publishMaster()
        }
    }

    private func power(_ base: Double, _ exponent: Int) -> Double {
        var (result, square, rest) = (1.0, base, exponent)
        while rest > 0 {
            if rest % 2 == 1 { result *= square }
            square *= square
            rest /= 2
        }
        return result
    }
}
