internal import CKernels
internal import Qwen2
internal import SafeTensors

/// AdamW (Loshchilov and Hutter 2019) in PyTorch's arithmetic.
final class AdamW: Optimizer {
    var steps = 0
    private let parameters: [Parameter]
    private let configuration: GRPOConfiguration
    private let moments: [(first: AlignedBuffer, second: AlignedBuffer)]

    init(_ parameters: [Parameter], _ configuration: GRPOConfiguration) {
        self.parameters = parameters
        self.configuration = configuration
        moments = parameters.map { (AlignedBuffer(floats: $0.count), AlignedBuffer(floats: $0.count)) }
    }

    /// Under torch's names.
    var state: [OptimizerTensor] {
        zip(parameters, moments).flatMap { parameter, moments in
            [
                OptimizerTensor(name: parameter.name + ".exp_avg", type: .f32, shape: parameter.shape, buffer: moments.first),
                OptimizerTensor(name: parameter.name + ".exp_avg_sq", type: .f32, shape: parameter.shape, buffer: moments.second),
            ]
        }
    }

    func step(learningRate: Double, gradientScale: Double) {
        steps += 1
        for (parameter, moments) in zip(parameters, moments) {
            guard let master = parameter.master, let gradient = parameter.gradient?.baseAddress else { continue }
            let step = configuration.adamWStep(parameter, step: steps, learningRate: learningRate, gradientScale: gradientScale)
            ck_adamw(master, moments.first.floats, moments.second.floats, gradient, step)
            parameter.publishMaster()
        }
    }
}
