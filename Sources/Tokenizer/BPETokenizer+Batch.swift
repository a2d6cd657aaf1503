internal import Dispatch
internal import Synchronization

extension BPETokenizer {
    /// The ids of many texts, in order, on several threads; see `encode`. The result does not depend on their number.
    public func encode(
        batch texts: [String], allowSpecial: Bool = true, addSpecialTokens: Bool = false, truncation: Truncation? = nil, threads: Int? = nil
    ) throws(TokenizerError) -> [[Int32]] {
        let results = Mutex<[Result<[Int32], TokenizerError>?]>([Result<[Int32], TokenizerError>?](repeating: nil, count: texts.count))
        let next = Atomic<Int>(0)
        @Sendable func work() {
            while true {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < texts.count else { return }
                let result = Result { () throws(TokenizerError) in
                    try encode(texts[index], allowSpecial: allowSpecial, addSpecialTokens: addSpecialTokens, truncation: truncation)
                }
                results.withLock { $0[index] = result }
            }
        }
        let workers = min(threads ?? .max, texts.count)
        if workers <= 1 { work() } else { DispatchQueue.concurrentPerform(iterations: min(workers, 64)) { _ in work() } }
        var ids: [[Int32]] = []
        for result in results.withLock({ $0 }) { if let result { ids.append(try result.get()) } }
        return ids
    }
}
