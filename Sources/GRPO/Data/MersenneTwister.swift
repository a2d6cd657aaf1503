/// The generator MT19937 (Matsumoto and Nishimura, 1998), seeded as `torch.Generator().manual_seed(seed)` seeds it.
public struct MersenneTwister: Sendable {
    private static let size = 624
    private static let middle = 397

    private var state: [UInt32]
    private var index = MersenneTwister.size

    /// The generator of a seed; torch keeps its low 32 bits.
    public init(seed: UInt64) {
        state = [UInt32(truncatingIfNeeded: seed)]
        state.reserveCapacity(Self.size)
        for i in 1..<UInt32(Self.size) {
            let last = state[Int(i) - 1]
            state.append(1_812_433_253 &* (last ^ last >> 30) &+ i)
        }
    }

    /// The next 32 random bits.
    public mutating func next() -> UInt32 {
        if index == Self.size { refill() }
        var bits = state[index]
        index += 1
        bits ^= bits >> 11
        bits ^= bits << 7 & 0x9D2C_5680
        bits ^= bits << 15 & 0xEFC6_0000
        return bits ^ bits >> 18
    }

    private mutating func refill() {
        for i in 0..<Self.size {
            let joined = state[i] & 0x8000_0000 | state[(i + 1) % Self.size] & 0x7FFF_FFFF
            state[i] = state[(i + Self.middle) % Self.size] ^ joined >> 1 ^ (joined & 1 == 0 ? 0 : 0x9908_B0DF)
        }
        index = 0
    }

    /// A permutation of `0..<count`: `torch.randperm(count, generator:)` on the CPU, for fewer than 2^32 / 20 elements.
    public mutating func permutation(_ count: Int) -> [Int] {
        var result = Array(0..<count)
        // Fisher and Yates; torch takes the remainder, bias and all.
        for i in 0..<max(count - 1, 0) { result.swapAt(i, i + Int(next()) % (count - i)) }
        return result
    }
}
