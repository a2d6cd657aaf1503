internal import CKernels
internal import Qwen2
internal import SafeTensors

/// Stochastic gradient descent in PyTorch's arithmetic.
final class SGD: Optimizer {
    /// What `optim_args` says: `momentum=0.9, dampening=0, nesterov=true`.
    struct Settings {
        private(set) var momentum = 0.0
        private(set) var dampening = 0.0
        private(set) var isNesterov = false
        let configuration: GRPOConfiguration

        init(_ configuration: GRPOConfiguration) throws(ConfigurationError) {
            self.configuration = configuration
            for setting in (configuration.optimizerArguments ?? "").split(separator: ",") {
                let pair = setting.split(separator: "=", maxSplits: 1).map { $0.filter { $0 != " " } }
                let raw = RawValue.scalar(pair.count == 2 ? pair[1] : "", quoted: false)
                switch (pair.first, Double(raw: raw), Bool(raw: raw)) {
                case ("momentum", let number?, _) where number >= 0 && number < 1: momentum = number
                case ("dampening", let number?, _) where number >= 0 && number < 1: dampening = number
                case ("nesterov", _, let truth?): isNesterov = truth
                default:
                    throw ConfigurationError(
                        message: "optim_args: found '\(setting)', expected momentum=0.9, dampening=0.0 (0 to less than 1) or nesterov=true")
                }
            }
            guard !isNesterov || momentum > 0 && dampening == 0 else {
                throw ConfigurationError(message: "optim_args: nesterov needs a momentum and no dampening")
            }
        }
    }

    var steps = 0
    private let parameters: [Parameter]
    private let settings: Settings
    private let momenta: [AlignedBuffer?]

    init(_ parameters: [Parameter], _ settings: Settings) {
        self.parameters = parameters
        self.settings = settings
        momenta = parameters.map { settings.momentum == 0 ? nil : AlignedBuffer(floats: $0.count) }
    }

    /// Under torch's name; nothing without momentum.
    var state: [OptimizerTensor] {
        zip(parameters, momenta).compactMap { parameter, momentum in
            momentum.map { OptimizerTensor(name: parameter.name + ".momentum_buffer", type: .f32, shape: parameter.shape, buffer: $0) }
        }
    }

    func step(learningRate: Double, gradientScale: Double) {
        steps += 1
        for (parameter, momentum) in zip(parameters, momenta) {
            guard let master = parameter.master, let gradient = parameter.gradient?.baseAddress else { continue }
            let step = ck_sgd_step(
                learning_rate: learningRate, momentum: settings.momentum, dampening: settings.dampening,
                weight_decay: settings.configuration.weightDecay(of: parameter), gradient_scale: gradientScale,
                is_nesterov: settings.isNesterov ? 1 : 0,
                is_first: steps == 1 ? 1 : 0)
            ck_sgd(master, momentum?.floats, gradient, step)
            parameter.publishMaster()
        }
    }
}
