import CKernels

/// A kernel in one shape: what one call costs, and the call.
struct Kernel {
    let name, shape: String
    /// Floating-point operations and bytes that one call needs at least: weights, inputs and outputs once.
    let operations, bytes: Double
    let run: () -> Void

    /// Seconds of the fastest of the calls that fit into half a second, at least three.
    func seconds() -> Double {
        let clock = ContinuousClock(), started = clock.now
        var best = Double.infinity
        var calls = 0
        while calls < 3 || clock.now - started < .milliseconds(500) {
            let began = clock.now
            run()
            best = min(best, (clock.now - began) / .seconds(1))
            calls += 1
        }
        return best
    }
}

/// `count` numbers between -1 and 1, as FP32 and as BF16. Never freed: a benchmark's memory ends with it.
func floats(_ count: Int) -> UnsafeMutablePointer<Float> {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count * 4 + 64, alignment: 64).bindMemory(to: Float.self, capacity: count)
    var state: UInt64 = 1
    for i in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        memory[i] = Float(Int32(truncatingIfNeeded: state >> 32)) * 0x1p-31
    }
    return memory
}

func halves(_ count: Int) -> UnsafeMutablePointer<UInt16> {
    let values = floats(count)
    defer { values.deallocate() }
    let memory = UnsafeMutableRawPointer.allocate(byteCount: count * 2 + 64, alignment: 64).bindMemory(to: UInt16.self, capacity: count)
    ck_f32_to_bf16(memory, values, count)
    return memory
}
