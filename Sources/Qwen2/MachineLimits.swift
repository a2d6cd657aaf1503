import CKernels

/// What this machine can do at most, measured: what a forward or a decode is compared with.
public struct MachineLimits: Sendable {
    /// Floating-point operations a second of all threads, with the instruction that the matrix products use.
    public let flops: Double
    /// Bytes a second that all threads read from memory.
    public let bandwidth: Double

    /// Measures both; takes less than a second.
    public static func measured() -> MachineLimits { MachineLimits(flops: ck_peak_flops(), bandwidth: ck_read_bandwidth()) }

    /// The mean of each.
    public func mean(with other: MachineLimits) -> MachineLimits {
        MachineLimits(flops: (flops + other.flops) / 2, bandwidth: (bandwidth + other.bandwidth) / 2)
    }
}
