internal import Checkpoints
internal import JSON
internal import Logging
internal import Qwen2
internal import SafeTensors

/// `checkpoint-N/`: the model as Hugging Face lays it out, and everything that a run needs to go on as if it had never stopped:
/// `trainer_state.json`, `optimizer.safetensors` (moments, log-probs of the present generation batch), `rollouts.jsonl` (that batch),
/// `masters.safetensors` where the model's own file has the FP32 weights rounded, and `reference.safetensors` when the reference follows the policy.
/// With LoRA the model is the adapter, in PEFT's format, whose file has its FP32 weights.
extension GRPOTrainer {
    private static let optimizerFile = "optimizer.safetensors"
    private static let rolloutsFile = "rollouts.jsonl"
    private static let referenceFile = "reference.safetensors"
    /// The file with the weights to the last bit.
    private var mastersFile: String {
        policy.model.adapter != nil ? "adapter_model.safetensors" : configuration.dtype == .float32 ? "model.safetensors" : "masters.safetensors"
    }

    /// Writes `checkpoint-N` into the run's directory and removes the oldest beyond `save_total_limit`.
    /// - Returns: its path.
    func saveCheckpoint(in directory: String) throws -> String {
        let path = "\(directory)/\(CheckpointName(step: state.step))"
        try WholeDirectory.create(path) { partial in
            try writeModel(into: partial) { self.progress(.saving(path: path, bytes: $0, of: $1)) }
            guard !configuration.savesOnlyModel else { return }
            let kept = queue.first?.batch
            try TensorFile.write(optimizer.state + (kept.map(logps) ?? []).map(\.tensor), to: "\(partial)/\(Self.optimizerFile)")
            let lines = (kept?.rollouts ?? []).map { JSONValue.object($0.json).serialized() + "\n" }.joined()
            try WholeFile.write(Array(lines.utf8), to: "\(partial)/\(Self.rolloutsFile)")
            if mastersFile == "masters.safetensors" { try writeWeights(of: policy.model, as: .float32, to: "\(partial)/\(mastersFile)") }
            if configuration.syncsReference, case .model(let reference) = reference {
                let type: ElementType = reference.computeType == .float32 ? .float32 : .bfloat16
                try writeWeights(of: reference, as: type, to: "\(partial)/\(Self.referenceFile)")
            }
            var state = state
            state.counts = kept?.counts ?? []
            state.queued = kept.map { $0.microBatches(plan).count } ?? 0
            state.consumed = state.queued - queue.count
            (state.entropyCoefficient, state.lastEntropy) = (entropy.coefficient, entropy.lastEntropy)
            (state.optimizerSteps, state.metrics) = (optimizer.steps, metrics)
            (state.maxSteps, state.epoch) = (plan.totalSteps, epoch)
            state.configuration = configuration.resolvedYAML
            try WholeFile.write(Array(JSONValue.object(state.json).serialized(pretty: true).utf8), to: "\(partial)/\(TrainerState.fileName)")
        }
        if let limit = configuration.saveTotalLimit {
            let best = configuration.loadsBestModel ? state.best?.step : nil
            for old in try CheckpointName.all(in: directory).dropLast(limit) where old.step != best {
                try WholeDirectory.remove("\(directory)/\(old)")
            }
        }
        return path
    }

    /// Writes the model into the run's directory: the last one, or with `load_best_model_at_end` that of the best evaluation.
    func saveFinalModel(in directory: String) throws {
        func report(_ bytes: Int, _ total: Int) { progress(.saving(path: directory, bytes: bytes, of: total)) }
        guard configuration.loadsBestModel, let best = state.best, best.step != state.step else {
            return try writeModel(into: directory, progress: report)
        }
        let path = "\(directory)/\(CheckpointName(step: best.step))"
        if policy.model.adapter != nil {
            try readWeights(of: policy.model, from: "\(path)/\(mastersFile)")
            try writeModel(into: directory, progress: report)
        } else {
            try writer.write(into: directory, from: try Checkpoint(opening: path), progress: report)
        }
    }

    /// Writes the policy, which is its adapter where it has one.
    private func writeModel(into directory: String, progress: (Int, Int) -> Void) throws {
        if let adapter = policy.model.adapter {
            let writer = LoRAAdapterWriter(configuration: adapter.configuration, companions: policy.companions)
            try writer.write(into: directory, from: adapter, progress: progress)
        } else {
            try writer.write(into: directory, from: policy.model, progress: progress)
        }
    }

    /// Goes on where a checkpoint was written: weights, moments, generation batch, schedule, order of the data, entropy bonus, metrics.
    /// - Throws: an error naming what is missing or does not fit this run.
    func restore(from path: String) throws {
        let found = try TrainerState(contentsOf: "\(path)/\(TrainerState.fileName)")
        try check(found, path: path)
        let rollouts = found.queued == 0 ? [] : try Rollout.read(contentsOf: "\(path)/\(Self.rolloutsFile)")
        guard rollouts.count == (found.queued == 0 ? 0 : plan.generationBatchSize), found.counts.count == rollouts.count,
            found.consumed <= found.queued
        else {
            throw FileError(path: path, message: "has \(rollouts.count) rollouts, expected \(plan.generationBatchSize): the checkpoint is damaged")
        }
        let batch = GenerationBatch(rollouts: rollouts, counts: found.counts, oldLogps: nil, referenceLogps: nil, tape: nil)
        let tensors = rollouts.isEmpty ? [] : logps(batch)
        try TensorFile.read(optimizer.state + tensors.map(\.tensor), from: "\(path)/\(Self.optimizerFile)")
        try readWeights(of: policy.model, from: "\(path)/\(mastersFile)")
        if configuration.syncsReference, case .model(let reference) = reference {
            try readWeights(of: reference, from: "\(path)/\(Self.referenceFile)")
        }
        if !rollouts.isEmpty {
            for tensor in tensors { tensor.fill(batch) }
            queue = Array(batch.microBatches(plan).dropFirst(found.consumed))
        }
        for _ in 0..<found.generations { _ = source.next() }
        optimizer.steps = found.optimizerSteps
        entropy = AdaptiveEntropy(coefficient: found.entropyCoefficient, lastEntropy: found.lastEntropy)
        metrics = found.metrics
        state = found
    }

    /// Refuses a checkpoint of a run that was configured to do something else.
    private func check(_ found: TrainerState, path: String) throws {
        var earlier = GRPOConfiguration()
        _ = try earlier.read(yaml: found.configuration, source: "\(path)/\(TrainerState.fileName)")
        let fixed = [
            "dtype", "seed", "shuffle_dataset", "num_generations", "per_device_train_batch_size", "gradient_accumulation_steps",
            "steps_per_generation",
            "generation_batch_size", "num_iterations", "optim", "optim_args", "max_completion_length", "sync_ref_model", "zero_std_groups",
            "use_peft", "lora_r", "lora_alpha", "lora_target_modules", "use_rslora",
        ]
        for field in GRPOConfiguration.fields {
            let (was, present) = (field.yaml(earlier), field.yaml(configuration))
            guard was != present, field.name != "resume_from_checkpoint" else { continue }
            guard !fixed.contains(field.name) else {
                throw ConfigurationError(
                    source: path, message: "was written with \(field.name): \(was), now it is \(present): set it back, or begin anew")
            }
            logger.notice("\(field.name) was \(was) when \(path) was written, now it is \(present)")
        }
        guard found.step <= plan.totalSteps else {
            throw ConfigurationError(source: path, message: "has taken \(found.step) steps, more than the \(plan.totalSteps) of this run")
        }
    }

    /// Log-probs of a generation batch, all completions' tokens in a row.
    private func logps(_ batch: GenerationBatch) -> [LogpTensor] {
        let counts = batch.rollouts.map(\.ids.count)
        var tensors: [LogpTensor] = []
        if plan.needsOldLogps { tensors.append(LogpTensor("rollouts.old_logps", batch.oldLogps, counts) { $0.oldLogps = $1 }) }
        if configuration.beta != 0 { tensors.append(LogpTensor("rollouts.reference_logps", batch.referenceLogps, counts) { $0.referenceLogps = $1 }) }
        return tensors
    }

    private func writeWeights(of model: Qwen2Model, as type: ElementType, to path: String) throws {
        let file = try SafeTensorsWriter(
            creating: path,
            tensors: model.parameters.map { SafeTensorsWriter.Tensor(name: $0.name, type: type == .float32 ? .f32 : .bf16, shape: $0.shape) })
        while let next = file.next {
            let rowLength = next.shape.dropFirst().reduce(1, *)
            let step = max(1, (1 << 20) / rowLength)
            let buffer = AlignedBuffer(byteCount: min(step, next.shape[0]) * rowLength * type.byteCount)
            for first in stride(from: 0, to: next.shape[0], by: step) {
                let rows = first..<min(first + step, next.shape[0])
                let bytes = UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[..<(rows.count * rowLength * type.byteCount)])
                try model.read(next.name, rows: rows, as: type, into: bytes)
                try file.append(UnsafeRawBufferPointer(bytes))
            }
        }
        try file.finish()
    }

    private func readWeights(of model: Qwen2Model, from path: String) throws {
        let file = try SafeTensorsFile(opening: path)
        try file.checkSize()
        try model.replaceWeights { name, rows, numbers in
            guard let tensor = file.tensor(named: name), let rowCount = tensor.shape.first, rows.upperBound <= rowCount,
                tensor.type == .f32 || tensor.type == .bf16, tensor.shape.dropFirst().reduce(1, *) * rows.count == numbers.count
            else { throw FileError(path: path, message: "has no tensor \(name) that fits the model") }
            let start = rows.lowerBound * (numbers.count / rows.count)
            file.withBytes(of: tensor) { bytes in
                for i in numbers.indices {
                    numbers[i] =
                        tensor.type == .f32
                        ? bytes.loadUnaligned(fromByteOffset: (start + i) * 4, as: Float.self)
                        : Float(bitPattern: UInt32(bytes.loadUnaligned(fromByteOffset: (start + i) * 2, as: UInt16.self)) << 16)
                }
            }
        }
    }
}

/// Log-probs of every completion of a batch as one tensor.
private final class LogpTensor {
    private let name: String
    private let counts: [Int]
    private let buffer: AlignedBuffer
    private let set: (GenerationBatch, [[Float]]) -> Void

    init(_ name: String, _ logps: [[Float]]?, _ counts: [Int], _ set: @escaping (GenerationBatch, [[Float]]) -> Void) {
        self.name = name
        self.counts = counts
        self.set = set
        buffer = AlignedBuffer(floats: counts.reduce(0, +))
        if let logps { for (i, logp) in logps.joined().enumerated() { buffer.floats[i] = logp } }
    }

    var tensor: OptimizerTensor { OptimizerTensor(name: name, type: .f32, shape: [buffer.bytes.count / 4], buffer: buffer) }

    /// Gives a batch the numbers that were read.
    func fill(_ batch: GenerationBatch) {
        var all = Array(buffer.bytes.bindMemory(to: Float.self))[...]
        set(
            batch,
            counts.map { count in
                defer { all = all.dropFirst(count) }
                return Array(all.prefix(count))
            })
    }
}

/// The name of a checkpoint's directory.
struct CheckpointName: CustomStringConvertible {
    let step: Int
    var description: String { "checkpoint-\(step)" }

    init(step: Int) { self.step = step }

    init?(_ name: String) {
        guard name.hasPrefix("checkpoint-"), let step = Int(name.dropFirst(11)), step >= 0, "checkpoint-\(step)" == name else { return nil }
        self.step = step
    }

    /// Those in a run's directory, by step.
    static func all(in directory: String) throws(FileError) -> [CheckpointName] {
        try WholeDirectory.names(in: directory).compactMap { CheckpointName($0) }.sorted { $0.step < $1.step }
    }
}
