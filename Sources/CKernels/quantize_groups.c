#include <stdatomic.h>

#include "ck_groups.h"
#include "ck_threads.h"
#include "convert.h"
#include "vector.h"

#pragma STDC FP_CONTRACT OFF

// To nearest even, for |x| < 2^22.
CK_INLINE float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

CK_INLINE float limit(float x, float low, float high) { return x > low ? x < high ? x : high : low; }

// The sums of w x q and w q q for the integers q that a step gives, in 16 lanes; w is 1 where it is NULL.
CK_INLINE void sums(const float *restrict x, const float *restrict w, size_t count, float per_step, float half, float *product, float *square) {
    float products[CK_LANES] = {0}, squares[CK_LANES] = {0};
    size_t j = 0;
    for (; j + CK_LANES <= count; j += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) {
            float q = nearest(limit(x[j + l] * per_step, -half, half - 1)), weighted = w ? w[j + l] * q : q;
            products[l] += x[j + l] * weighted;
            squares[l] += weighted * q;
        }
    for (; j < count; j++) {
        float q = nearest(limit(x[j] * per_step, -half, half - 1)), weighted = w ? w[j] * q : q;
        products[0] += x[j] * weighted;
        squares[0] += weighted * q;
    }
    *product = ck_lanes_sum(products), *square = ck_lanes_sum(squares);
}

CK_INLINE void group(
    uint8_t *restrict out, uint16_t *restrict scale_out, const float *restrict x, const float *restrict w, size_t count, int bits) {
    float half = bits == 4 ? 8.0f : 128.0f, most = 0, best = 0, scale = 0;
    for (size_t j = 0; j < count; j++) most = __builtin_fabsf(x[j]) > most ? __builtin_fabsf(x[j]) : most;
    for (int i = -9; i <= 9 && most > 0x1p-100f; i++) {
        float product, square;
        sums(x, w, count, (half - 0.5f) * (1 + (float)i / 75.0f) / most, half, &product, &square);
        // The best scale for these q leaves the squared error sum(x x) - sum(x q)^2 / sum(q q).
        float gain = square > 0 ? product * product / square : 0;
        if (gain > best) best = gain, scale = product / square;
    }
    uint16_t rounded = ck_to_bf16(scale);
    float inverse = rounded ? 1.0f / ck_bf16(rounded) : 0;
    *scale_out = rounded;
    for (size_t j = 0; j < count; j++) {
        int q = (int)nearest(limit(x[j] * inverse, -half, half - 1)) + (int)half;
        if (bits == 8)
            out[j] = (uint8_t)q;
        else if (j % 2 == 0)
            out[j / 2] = (uint8_t)q;
        else
            out[j / 2] = (uint8_t)(out[j / 2] | q << 4);
    }
}

CK_INLINE void quantize_group_body(
    uint8_t *restrict out, uint16_t *restrict scale_out, const float *restrict x, const float *restrict w, size_t count, int bits) {
    if (w)
        group(out, scale_out, x, w, count, bits);
    else
        group(out, scale_out, x, NULL, count, bits);
}
CK_KERNEL(
    quantize_group,
    (uint8_t *restrict out, uint16_t *restrict scale_out, const float *restrict x, const float *restrict w, size_t count, int bits),
    (out, scale_out, x, w, count, bits))

typedef struct {
    uint8_t *q;
    uint16_t *scales;
    const float *in, *importance;
    size_t k, group;
    int bits;
    atomic_size_t refused;
} job;

// One row.
static void quantize_task(void *context, size_t row) {
    job *a = context;
    size_t refused = 0;
    for (size_t first = 0; first < a->k; first += a->group) {
        const float *x = a->in + row * a->k + first;
        const float *w = a->importance ? a->importance + first : NULL;
        int fine = 1, matters = 0;
        for (size_t j = 0; j < a->group; j++) {
            fine &= __builtin_fabsf(x[j]) < 1e12f;
            matters |= w && w[j] > 0;
        }
        refused += !fine;
        if (fine)
            CK_CALL(quantize_group)(a->q + (row * a->k + first) * (size_t)a->bits / 8, a->scales + (row * a->k + first) / a->group, x,
                                    matters ? w : NULL, a->group, a->bits);
    }
    if (refused) atomic_fetch_add(&a->refused, refused);
}

size_t ck_quantize_groups(
    uint8_t *q, uint16_t *scales, const float *in, const float *importance, size_t rows, size_t k, size_t group, int bits) {
    job a = {q, scales, in, importance, k, group, bits, 0};
    ck_parallel_for(rows, quantize_task, &a);
    return atomic_load(&a.refused);
}

void ck_dequantize_groups(float *out, const uint8_t *q, const float *scales, size_t rows, size_t k, size_t group, int bits) {
    for (size_t i = 0; i < rows * k; i++) {
        int value = bits == 8 ? q[i] - 128 : ((q[i / 2] >> (i % 2 * 4)) & 15) - 8;
        out[i] = scales[i / k * (k / group) + i % k / group] * (float)value;
    }
}
