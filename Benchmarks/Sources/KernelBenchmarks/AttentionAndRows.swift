import CKernels

private let (heads, keyHeads, size) = (14, 2, 64)

/// Attention of the 0.5B: a prompt, and decoding behind a shared prompt.
func attention() -> [Kernel] {
    func kernel(_ shape: String, _ keys: [ck_keys], places: Int) -> Kernel {
        let rows = keys.count, k = halves(places * keyHeads * size), v = halves(places * keyHeads * size)
        let q = floats(rows * heads * size), out = halves(rows * heads * size)
        let pairs = keys.reduce(0) { $0 + $1.n0 + $1.n1 }
        return Kernel(
            name: "attention", shape: shape, operations: 4 * Double(pairs * heads * size),
            bytes: Double(places * keyHeads * size * 4 + rows * heads * size * 6)
        ) { ck_attention(out, q, k, v, CK_BF16, keys, rows, heads, keyHeads, size) }
    }
    let prompt = (0..<512).map { ck_keys(start0: 0, n0: 0, start1: 0, n1: $0 + 1) }
    let decoding = [8, 32].map { count in (0..<count).map { ck_keys(start0: 0, n0: 300, start1: 300 + 64 * $0, n1: 64) } }
    return [kernel("prompt of 512", prompt, places: 512)]
        + decoding.map { kernel("\($0.count) x 1 behind 300, at 64", $0, places: 300 + 64 * $0.count) }
}

/// What is bounded by memory.
func rowOperations() -> [Kernel] {
    let (rows, hidden, intermediate, vocabulary) = (552, 896, 4864, 151_936)
    let x = floats(rows * hidden), weight = floats(hidden), normed = halves(rows * hidden)
    let gate = floats(rows * intermediate), up = floats(rows * intermediate), activated = halves(rows * intermediate)
    let logits = floats(32 * vocabulary), sums = floats(32), logprobs = floats(32), targets = [Int32](repeating: 7, count: 32)
    let count = 8192 * hidden, gradient = floats(count), first = floats(count), second = floats(count)
    for i in 0..<count { second[i] = abs(second[i]) }
    let packed = halves(ck_packed_count(8192, hidden)), low = halves(count)
    let master = ck_master(values: nil, packed: packed, low: low, rows: 8192, columns: hidden)
    let step = ck_adamw_step(
        learning_rate: 1e-6, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0, gradient_scale: 1, correction1: 1, correction2: 1)
    return [
        Kernel(name: "rmsnorm", shape: "\(rows) x \(hidden)", operations: Double(4 * rows * hidden), bytes: Double(6 * rows * hidden)) {
            ck_rmsnorm(normed, CK_BF16, x, weight, 1e-6, rows, hidden)
        },
        Kernel(
            name: "silu_mul", shape: "\(rows) x \(intermediate)", operations: Double(20 * rows * intermediate),
            bytes: Double(10 * rows * intermediate)
        ) { ck_silu_mul(activated, CK_BF16, gate, up, rows * intermediate) },
        Kernel(name: "log_softmax", shape: "32 x \(vocabulary)", operations: Double(20 * 32 * vocabulary), bytes: Double(4 * 32 * vocabulary)) {
            ck_log_softmax(logits, 32, vocabulary, 1, targets, sums, logprobs, nil)
        },
        Kernel(name: "adamw", shape: "8192 x \(hidden), split masters", operations: Double(14 * count), bytes: Double(28 * count)) {
            ck_adamw(master, first, second, gradient, step)
        },
    ]
}
