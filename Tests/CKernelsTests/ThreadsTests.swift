import CKernels
import Foundation
import Synchronization
import Testing

extension Kernels {
    @Suite struct Threads {
        /// Counts the visits of every index, and runs a body there.
        final class Visits {
            let counts: UnsafeMutableBufferPointer<Int32>
            let body: @Sendable (Int) -> Void

            init(_ count: Int, body: @escaping @Sendable (Int) -> Void = { _ in }) {
                counts = .allocate(capacity: count)
                counts.initialize(repeating: 0)
                self.body = body
            }

            deinit { counts.deallocate() }

            func run() {
                let context = Unmanaged.passUnretained(self).toOpaque()
                ck_parallel_for(
                    counts.count,
                    { context, index in
                        guard let context else { return }
                        let visits = Unmanaged<Visits>.fromOpaque(context).takeUnretainedValue()
                        visits.counts[index] += 1
                        visits.body(index)
                    }, context)
            }

            /// The same in ranges, every one of which is counted at its first index in `lengths`.
            func run(most: Int, lengths: UnsafeMutablePointer<Int>) {
                self.lengths = lengths
                let context = Unmanaged.passUnretained(self).toOpaque()
                ck_parallel_ranges(
                    counts.count, most,
                    { context, first, end in
                        guard let context else { return }
                        let visits = Unmanaged<Visits>.fromOpaque(context).takeUnretainedValue()
                        for index in first..<end { visits.counts[index] += 1 }
                        visits.lengths?[first] = end - first
                    }, context)
            }

            private var lengths: UnsafeMutablePointer<Int>?

            func all(_ times: Int32) -> Bool { counts.allSatisfy { $0 == times } }
        }

        @Test func everyIndexRunsOnceWhateverTheNumberOfThreads() {
            for threads: Int32 in [1, 2, 3, 8, 1, 5, 2] {
                with(threads: threads) {
                    for count in [0, 1, 2, 3, 7, 64, 10_001] {
                        let visits = Visits(count)
                        for _ in 0..<20 { visits.run() }
                        #expect(visits.all(20))
                    }
                }
            }
        }

        @Test(arguments: [1, 3, 1_000_000])
        func rangesCoverEveryIndexOnceAndAreHalfAShareAtMost(most: Int) {
            for threads: Int32 in [1, 2, 5] {
                with(threads: threads) {
                    for count in [0, 1, 2, 14, 1001] {
                        let visits = Visits(count)
                        var lengths = [Int](repeating: 0, count: count)
                        visits.run(most: most, lengths: &lengths)
                        #expect(visits.all(1) && lengths.allSatisfy { $0 <= most })
                        if count > 1 {
                            let share = (count + Int(threads) - 1) / Int(threads)
                            #expect(lengths.allSatisfy { $0 <= max(1, share / 2) })
                        }
                    }
                }
            }
        }

        /// More indices than a share can number.
        @Test func rangesOfBillions() {
            final class Ranges: Sendable { let all = Mutex<[Range<Int>]>([]) }
            let ranges = Ranges(), count = 9 << 30 | 5
            with(threads: 2) {
                ck_parallel_ranges(
                    count, count,
                    { context, first, end in
                        guard let context else { return }
                        Unmanaged<Ranges>.fromOpaque(context).takeUnretainedValue().all.withLock { $0.append(first..<end) }
                    }, Unmanaged.passUnretained(ranges).toOpaque())
            }
            var next = 0
            for range in ranges.all.withLock({ $0 }).sorted(by: { $0.lowerBound < $1.lowerBound }) {
                #expect(range.lowerBound == next)
                next = range.upperBound
            }
            #expect(next == count)
        }

        /// Its first index waits for all the others.
        @Test func aThreadThatIsHeldUpLeavesItsShareToTheOthers() {
            with(threads: 2) {
                let others = Atomic(0), wereDone = Atomic(false), count = 100
                let visits = Visits(count) { index in
                    guard index == 0 else {
                        others.add(1, ordering: .releasing)
                        return
                    }
                    let deadline = ContinuousClock.now + .seconds(20)
                    while others.load(ordering: .acquiring) < count - 1 && ContinuousClock.now < deadline { usleep(100) }
                    wereDone.store(others.load(ordering: .acquiring) == count - 1, ordering: .releasing)
                }
                visits.run()
                #expect(visits.all(1) && wereDone.load(ordering: .acquiring))
            }
        }

        @Test func manyShortOperationsInARow() {
            with(threads: 3) {
                let visits = Visits(5)
                for _ in 0..<20_000 { visits.run() }
                #expect(visits.all(20_000))
            }
        }

        @Test func workersThatSleptWakeUp() {
            with(threads: 4) {
                let visits = Visits(1000)
                for _ in 0..<20 {
                    visits.run()
                    usleep(2000)
                }
                #expect(visits.all(20))
            }
        }

        @Test func theNumberOfThreadsStaysInItsBounds() {
            #expect(ck_threads() >= 1)
            with(threads: 0) { #expect(ck_threads() == 1) }
            with(threads: -5) { #expect(ck_threads() == 1) }
            with(threads: .max) { #expect(ck_threads() == 256) }
        }

        @Test func aTaskMayCallKernelsAskForThreadsAndSetThem() {
            let (m, n, k) = (70, 90, 64)
            var random = Random(10)
            let x = random.numbers(m * k, .bf16), matrix = Matrix(.bf16, n: n, k: k, &random)
            @Sendable func product() -> [UInt32] { matrix.multiply(x, rows: m).bits }
            let expected = product()
            with(threads: 3) {
                let right = Visits(8)
                let address = UInt(bitPattern: right.counts.baseAddress)
                let nested = Visits(8) { index in
                    ck_set_threads(ck_threads())
                    if product() == expected { UnsafeMutablePointer<Int32>(bitPattern: address)?[index] += 1 }
                }
                nested.run()
                #expect(nested.all(1) && right.all(1))
            }
        }

        @Test func callersFromSeveralThreadsDoNotDisturbOneAnother() {
            with(threads: 2) {
                let visits = (0..<6).map { _ in Visits(300) }
                nonisolated(unsafe) let shared = visits
                DispatchQueue.concurrentPerform(iterations: visits.count) { caller in
                    for round in 0..<300 {
                        shared[caller].run()
                        if caller == 0 { ck_set_threads(Int32(1 + round % 4)) }
                    }
                }
                #expect(visits.allSatisfy { $0.all(300) })
            }
        }

        @Test func scratchIsAlignedLargeEnoughAndOnesOwn() {
            for bytes in [1, 64, 5000, 4096, 1 << 20, 100] {
                let scratch = ck_scratch(bytes)
                #expect(UInt(bitPattern: scratch) % 64 == 0)
                memset(scratch, 1, bytes)
            }
            nonisolated(unsafe) let mine = ck_scratch(100)
            nonisolated(unsafe) var other = mine
            let thread = Thread { other = ck_scratch(100) }
            thread.start()
            while !thread.isFinished { usleep(100) }
            #expect(mine != other)
        }
    }
}
