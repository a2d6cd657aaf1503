import Checkpoints

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Cosines and sines of the rotary embedding, [position][headSize / 2], as transformers computes them in FP32 (Su et al. 2021).
final class RotaryTable {
    private(set) var positions = 0
    private var cosines = AlignedBuffer(floats: 0)
    private var sines = AlignedBuffer(floats: 0)
    private let inverseFrequencies: [Float]

    init(_ parameters: RotaryParameters, headSize: Int) {
        let divisors = parameters.divisors(headSize: headSize)
        inverseFrequencies = (0..<headSize / 2).map { 1 / powf(Float(parameters.theta), Float(2 * $0) / Float(headSize)) / (divisors?[$0] ?? 1) }
    }

    /// The tables, with at least `count` positions.
    func tables(positions count: Int) -> (cosine: UnsafeMutablePointer<Float>, sine: UnsafeMutablePointer<Float>) {
        if count > positions {
            positions = max(count, 2 * positions)
            let half = inverseFrequencies.count
            cosines = AlignedBuffer(floats: positions * half)
            sines = AlignedBuffer(floats: positions * half)
            for position in 0..<positions {
                for (i, frequency) in inverseFrequencies.enumerated() {
                    let angle = Float(position) * frequency
                    cosines.floats[position * half + i] = cosf(angle)
                    sines.floats[position * half + i] = sinf(angle)
                }
            }
        }
        return (cosines.floats, sines.floats)
    }
}
