// Quantisation to the types whose scales are searched for: IQ4_NL and the K types, and, where it is known how much each weight matters, Q4_0 to Q5_1.
// Each group of weights takes, of a few scales around the one that spans its range, the one whose least-squares fit leaves the smallest squared
// error, each square times the weight's importance. Sums run over 16 lanes in one order, whatever the
// instruction set, so that the bytes do not depend on the machine.
#include <string.h>

#include "blocks.h"
#include "quantize.h"
#include "vector.h"

#pragma STDC FP_CONTRACT OFF

// To nearest even, for |x| < 2^22.
CK_INLINE float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

CK_INLINE float limit(float x, float low, float high) { return x > low ? x < high ? x : high : low; }

CK_INLINE float inverse(float d) { return __builtin_fabsf(d) > 0x1p-126f ? 1.0f / d : 0; }

CK_INLINE float half(float x) { return ck_f16(ck_to_f16(x)); }

CK_INLINE float extreme(const float *x, int count) {
    float found = 0;
    for (int j = 0; j < count; j++) found = __builtin_fabsf(x[j]) > __builtin_fabsf(found) ? x[j] : found;
    return found;
}

// The importance of weight j. Bodies are compiled with w NULL and with one, see WITH.
CK_INLINE float at(const float *w, int j) { return w ? w[j] : 1.0f; }

CK_INLINE const float *from(const float *w, int j) { return w ? w + j : NULL; }

// The kernel of a type from its function, with and without importances.
#define WITH(name)                                                                                                           \
    CK_INLINE void search_##name##_body(uint8_t *restrict out, const float *restrict x, const float *restrict w) {            \
        if (w)                                                                                                               \
            name(out, x, w);                                                                                                 \
        else                                                                                                                 \
            name(out, x, NULL);                                                                                              \
    }                                                                                                                        \
    CK_KERNEL(search_##name, (uint8_t *restrict out, const float *restrict x, const float *restrict w), (out, x, w))          \
    void ck_search_##name(uint8_t *restrict out, const float *restrict x, const float *restrict w) { CK_CALL(search_##name)(out, x, w); }

// MARK: Scale and minimum: Q4_1, Q5_1, Q4_K, Q5_K

typedef struct {
    float scale, minimum;
} line;

// x is about scale q + minimum with q in 0 ... levels, over 32 weights; `below` asks for minimum <= 0.
CK_INLINE line fit_line(const float *restrict x, const float *restrict w, float levels, int below) {
    float least = below ? 0 : x[0], most = x[0], weights[CK_LANES] = {0}, lanes[CK_LANES] = {0};
    for (int j = 0; j < CK_GROUP; j++) {
        least = x[j] < least ? x[j] : least;
        most = x[j] > most ? x[j] : most;
    }
    line best = {0, least};
    if (!(most > least)) return best;
    for (int part = 0; part < CK_GROUP; part += CK_LANES)
        for (int l = 0; l < CK_LANES; l++) {
            weights[l] += at(w, part + l);
            lanes[l] += at(w, part + l) * x[part + l];
        }
    float weight = ck_lanes_sum(weights), sum = ck_lanes_sum(lanes), least_error = __builtin_inff();
    // The steps are made smaller and larger by up to a step at either end.
    for (int i = -10; i <= 10; i++) {
        float per_step = (levels + 0.1f * (float)i) / (most - least), q[CK_GROUP];
        float sums[CK_LANES] = {0}, squares[CK_LANES] = {0}, products[CK_LANES] = {0}, errors[CK_LANES] = {0};
        for (int part = 0; part < CK_GROUP; part += CK_LANES)
            for (int l = 0; l < CK_LANES; l++) {
                float value = x[part + l], step = nearest(limit((value - least) * per_step, 0, levels)), weighted = at(w, part + l) * step;
                q[part + l] = step;
                sums[l] += weighted;
                squares[l] += weighted * step;
                products[l] += value * weighted;
            }
        float sum_q = ck_lanes_sum(sums), square_q = ck_lanes_sum(squares), product = ck_lanes_sum(products);
        float determinant = weight * square_q - sum_q * sum_q;
        line fit = {(weight * product - sum * sum_q) / determinant, (square_q * sum - sum_q * product) / determinant};
        // Where all steps are the same, or the minimum would be positive, a line through the origin is the best there is.
        if (!(determinant > 0) || (below && fit.minimum > 0)) fit = (line){square_q > 0 ? product / square_q : 0, 0};
        for (int part = 0; part < CK_GROUP; part += CK_LANES)
            for (int l = 0; l < CK_LANES; l++) {
                float error = fit.scale * q[part + l] + fit.minimum - x[part + l];
                errors[l] += at(w, part + l) * (error * error);
            }
        float error = ck_lanes_sum(errors);
        if (error < least_error) least_error = error, best = fit;
    }
    return best;
}

// w = d q + m, both in FP16.
CK_INLINE void asymmetric(uint8_t *restrict out, const float *restrict x, const float *restrict w, int bits) {
    float levels = (float)((1 << bits) - 1);
    line fit = fit_line(x, w, levels, 0);
    ck_store_half(out, fit.scale);
    ck_store_half(out + 2, fit.minimum);
    float step = inverse(half(fit.scale)), minimum = half(fit.minimum);
    uint8_t q[CK_GROUP];
    for (int j = 0; j < CK_GROUP; j++) q[j] = (uint8_t)(int)nearest(limit((x[j] - minimum) * step, 0, levels));
    if (bits == 5) ck_store_fifth_bits(out + 4, q);
    ck_store_nibbles(out + (bits == 5 ? 8 : 4), q);
}

CK_INLINE void q4_1(uint8_t *restrict out, const float *restrict x, const float *restrict w) { asymmetric(out, x, w, 4); }
WITH(q4_1)

CK_INLINE void q5_1(uint8_t *restrict out, const float *restrict x, const float *restrict w) { asymmetric(out, x, w, 5); }
WITH(q5_1)

// Eight lines whose scales and minima share two FP16 factors: 6 bits each (see scale_and_min in blocks.c). q of weight j is at q[j].
CK_INLINE void super_block(uint8_t *restrict head, uint8_t *restrict q, const float *restrict x, const float *restrict w, float levels) {
    line lines[8];
    float scale = 0, minimum = 0;
    for (int g = 0; g < 8; g++) {
        lines[g] = fit_line(x + CK_GROUP * g, from(w, CK_GROUP * g), levels, 1);
        scale = lines[g].scale > scale ? lines[g].scale : scale;
        minimum = -lines[g].minimum > minimum ? -lines[g].minimum : minimum;
    }
    ck_store_half(head, scale / 63.0f);
    ck_store_half(head + 2, minimum / 63.0f);
    float d = half(scale / 63.0f), dmin = half(minimum / 63.0f), id = inverse(d), idmin = inverse(dmin);
    uint8_t s[8], m[8], *packed = head + 4;
    for (int g = 0; g < 8; g++) {
        s[g] = (uint8_t)(int)nearest(limit(lines[g].scale * id, 0, 63));
        m[g] = (uint8_t)(int)nearest(limit(-lines[g].minimum * idmin, 0, 63));
        float step = inverse(d * (float)s[g]), offset = dmin * (float)m[g];
        for (int j = CK_GROUP * g; j < CK_GROUP * (g + 1); j++) q[j] = (uint8_t)(int)nearest(limit((x[j] + offset) * step, 0, levels));
    }
    for (int g = 0; g < 4; g++) {
        packed[g] = (uint8_t)(s[g] | (s[g + 4] >> 4) << 6);
        packed[g + 4] = (uint8_t)(m[g] | (m[g + 4] >> 4) << 6);
        packed[g + 8] = (uint8_t)((s[g + 4] & 15) | (m[g + 4] & 15) << 4);
    }
}

CK_INLINE void q4_k(uint8_t *restrict out, const float *restrict x, const float *restrict w) {
    uint8_t q[256];
    super_block(out, q, x, w, 15);
    for (int i = 0; i < 128; i++) out[16 + i] = (uint8_t)(q[i / 32 * 64 + i % 32] | q[i / 32 * 64 + 32 + i % 32] << 4);
}
WITH(q4_k)

CK_INLINE void q5_k(uint8_t *restrict out, const float *restrict x, const float *restrict w) {
    uint8_t q[256];
    super_block(out, q, x, w, 31);
    memset(out + 16, 0, 32);
    for (int i = 0; i < 256; i++) out[16 + i % 32] = (uint8_t)(out[16 + i % 32] | (q[i] >> 4) << (i / 32));
    for (int i = 0; i < 128; i++) out[48 + i] = (uint8_t)((q[i / 32 * 64 + i % 32] & 15) | (q[i / 32 * 64 + 32 + i % 32] & 15) << 4);
}
WITH(q5_k)

// MARK: Scale alone: Q4_0, Q5_0, Q6_K, IQ4_NL

// x is about scale q with q in -bound ... bound - 1, over 16 or 32 weights.
CK_INLINE float fit_scale(const float *restrict x, const float *restrict w, int count, float bound) {
    float most = extreme(x, count), best = 0, scale = 0;
    if (most == 0) return 0;
    for (int i = -9; i <= 9; i++) {
        float per_step = (-bound + 0.1f * (float)i) / most, products[CK_LANES] = {0}, squares[CK_LANES] = {0};
        for (int part = 0; part < count; part += CK_LANES)
            for (int l = 0; l < CK_LANES; l++) {
                float q = nearest(limit(x[part + l] * per_step, -bound, bound - 1)), weighted = at(w, part + l) * q;
                products[l] += x[part + l] * weighted;
                squares[l] += weighted * q;
            }
        // The best scale for these q leaves the squared error sum(x x) - sum(x q)^2 / sum(q q).
        float product = ck_lanes_sum(products), square = ck_lanes_sum(squares), gain = square > 0 ? product * product / square : 0;
        if (gain > best) best = gain, scale = product / square;
    }
    return scale;
}

// w = d (q - middle), d in FP16.
CK_INLINE void symmetric(uint8_t *restrict out, const float *restrict x, const float *restrict w, int bits) {
    float middle = (float)(1 << (bits - 1)), scale = fit_scale(x, w, CK_GROUP, middle), step = inverse(half(scale));
    ck_store_half(out, scale);
    uint8_t q[CK_GROUP];
    for (int j = 0; j < CK_GROUP; j++) q[j] = (uint8_t)((int)nearest(limit(x[j] * step, -middle, middle - 1)) + (int)middle);
    if (bits == 5) ck_store_fifth_bits(out + 2, q);
    ck_store_nibbles(out + (bits == 5 ? 6 : 2), q);
}

CK_INLINE void q4_0(uint8_t *restrict out, const float *restrict x, const float *restrict w) { symmetric(out, x, w, 4); }
WITH(q4_0)

CK_INLINE void q5_0(uint8_t *restrict out, const float *restrict x, const float *restrict w) { symmetric(out, x, w, 5); }
WITH(q5_0)

CK_INLINE void q6_k(uint8_t *restrict out, const float *restrict x, const float *restrict w) {
    float scales[16], most = 0;
    for (int g = 0; g < 16; g++) {
        scales[g] = fit_scale(x + 16 * g, from(w, 16 * g), 16, 32);
        most = __builtin_fabsf(scales[g]) > __builtin_fabsf(most) ? scales[g] : most;
    }
    float d = half(most / -128.0f), id = inverse(d);
    uint8_t q[256];
    ck_store_half(out + 208, most / -128.0f);
    for (int g = 0; g < 16; g++) {
        float s = nearest(limit(scales[g] * id, -128, 127)), step = inverse(d * s);
        out[192 + g] = (uint8_t)(int)s;
        for (int j = 16 * g; j < 16 * (g + 1); j++) q[j] = (uint8_t)((int)nearest(limit(x[j] * step, -32, 31)) + 32);
    }
    for (int part = 0; part < 2; part++)
        for (int j = 0; j < 64; j++) {
            const uint8_t *p = q + 128 * part + j;  // low nibbles: groups 0 and 1 of this half, high ones: groups 2 and 3
            out[64 * part + j] = (uint8_t)((p[0] & 15) | (p[64] & 15) << 4);
            if (j < 32) out[128 + 32 * part + j] = (uint8_t)(p[0] >> 4 | (p[32] >> 4) << 2 | (p[64] >> 4) << 4 | (p[96] >> 4) << 6);
        }
}
WITH(q6_k)

// ggml's sixteen values, kvalues_iq4nl. The nearest one is where x lies among the fifteen midpoints between them.
static const float nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

CK_INLINE int past(float x, int i) { return x > (nonlinear[i] + nonlinear[i + 1]) / 2; }

CK_INLINE int nearest_nonlinear_index(float x) {
    int index = 0;
#pragma clang loop unroll(full)
    for (int i = 0; i < 15; i++) index += past(x, i);
    return index;
}

// The value itself as a sum, exact: to look it up would cost more than all the comparisons.
CK_INLINE float nearest_nonlinear(float x) {
    float value = nonlinear[0];
#pragma clang loop unroll(full)
    for (int i = 0; i < 15; i++) value += past(x, i) ? nonlinear[i + 1] - nonlinear[i] : 0;
    return value;
}

CK_INLINE void iq4_nl(uint8_t *restrict out, const float *restrict x, const float *restrict w) {
    float most = extreme(x, CK_GROUP), best = 0, scale = 0;
    for (int i = -14; i <= 14 && most != 0; i++) {
        // The largest weight lands near the end of the values, on either side: -127 is further out than 113.
        float end = i < 0 ? -127.0f : 113.0f, per_step = (end + (float)(i < 0 ? i + 7 : i - 7)) / most;
        float products[CK_LANES] = {0}, squares[CK_LANES] = {0};
        for (int part = 0; part < CK_GROUP; part += CK_LANES)
            for (int l = 0; l < CK_LANES; l++) {
                float value = nearest_nonlinear(x[part + l] * per_step), weighted = at(w, part + l) * value;
                products[l] += x[part + l] * weighted;
                squares[l] += weighted * value;
            }
        float product = ck_lanes_sum(products), square = ck_lanes_sum(squares), gain = square > 0 ? product * product / square : 0;
        if (gain > best) best = gain, scale = product / square;
    }
    float step = inverse(half(scale));
    int q[CK_GROUP];
    for (int j = 0; j < CK_GROUP; j++) q[j] = nearest_nonlinear_index(x[j] * step);
    ck_store_half(out, scale);
    for (int j = 0; j < 16; j++) out[2 + j] = (uint8_t)(q[j] | q[j + 16] << 4);
}
WITH(iq4_nl)
