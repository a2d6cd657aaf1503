import CKernels
import Checkpoints
import Synchronization

extension Qwen2Model {
    /// Fills the parameters from a checkpoint, slices of rows on all threads: reading, packing and being given fresh memory each keep a core busy.
    static func load(_ parameters: [Parameter], from checkpoint: Checkpoint) throws(CheckpointError) {
        let slices = parameters.flatMap { parameter in parameter.slices.map { (parameter: parameter, rows: $0) } }
        // Of several failures the first slice's, so that the same checkpoint gives the same error.
        let failure = Mutex<(index: Int, error: CheckpointError)?>(nil)
        concurrently(slices.count) { index in
            guard failure.withLock({ $0.map { $0.index > index } ?? true }) else { return }
            do throws(CheckpointError) {
                try slices[index].parameter.load(slices[index].rows, from: checkpoint)
            } catch {
                failure.withLock { if $0.map({ $0.index > index }) ?? true { $0 = (index, error) } }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure.error }
        for parameter in parameters { parameter.publishMaster() }
    }
}

/// Calls `body` with every number below `count`, from all threads of the kernels; calls for different numbers touch different memory.
func concurrently(_ count: Int, _ body: (Int) -> Void) {
    withoutActuallyEscaping(body) { body in
        withUnsafePointer(to: body) { body in
            ck_parallel_for(
                count, { context, index in context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index) },
                UnsafeMutableRawPointer(mutating: body))
        }
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
