#include "ck_planes.h"

#include <string.h>

#include "hash.h"
#include "isa.h"

CK_INLINE uint16_t load16(const uint8_t *in) { uint16_t x; memcpy(&x, in, 2); return x; }
CK_INLINE uint32_t load32(const uint8_t *in) { uint32_t x; memcpy(&x, in, 4); return x; }
CK_INLINE void store16(uint8_t *out, uint16_t x) { memcpy(out, &x, 2); }
CK_INLINE void store32(uint8_t *out, uint32_t x) { memcpy(out, &x, 4); }

CK_INLINE void split_planes_body(uint8_t *restrict high, uint8_t *restrict rest, const uint8_t *restrict in, size_t count, size_t size) {
    if (size == 1)
        for (size_t i = 0; i < count; i++) high[i] = (uint8_t)(in[i] << 1 | in[i] >> 7);
    else if (size == 2)
        for (size_t i = 0; i < count; i++) {
            uint16_t x = load16(in + 2 * i);
            x = (uint16_t)(x << 1 | x >> 15);
            high[i] = (uint8_t)(x >> 8), rest[i] = (uint8_t)x;
        }
    else
        for (size_t i = 0; i < count; i++) {
            uint32_t x = load32(in + 4 * i);
            x = x << 1 | x >> 31;
            high[i] = (uint8_t)(x >> 24);
            rest[3 * i] = (uint8_t)x, rest[3 * i + 1] = (uint8_t)(x >> 8), rest[3 * i + 2] = (uint8_t)(x >> 16);
        }
}
CK_KERNEL(split_planes, (uint8_t *restrict high, uint8_t *restrict rest, const uint8_t *restrict in, size_t count, size_t size),
          (high, rest, in, count, size))

typedef uint8_t bytes16 __attribute__((vector_size(16), aligned(1)));
typedef uint16_t halves16 __attribute__((vector_size(32), aligned(1)));

// Sixteen elements of two bytes.
CK_INLINE void merge_halves(uint8_t *out, const uint8_t *high, const uint8_t *rest) {
    halves16 x = __builtin_convertvector(*(const bytes16 *)(const void *)high, halves16) << 8 |
                 __builtin_convertvector(*(const bytes16 *)(const void *)rest, halves16);
    *(halves16 *)(void *)out = x >> 1 | x << 15;
}

CK_INLINE void merge_planes_body(
    uint64_t *hash, uint8_t *restrict out, const uint8_t *restrict high, const uint8_t *restrict rest, size_t count, size_t size) {
    ck_stripes stripes = ck_stripes_begin();
    size_t hashed = 0;
    if (size == 1)
        for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(high[i] >> 1 | high[i] << 7);
    else if (size == 2) {
        // The hash takes eight multiplications a stripe, one a cycle: merging costs next to nothing beside them.
        for (; hashed / 2 + 16 <= count; hashed += CK_STRIPE) {
            merge_halves(out + hashed, high + hashed / 2, rest + hashed / 2);
            ck_stripes_add(&stripes, out + hashed);
        }
        for (size_t i = hashed / 2; i < count; i++) {
            uint16_t x = (uint16_t)(high[i] << 8 | rest[i]);
            store16(out + 2 * i, (uint16_t)(x >> 1 | x << 15));
        }
    } else
        for (size_t i = 0; i < count; i++) {
            uint32_t x = (uint32_t)high[i] << 24 | (uint32_t)rest[3 * i + 2] << 16 | (uint32_t)rest[3 * i + 1] << 8 | rest[3 * i];
            store32(out + 4 * i, x >> 1 | x << 31);
        }
    *hash = ck_stripes_end(stripes, out, hashed, count * size);
}
CK_KERNEL(merge_planes,
          (uint64_t *hash, uint8_t *restrict out, const uint8_t *restrict high, const uint8_t *restrict rest, size_t count, size_t size),
          (hash, out, high, rest, count, size))

void ck_split_planes(uint8_t *high, uint8_t *rest, const uint8_t *in, size_t count, size_t size) {
    CK_CALL(split_planes)(high, rest, in, count, size);
}

uint64_t ck_merge_planes(uint8_t *out, const uint8_t *high, const uint8_t *rest, size_t count, size_t size) {
    uint64_t hash;
    CK_CALL(merge_planes)(&hash, out, high, rest, count, size);
    return hash;
}
