#include "ck_planes.h"

#include <string.h>

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

CK_INLINE void merge_planes_body(uint8_t *restrict out, const uint8_t *restrict high, const uint8_t *restrict rest, size_t count, size_t size) {
    if (size == 1)
        for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(high[i] >> 1 | high[i] << 7);
    else if (size == 2)
        for (size_t i = 0; i < count; i++) {
            uint16_t x = (uint16_t)(high[i] << 8 | rest[i]);
            store16(out + 2 * i, (uint16_t)(x >> 1 | x << 15));
        }
    else
        for (size_t i = 0; i < count; i++) {
            uint32_t x = (uint32_t)high[i] << 24 | (uint32_t)rest[3 * i + 2] << 16 | (uint32_t)rest[3 * i + 1] << 8 | rest[3 * i];
            store32(out + 4 * i, x >> 1 | x << 31);
        }
}
CK_KERNEL(merge_planes, (uint8_t *restrict out, const uint8_t *restrict high, const uint8_t *restrict rest, size_t count, size_t size),
          (out, high, rest, count, size))

void ck_split_planes(uint8_t *high, uint8_t *rest, const uint8_t *in, size_t count, size_t size) {
    CK_CALL(split_planes)(high, rest, in, count, size);
}

void ck_merge_planes(uint8_t *out, const uint8_t *high, const uint8_t *rest, size_t count, size_t size) {
    CK_CALL(merge_planes)(out, high, rest, count, size);
}
