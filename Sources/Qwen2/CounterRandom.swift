/// Random numbers that are a function of what they are for, not of the order in which they are drawn: Philox4x32-10 (Salmon et al. 2011).
public struct CounterRandom: Sendable {
    private let seed: UInt64

    /// A family of random numbers.
    public init(seed: UInt64) { self.seed = seed }

    /// A number in [0, 1) with 53 random bits, for one token: the `stream` names the sequence, `generation` the round of sampling.
    public func uniform(stream: UInt64, generation: UInt32, position: UInt32) -> Double {
        let block = Self.philox(
            counter: (UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32), generation, position),
            key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
        let bits = UInt64(block.0) << 32 | UInt64(block.1)
        return Double(bits >> 11) * 0x1p-53
    }

    /// Ten rounds of Philox4x32.
    static func philox(counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)) -> (UInt32, UInt32, UInt32, UInt32) {
        var (c, k) = (counter, key)
        for _ in 0..<10 {
            let a = c.0.multipliedFullWidth(by: 0xD251_1F53)
            let b = c.2.multipliedFullWidth(by: 0xCD9E_8D57)
            c = (b.high ^ c.1 ^ k.0, b.low, a.high ^ c.3 ^ k.1, a.low)
            k = (k.0 &+ 0x9E37_79B9, k.1 &+ 0xBB67_AE85)
        }
        return c
    }
}
