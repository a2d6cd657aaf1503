import CKernels

/// What this machine can do, measured: what a forward or a decode is compared with.
public struct MachineLimits: Sendable {
    /// Floating-point operations a second of all threads, with the instruction that the matrix products use.
    public let flops: Double
    /// Bytes a second that all threads read of a model's weights with nothing else to do.
    public let bandwidth: Double

    /// The mean of each.
    public func mean(with other: MachineLimits) -> MachineLimits {
        MachineLimits(flops: (flops + other.flops) / 2, bandwidth: (bandwidth + other.bandwidth) / 2)
    }
}

extension Qwen2Model {
    /// Measures both for half a second. Where other machines share this one's cores and memory no single moment is the limit: these are the means over
    /// the time, as what is compared with them is a mean over its own.
    public func machineLimits() -> MachineLimits {
        let weights = parameters.compactMap(\.forwardBytes).map { ck_piece(memory: $0.baseAddress, bytes: $0.count) }
        return MachineLimits(flops: Self.mean { ck_peak_flops() }, bandwidth: Self.mean { ck_read_bandwidth(weights, weights.count) })
    }

    /// What a rate, measured again and again for a quarter of a second, was altogether: measurements of equal work, so the harmonic mean.
    private static func mean(of rate: () -> Double) -> Double {
        let started = ContinuousClock.now
        var (count, time) = (0.0, 0.0)
        repeat {
            count += 1
            time += 1 / rate()
        } while ContinuousClock.now - started < .milliseconds(250)
        return count / time
    }
}
