import CKernels
import Testing

extension Kernels {
    @Suite struct PlanesTests {
        @Test(arguments: [1, 2, 4]) func mergingGivesTheElementsAndTheirHash(_ size: Int) {
            underEverySet { _ in
                for count in [0, 1, 7, 15, 16, 17, 31, 33, 100, 4096, 5003] {
                    let input = (0..<count * size).map { UInt8(truncatingIfNeeded: $0 &* $0 &* 31 &+ $0 &* 7) }
                    var high = [UInt8](repeating: 0, count: count), rest = [UInt8](repeating: 0, count: count * (size - 1))
                    ck_split_planes(&high, &rest, input, count, size)
                    #expect(
                        high.elementsEqual(
                            stride(from: size - 1, to: input.count, by: size).map { place in
                                // The highest byte, rotated left: what comes in from below is the next byte's highest bit, of a single byte its own.
                                input[place] << 1 | input[size == 1 ? place : place - 1] >> 7
                            }))
                    var output = [UInt8](repeating: 0, count: count * size)
                    #expect(ck_merge_planes(&output, high, rest, count, size) == ck_hash(input, input.count))
                    #expect(output == input)
                }
            }
        }
    }
}
