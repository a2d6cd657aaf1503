import Checkpoints

extension Qwen2Model {
    /// Fills the parameters from a checkpoint, slices of rows on all threads: reading, packing and being given fresh memory each keep a core busy.
    static func load(_ parameters: [Parameter], from checkpoint: Checkpoint) throws(CheckpointError) {
        let slices = parameters.flatMap { parameter in parameter.slices.map { (parameter: parameter, rows: $0) } }
        try concurrently(slices.count) { index throws(CheckpointError) in
            try slices[index].parameter.load(slices[index].rows, from: checkpoint)
        }
        for parameter in parameters { parameter.publishMaster() }
    }
}

/// Memory for as long as `body` runs; the allocator keeps it for the next call.
func withTemporaryBuffer<Result>(
    byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws(CheckpointError) -> Result
) throws(CheckpointError) -> Result {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    defer { buffer.deallocate() }
    return try body(buffer)
}
