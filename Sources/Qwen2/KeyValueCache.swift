/// Keys and values of everything that is being generated: per layer one array of places, in the compute type.
///
/// Memory that no token has reached yet is only promised by the system, so the capacity may be generous.
final class KeyValueCache {
    let stores: [KeyValueStore]
    private let placeBytes: Int
    private let buffers: [AlignedBuffer]
    private let memory: SpareMemory
    private var used = 0

    init(model: Qwen2Model, capacity: Int) {
        placeBytes = model.keyWidth * model.computeType.byteCount
        let bytes = capacity * placeBytes
        let memory = model.workspace.spare
        self.memory = memory
        let buffers = model.layers.map { _ in (memory.take(byteCount: bytes), memory.take(byteCount: bytes)) }
        self.buffers = buffers.flatMap { [$0.0, $0.1] }
        stores = buffers.map { KeyValueStore(keys: $0.0.pointer, values: $0.1.pointer) }
    }

    deinit { memory.give(buffers) }

    /// The first of `count` places that nobody else uses.
    func reserve(_ count: Int) -> Int {
        used += count
        return used - count
    }

    /// Copies the keys and values of `count` consecutive places.
    func copy(_ count: Int, from: Int, to: Int) {
        for store in stores { store.copy(count * placeBytes, from: from * placeBytes, to: to * placeBytes) }
    }
}
