import CKernels
import Testing

extension Kernels {
    /// What they measure is for the bench; that they measure something is for a test.
    @Suite struct Limits {
        @Test func arithmeticIsARateUnderEverySet() {
            underEverySet { _ in
                let rate = ck_peak_flops()
                #expect(rate.isFinite && rate > 1e8)
            }
        }

        /// Nothing, less than a vector, less than a line, and more than a thread reads at a time.
        @Test(arguments: [1, 2] as [Int32]) func readingIsARateWhateverThePiecesAre(threads: Int32) {
            let sizes = [0, 7, 255, 256, (1 << 18) + 1, 3 << 20], memory = UnsafeMutableRawPointer.allocate(byteCount: 3 << 20, alignment: 64)
            defer { memory.deallocate() }
            memory.initializeMemory(as: UInt8.self, repeating: 1, count: 3 << 20)
            with(threads: threads) {
                underEverySet { _ in
                    let rate = ck_read_bandwidth(sizes.map { ck_piece(memory: memory, bytes: $0) }, sizes.count)
                    #expect(rate.isFinite && rate > 1e6)
                    #expect(ck_read_bandwidth([ck_piece(memory: nil, bytes: 0)], 1) == 0)
                }
            }
        }
    }
}
