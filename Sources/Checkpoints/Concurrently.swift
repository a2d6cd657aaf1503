internal import CKernels
internal import Synchronization

/// Calls `body` with every number below `count`, from all threads of the kernels; calls for different numbers touch different memory.
///
/// Of several errors the one of the lowest number is thrown, so that the same work fails the same way.
package func concurrently<Failure: Error>(_ count: Int, _ body: (Int) throws(Failure) -> Void) throws(Failure) {
    let failure = Mutex<(index: Int, error: Failure)?>(nil)
    let task = { (index: Int) in
        guard failure.withLock({ $0.map { $0.index > index } ?? true }) else { return }
        do throws(Failure) {
            try body(index)
        } catch {
            failure.withLock { if $0.map({ $0.index > index }) ?? true { $0 = (index, error) } }
        }
    }
    withoutActuallyEscaping(task) { task in
        withUnsafePointer(to: task) { task in
            ck_parallel_for(
                count, { context, index in context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index) },
                UnsafeMutableRawPointer(mutating: task))
        }
    }
    if let failure = failure.withLock({ $0 }) { throw failure.error }
}
