import CKernels
import Foundation
import JSON
import SafeTensors
import Testing

@testable import GRPO
@testable import Qwen2

/// Steps of the optimizers on one matrix (Goldens/optimizers.safetensors, made by scripts/goldens/optimizers.py).
@Suite struct OptimizerTests {
    private let golden: SafeTensorsFile

    init() throws {
        let path = try #require(Bundle.module.path(forResource: "Goldens/optimizers", ofType: "safetensors"))
        golden = try SafeTensorsFile(opening: path)
    }

    private func numbers<Number>(_ name: String, as: Number.Type) throws -> [Number] {
        let tensor = try #require(golden.tensor(named: name))
        return golden.withBytes(of: tensor) { bytes in
            stride(from: 0, to: bytes.count, by: MemoryLayout<Number>.size).map { bytes.loadUnaligned(fromByteOffset: $0, as: Number.self) }
        }
    }

    /// The matrix after four steps, and the optimizer.
    private func run(_ configuration: GRPOConfiguration, rate: Double, type: ComputeType = .float32) throws -> (
        weights: [Float], optimizer: any Optimizer
    ) {
        let start = try numbers("start", as: Float.self)
        let gradients = try numbers("gradients", as: Float.self)
        let parameter = Parameter(name: "w", shape: [17, 300], type: type, trainable: true)
        let master = try #require(parameter.master)
        let gradient = try #require(parameter.gradient)
        ck_master_write(master, start, 0, 17)
        let optimizer = try configuration.makeOptimizer([parameter])
        for step in 0..<4 {
            // Twice the gradient, halved by the clipping's scale.
            for i in start.indices { gradient[i] = gradients[step * start.count + i] * 2 }
            optimizer.step(learningRate: rate, gradientScale: 0.5)
        }
        var weights = [Float](repeating: 0, count: start.count)
        ck_master_read(master, &weights, 0, 17)
        return (weights, optimizer)
    }

    @Test(
        "SGD is torch's",
        arguments: [
            ("sgd", nil, 0.0), ("sgd-decay", nil, 0.05), ("sgd-momentum", "momentum=0.9", 0.05), ("sgd-dampening", "momentum=0.8, dampening=0.3", 0),
            ("sgd-nesterov", "momentum=0.9,nesterov=True", 0),
        ] as [(String, String?, Double)])
    func sgd(name: String, arguments: String?, decay: Double) throws {
        var configuration = GRPOConfiguration()
        configuration.optimizer = .sgd
        configuration.optimizerArguments = arguments
        configuration.weightDecay = decay
        let found = try run(configuration, rate: 0.1).weights
        let expected = try numbers(name, as: Float.self)
        #expect(found.count == expected.count)
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-6 * max(1, abs($1)) })
    }

    @Test("8-bit AdamW is bitsandbytes', to the moments' last code")
    func adamW8Bit() throws {
        var configuration = GRPOConfiguration()
        configuration.optimizer = .adamW8Bit
        (configuration.adamBeta2, configuration.adamEpsilon, configuration.weightDecay) = (0.99, 1e-6, 0.1)
        let (weights, optimizer) = try run(configuration, rate: 1e-2)
        let expected = try numbers("adamw_8bit", as: Float.self)
        let worst = zip(weights, expected).reduce(Float(0)) { max($0, abs($1.0 - $1.1)) }
        #expect(worst <= 1e-5, "\(worst)")
        let state = optimizer.state
        #expect(state.map(\.name) == ["w.state1", "w.state2", "w.absmax1", "w.absmax2"])
        for (tensor, name) in zip(state, ["state1", "state2"]) {
            let codes = try numbers(name, as: UInt8.self)
            // A moment half-way between two steps may fall on either side by its last bit.
            let other = zip(tensor.buffer.bytes, codes).count { $0 != $1 }
            #expect(tensor.buffer.bytes.count == codes.count && other <= 6, "\(other) of \(codes.count) codes of \(name) differ")
        }
    }

    @Test("masters kept as BF16 and low halves move as FP32 does", arguments: OptimizerKind.allCases)
    func packedMasters(kind: OptimizerKind) throws {
        var configuration = GRPOConfiguration()
        configuration.optimizer = kind
        let whole = try run(configuration, rate: 1e-2).weights
        let halves = try run(configuration, rate: 1e-2, type: .bfloat16).weights
        // A number on a tie is kept as its neighbour.
        #expect(zip(whole, halves).allSatisfy { abs($0 - $1) <= abs($0) * 3e-7 })
    }

    @Test("8-bit AdamW stays near the exact one")
    func nearExact() throws {
        var configuration = GRPOConfiguration()
        let exact = try run(configuration, rate: 1e-2).weights
        configuration.optimizer = .adamW8Bit
        let coarse = try run(configuration, rate: 1e-2).weights
        let start = try numbers("start", as: Float.self)
        let moved = zip(exact, start).reduce(0) { $0 + abs($1.0 - $1.1) }
        let off = zip(exact, coarse).reduce(0) { $0 + abs($1.0 - $1.1) }
        #expect(off < 0.2 * moved, "\(off / moved)")
        #expect(zip(coarse, start).prefix(256).allSatisfy { $0 == $1 }, "what has no gradient does not move")
    }

    @Test("optim_args that SGD does not have are told", arguments: ["momentum", "momentum=1", "beta=1", "nesterov=true", "=", ","])
    func badArguments(_ text: String) {
        var configuration = GRPOConfiguration()
        configuration.optimizer = .sgd
        configuration.optimizerArguments = text
        let found = failure { try configuration.validate() }
        #expect(text == "," ? found == "" : found.hasPrefix("optim_args: "), "\(found)")
    }

    @Test("learning rates are transformers', step by step")
    func schedules() throws {
        let path = try #require(Bundle.module.path(forResource: "Goldens/schedules", ofType: "json"))
        let cases = try #require(try JSONValue.parse(contentsOf: path).array)
        #expect(cases.count == 20)
        for golden in cases {
            let kind = try #require(golden["kind"]?.string.flatMap(LearningRateSchedule.Kind.init(rawValue:)))
            var configuration = GRPOConfiguration()
            let kwargs = try #require(golden["kwargs"])
            _ = try configuration.read(yaml: "lr_scheduler_kwargs: \(kwargs.serialized())", source: "test")
            let total = try #require(golden["total_steps"]?.int)
            let schedule = try LearningRateSchedule(
                kind: kind, peak: try #require(golden["peak"]?.double), warmupSteps: try #require(golden["warmup_steps"]?.double),
                arguments: configuration.learningRateArguments, totalSteps: total)
            let expected = try #require(golden["rates"]?.array).compactMap(\.double)
            let found = (0..<total).map(schedule.learningRate)
            #expect(zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 }, "\(kind) \(kwargs.serialized()): \(found), \(expected)")
        }
    }

    @Test("arguments that a schedule does not have are told")
    func badSchedules() {
        func problem(_ kind: LearningRateSchedule.Kind, _ yaml: String) -> String {
            failure {
                var configuration = GRPOConfiguration()
                configuration.learningRateSchedule = kind
                _ = try configuration.read(yaml: "lr_scheduler_kwargs: \(yaml)", source: "run.yaml")
                try configuration.validate()
            }
        }
        #expect(problem(.linear, "{min_lr: 0.1}") == "lr_scheduler_kwargs: found 'min_lr', expected nothing with lr_scheduler_type linear")
        #expect(problem(.cosine, "{num_cycles: x}").contains("num_cycles is \"x\", expected a number"))
        #expect(problem(.cosineWithMinimum, "null").contains("expected one of min_lr and min_lr_rate"))
        #expect(problem(.warmupStableDecay, "null").contains("expected num_decay_steps"))
        #expect(
            problem(.warmupStableDecay, "{num_decay_steps: 2, decay_type: log}").contains("decay_type is \"log\", expected linear, cosine or 1-sqrt"))
        #expect(problem(.polynomial, "{lr_end: 1}").contains("expected less than learning_rate"))
        #expect(problem(.cosine, "[1]").contains("expected a mapping of names to plain values, or null"))
        #expect(problem(.cosine, "'{\"num_cycles\": 1}'") == "")
    }
}
