public import JSON
internal import SafeTensors

/// Writes a LoRA adapter as PEFT does: adapter_model.safetensors in FP32, adapter_config.json, and the files that text needs.
public struct LoRAAdapterWriter {
    private let configuration: JSONValue
    private let companions: [(name: String, bytes: [UInt8])]

    /// A writer of that adapter_config.json and those files.
    public init(configuration: JSONValue, companions: [(name: String, bytes: [UInt8])]) {
        self.configuration = configuration
        self.companions = companions
    }

    /// Writes into an existing directory, file by file, each under a temporary name, synced, renamed.
    /// - Parameter tensors: A and B of every layer under PEFT's names.
    public func write(into directory: String, from tensors: some TensorProvider, progress: (Int, Int) -> Void = { _, _ in }) throws(CheckpointError) {
        for (name, bytes) in companions { try Self.write(bytes, to: "\(directory)/\(name)") }
        let total = tensors.tensors.reduce(0) { $0 + $1.count * 4 }
        var done = 0
        progress(0, total)
        let file = try CheckpointError.wrapping { () throws(SafeTensorsError) in
            try SafeTensorsWriter(
                creating: "\(directory)/adapter_model.safetensors",
                tensors: tensors.tensors.map { SafeTensorsWriter.Tensor(name: $0.name, type: .f32, shape: $0.shape) })
        }
        while let next = file.next {
            let numbers = UnsafeMutableRawBufferPointer.allocate(byteCount: next.byteCount, alignment: 64)
            defer { numbers.deallocate() }
            try tensors.read(next.name, rows: 0..<(next.shape.first ?? 1), as: .float32, into: numbers)
            try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.append(UnsafeRawBufferPointer(numbers)) }
            done += numbers.count
            progress(done, total)
        }
        try CheckpointError.wrapping { () throws(SafeTensorsError) in try file.finish() }
        // Last: a directory that has it is an adapter.
        try Self.write(Array((configuration.serialized(pretty: true) + "\n").utf8), to: "\(directory)/adapter_config.json")
    }

    private static func write(_ bytes: [UInt8], to path: String) throws(CheckpointError) {
        try CheckpointError.wrapping { () throws(SafeTensorsError) in
            let file = try AtomicFile(creating: path)
            try file.write(bytes)
            try file.commit()
        }
    }
}
