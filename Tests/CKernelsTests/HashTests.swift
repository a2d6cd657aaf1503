import CKernels
import Testing

@Suite struct HashTests {
    /// The right-hand sides are those of the reference implementation (`xxhash.xxh64_intdigest` in Python).
    @Test(
        arguments: [
            (0, 0xef46db3751d8e999), (1, 0x8a4127811b21e730), (3, 0xb6e6c910c2fd373a), (4, 0x22eda2cf6af4c124),
            (7, 0x34084d91a233a751), (8, 0xc6f1803a5e0b3222), (15, 0x514c6f58d37ce6f1), (31, 0x6ab1c40e29f50073),
            (32, 0x5a0756fbe9ecd3d1), (33, 0xdc50cdc37bb9c183), (63, 0x10dd94885c71894a), (64, 0x90083da9cdb9d795),
            (100, 0xd248bfc5208b0b16), (1000, 0x6be03acbf959c413),
        ] as [(Int, UInt64)]) func knownAnswers(_ count: Int, _ expected: UInt64)
    {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) }
        #expect(ck_hash(bytes, count) == expected)
    }
}
