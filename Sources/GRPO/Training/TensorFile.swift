internal import Qwen2
internal import SafeTensors

/// Named tensors in memory, written to a safetensors file and read back into the same memory.
enum TensorFile {
    /// Writes the tensors, synced, under a temporary name and then its own; the file is gone when that fails.
    static func write(_ tensors: [OptimizerTensor], to path: String) throws {
        var byName: [String: AlignedBuffer] = [:]
        for tensor in tensors { byName[tensor.name] = tensor.buffer }
        let file = try SafeTensorsWriter(
            creating: path, tensors: tensors.map { SafeTensorsWriter.Tensor(name: $0.name, type: $0.type, shape: $0.shape) })
        while let next = file.next {
            guard let buffer = byName[next.name] else { throw FileError(path: path, message: "has an unknown tensor \(next.name)") }
            try file.append(UnsafeRawBufferPointer(buffer.bytes))
        }
        try file.finish()
    }

    /// Fills the tensors from a file, which must have each of them in the same shape and type.
    static func read(_ tensors: [OptimizerTensor], from path: String) throws {
        let file = try SafeTensorsFile(opening: path)
        try file.checkSize()
        for tensor in tensors {
            guard let found = file.tensor(named: tensor.name) else {
                throw FileError(path: path, message: "has no tensor \(tensor.name): it was written with another optim or model")
            }
            guard found.type == tensor.type, found.shape == tensor.shape else {
                throw FileError(
                    path: path,
                    message: "\(tensor.name) is \(found.type) \(found.shape), expected \(tensor.type) \(tensor.shape): another optim or model")
            }
            file.withBytes(of: found) { tensor.buffer.bytes.copyMemory(from: $0) }
        }
    }
}
