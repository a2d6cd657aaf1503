// Sums over sixteen lanes and an exponential that vectorise under any instruction set (private to the core).
#ifndef CK_VECTOR_PRIVATE_H
#define CK_VECTOR_PRIVATE_H

#include <stddef.h>

#include "ck_types.h"
#include "convert.h"

enum { CK_LANES = 16 };

// The sixteen lanes added as a tree.
CK_INLINE float ck_lanes_sum(const float *lanes) {
    float s[8];
    for (int i = 0; i < 8; i++) s[i] = lanes[i] + lanes[i + 8];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

// The largest of x[n], n at least 1. A NaN is passed over, but for the first.
CK_INLINE float ck_largest(const float *x, size_t n) {
    float lanes[CK_LANES];
    for (size_t l = 0; l < CK_LANES; l++) lanes[l] = x[0];
    size_t i = 0;
    for (; i + CK_LANES <= n; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (; i < n; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    for (size_t l = 1; l < CK_LANES; l++) lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

CK_INLINE float ck_load(const void *array, ck_type type, size_t i) {
    return type == CK_F32 ? ((const float *)array)[i] : ck_bf16(((const uint16_t *)array)[i]);
}

CK_INLINE void ck_store(void *array, ck_type type, size_t i, float value) {
    if (type == CK_F32)
        ((float *)array)[i] = value;
    else
        ((uint16_t *)array)[i] = ck_to_bf16(value);
}

// e^x to 2 units in the last place; below -87 it is 0, above 88 it stays finite. x = n ln 2 + r with |r| <= ln 2 / 2, e^r by its series.
CK_INLINE float ck_exp(float x) {
    float clamped = x > 88.0f ? 88.0f : x;
    float shifted = __builtin_fmaf(clamped, 1.44269504f, 12582912.0f);  // 1.5 * 2^23: the sum's low bits are round(x / ln 2)
    float n = shifted - 12582912.0f;
    float r = __builtin_fmaf(n, -0.693145752f, clamped);
    r = __builtin_fmaf(n, -1.42860677e-6f, r);
    float p = 1.0f / 5040.0f;
    p = __builtin_fmaf(p, r, 1.0f / 720.0f);
    p = __builtin_fmaf(p, r, 1.0f / 120.0f);
    p = __builtin_fmaf(p, r, 1.0f / 24.0f);
    p = __builtin_fmaf(p, r, 1.0f / 6.0f);
    p = __builtin_fmaf(p, r, 0.5f);
    p = __builtin_fmaf(p, r, 1.0f);
    p = __builtin_fmaf(p, r, 1.0f);
    float scale = ck_float_from_bits((ck_bits_from_float(shifted) - 0x4B400000u + 127u) << 23);
    float result = p * scale;
    return x < -87.0f ? 0.0f : result;
}

#endif
