import CKernels

/// What this machine can do at most, measured: what a forward or a decode is compared with.
public struct MachineLimits: Sendable {
    /// Floating-point operations a second of all threads, with the instruction that the matrix products use.
    public let flops: Double
    /// Bytes a second that all threads read from memory.
    public let bandwidth: Double

    /// Measures both; takes less than a second.
    public static func measured() -> MachineLimits { MachineLimits(flops: ck_peak_flops(), bandwidth: ck_read_bandwidth()) }

    /// The larger of each: a virtual machine's cores are a core's two threads at times.
    public func larger(or other: MachineLimits) -> MachineLimits {
        MachineLimits(flops: max(flops, other.flops), bandwidth: max(bandwidth, other.bandwidth))
    }
}
