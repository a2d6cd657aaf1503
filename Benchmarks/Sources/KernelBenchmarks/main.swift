import CKernels

// KernelBenchmarks [WORD ...]: every kernel whose name or shape contains a word.
let words = Array(CommandLine.arguments.dropFirst())

/// To the right of its column where the width is negative.
func column(_ text: String, _ width: Int) -> String {
    let padding = String(repeating: " ", count: max(0, abs(width) - text.count))
    return width < 0 ? padding + text : text + padding
}

func number(_ value: Double) -> String {
    let digits = value >= 100 ? 1.0 : value >= 1 ? 100 : 10000
    return "\((value * digits).rounded() / digits)"
}

// Kernels show their least time, so the limits are the best of several as well. A gigabyte does not fit into a server's third-level cache.
let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 30, alignment: 2 << 20)
_ = memory.initializeMemory(as: UInt8.self, repeating: 1)
let peak = (0..<8).map { _ in ck_peak_flops() }.reduce(0, max)
let bandwidth = (0..<8).map { _ in ck_read_bandwidth([ck_piece(memory: memory.baseAddress, bytes: memory.count)], 1) }.reduce(0, max)
memory.deallocate()
print(
    "\(String(cString: ck_isa_name(ck_isa()))), \(ck_threads()) threads: at most \(number(peak / 1e9)) GFLOP/s, \(number(bandwidth / 1e9)) GB/s")
print(
    column("kernel", 24) + column("shape", 30) + column("ms", -10) + column("GFLOP/s", -10) + column("of peak", -9) + column("GB/s", -9)
        + column("of limit", -10))
for family in [forwardProducts, floatProducts, backwardProducts, quantizedProducts, attention, rowOperations] {
    for kernel in family() where words.isEmpty || words.contains(where: { kernel.name.contains($0) || kernel.shape.contains($0) }) {
        let seconds = kernel.seconds()
        print(
            column(kernel.name, 24) + column(kernel.shape, 30) + column(number(seconds * 1e3), -10)
                + column(number(kernel.operations / seconds / 1e9), -10) + column("\(Int(100 * kernel.operations / seconds / peak)) %", -9)
                + column(number(kernel.bytes / seconds / 1e9), -9) + column("\(Int(100 * kernel.bytes / seconds / bandwidth)) %", -10))
    }
}
