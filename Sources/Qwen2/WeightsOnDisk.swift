import CKernels
import Checkpoints
import Synchronization

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The matrices of a `bfloat16` model that are still in its checkpoint only.
///
/// The first product with each of them reads its rows from the file, a few at a time, and forgets them, so that a first token does not wait for a
/// gigabyte of fresh memory, which virtual machines above all are slow to give. What is needed a second time is packed into memory, all of it at once.
final class WeightsOnDisk {
    private let checkpoint: Checkpoint
    /// Weak: it is the parameters that keep this object, until they leave the disk or their model goes.
    private let members: [Member]
    /// Names of the matrices that a product has read.
    private var used: Set<String> = []

    /// Bytes of rows that a thread reads at a time, at least four panels of them: the rows and their packed form stay in its caches.
    private static let sliceBytes = 256 << 10

    /// Matrices whose rows lie in the checkpoint as the kernels want them, as BF16 numbers.
    init(_ parameters: [Parameter], in checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
        members = parameters.map { Member(parameter: $0) }
    }

    private struct Member { weak var parameter: Parameter? }

    /// Whether a product may read these from the file; after that they are wanted in memory.
    func takeFirstUse(of outputs: ArraySlice<Linear.Output>) -> Bool {
        let names = outputs.map(\.weight.name)
        guard used.isDisjoint(with: names) else { return false }
        used.formUnion(names)
        return true
    }

    /// Packs every matrix into memory.
    func load() {
        let parameters = members.compactMap(\.parameter)
        for parameter in parameters { parameter.disk = nil }
        do throws(CheckpointError) {
            try Qwen2Model.load(parameters, from: checkpoint)
        } catch {
            Self.end(error)
        }
    }

    /// y[rows][outputs] = x[rows][inputs] Wᵀ + bias for every output. Each sum is the chain along K that it is with the packed matrix: the same bits.
    func multiply(_ outputs: ArraySlice<Linear.Output>, _ x: UnsafePointer<UInt16>, rows: Int) {
        let slices = outputs.flatMap { output in
            let step = max(64, Self.sliceBytes / (2 * output.weight.rowLength) / 16 * 16)
            return stride(from: 0, to: output.weight.rowCount, by: step).map {
                (output: output, rows: $0..<min($0 + step, output.weight.rowCount))
            }
        }
        concurrently(slices.count) { index in
            let (weight, bias, y) = slices[index].output
            let (part, inputs) = (slices[index].rows, weight.rowLength)
            let packedCount = ck_packed_count(part.count, inputs)
            withUnsafeTemporaryAllocation(byteCount: (part.count * inputs + packedCount) * 2, alignment: 64) { memory in
                guard let packed = memory.baseAddress?.assumingMemoryBound(to: UInt16.self) else { return }
                let read = packed + packedCount
                self.read(weight, part, into: read)
                ck_pack_rows(packed, read, 0, part.count, inputs)
                let bias = bias?.values.map { UnsafePointer($0.floats + part.lowerBound) }
                let output = ck_output(y: y + part.lowerBound, ldy: weight.rowCount, packed: packed, n: part.count, bias: bias)
                ck_matmul([output], 1, x, rows, inputs, 0)
            }
        }
    }

    /// Some rows of a matrix.
    func read(_ weight: Parameter, _ rows: Range<Int>, into out: UnsafeMutablePointer<UInt16>) {
        do throws(CheckpointError) {
            let bytes = UnsafeMutableRawBufferPointer(start: out, count: rows.count * weight.rowLength * 2)
            try checkpoint.read(weight.name, rows: rows, as: .bfloat16, into: bytes)
        } catch {
            Self.end(error)
        }
    }

    /// The file had all its bytes when it was opened: somebody has cut it short in place since, or the disk fails. Passes do not throw for that; the process
    /// ends with the line that says it.
    private static func end(_ error: CheckpointError) -> Never {
        ending.withLock { _ in
            var line = "Error: \(error)\n"
            line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
            exit(1)
        }
    }

    /// Held by the first thread that fails, so that there is one line.
    private static let ending = Mutex(())
}
