/// Logits from which tokens were sampled, [tokens][vocabulary] FP32, so that the backward pass need not make them again.
final class KeptLogits {
    private let vocabulary, capacity: Int
    private var count = 0
    private let buffer: AlignedBuffer
    private let memory: SpareMemory

    /// Room for `capacity` tokens.
    init(vocabulary: Int, capacity: Int, memory: SpareMemory) {
        (self.vocabulary, self.capacity, self.memory) = (vocabulary, capacity, memory)
        buffer = memory.take(byteCount: capacity * vocabulary * 4)
    }

    deinit { memory.give([buffer]) }

    /// Keeps one token's logits and says where; nil when there is no room.
    func keep(_ logits: UnsafePointer<Float>) -> Int32? {
        guard count < capacity else { return nil }
        (buffer.floats + count * vocabulary).update(from: logits, count: vocabulary)
        defer { count += 1 }
        return Int32(count)
    }

    /// Copies the logits at some places, [places][vocabulary].
    func copy(_ places: ArraySlice<Int32>, into out: UnsafeMutablePointer<Float>) {
        for (i, place) in places.enumerated() { (out + i * vocabulary).update(from: buffer.floats + Int(place) * vocabulary, count: vocabulary) }
    }
}
