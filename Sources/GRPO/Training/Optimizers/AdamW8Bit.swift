internal import CKernels
internal import Qwen2
internal import SafeTensors

/// AdamW with moments of one byte and a scale for each 256 of them (Dettmers et al. 2022), as bitsandbytes has it.
final class AdamW8Bit: Optimizer {
    /// Parameters with fewer elements keep FP32 moments: they weigh nothing, and biases and norms want the precision.
    static let leastElements = 4096

    var steps = 0
    private let large: [(parameter: Parameter, moments: Moments)]
    private let small: AdamW
    /// Some rows of a matrix in FP32.
    private let scratch: AlignedBuffer
    private let configuration: GRPOConfiguration

    private struct Moments {
        let first, second, firstScales, secondScales: AlignedBuffer
        let blocks: Int

        init(_ count: Int) {
            blocks = (count + Int(CK_ADAMW_8BIT_BLOCK) - 1) / Int(CK_ADAMW_8BIT_BLOCK)
            (first, second) = (AlignedBuffer(byteCount: count), AlignedBuffer(byteCount: count))
            (firstScales, secondScales) = (AlignedBuffer(floats: blocks), AlignedBuffer(floats: blocks))
        }
    }

    init(_ parameters: [Parameter], _ configuration: GRPOConfiguration) {
        self.configuration = configuration
        large = parameters.filter { $0.count >= Self.leastElements }.map { ($0, Moments($0.count)) }
        scratch = AlignedBuffer(floats: large.compactMap { $0.parameter.master.map { ck_adamw_8bit_scratch($0) } }.max() ?? 0)
        small = AdamW(parameters.filter { $0.count < Self.leastElements }, configuration)
    }

    /// Under bitsandbytes' names; those of small parameters under torch's.
    var state: [OptimizerTensor] {
        large.flatMap { parameter, moments in
            [
                OptimizerTensor(name: parameter.name + ".state1", type: .u8, shape: parameter.shape, buffer: moments.first),
                OptimizerTensor(name: parameter.name + ".state2", type: .u8, shape: parameter.shape, buffer: moments.second),
                OptimizerTensor(name: parameter.name + ".absmax1", type: .f32, shape: [moments.blocks], buffer: moments.firstScales),
                OptimizerTensor(name: parameter.name + ".absmax2", type: .f32, shape: [moments.blocks], buffer: moments.secondScales),
            ]
        } + small.state
    }

    func step(learningRate: Double, gradientScale: Double) {
        steps += 1
        for (parameter, moments) in large {
            guard let master = parameter.master, let gradient = parameter.gradient?.baseAddress else { continue }
            let step = configuration.adamWStep(parameter, step: steps, learningRate: learningRate, gradientScale: gradientScale)
            ck_adamw_8bit(
                master, moments.first.codes, moments.second.codes, moments.firstScales.floats, moments.secondScales.floats, gradient, step,
                scratch.floats)
            parameter.publishMaster()
        }
        small.steps = steps - 1
        small.step(learningRate: learningRate, gradientScale: gradientScale)
    }
}
