/// Logits from which tokens were sampled, [rows][vocabulary] FP32, so that the backward pass need not make them again. The head writes them here.
final class KeptLogits {
    private let vocabulary, capacity: Int
    private var count = 0
    private let buffer: AlignedBuffer
    private let memory: SpareMemory

    /// Room for `capacity` rows.
    init(vocabulary: Int, capacity: Int, memory: SpareMemory) {
        (self.vocabulary, self.capacity, self.memory) = (vocabulary, capacity, memory)
        buffer = memory.take(byteCount: capacity * vocabulary * 4)
    }

    deinit { memory.give([buffer]) }

    /// The row at a place.
    func row(_ place: Int32) -> UnsafePointer<Float> { UnsafePointer(buffer.floats + Int(place) * vocabulary) }

    /// Where the next `count` rows go, and the first one's place; nil when there is no room.
    func room(for count: Int) -> (logits: UnsafeMutablePointer<Float>, place: Int32)? {
        guard count <= capacity - self.count else { return nil }
        defer { self.count += count }
        return (buffer.floats + self.count * vocabulary, Int32(self.count))
    }
}
