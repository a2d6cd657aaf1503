// Quantisation to the types that ggml's reference code defines to the bit: a block's scale spans its range, a weight goes to the nearest step.
#include "quantize.h"

#pragma STDC FP_CONTRACT OFF

enum { BLOCK = 32 };

void ck_store_half(uint8_t *out, float value) {
    uint16_t bits = ck_to_f16(value);
    out[0] = (uint8_t)bits, out[1] = (uint8_t)(bits >> 8);
}

// 0 for a scale so small that its inverse overflows: FP16 holds it as 0 as well.
static float inverse(float d) { return __builtin_fabsf(d) > 0x1p-126f ? 1.0f / d : 0; }

// The weight of largest magnitude, the first of several.
static float extreme(const float *x) {
    float found = 0;
    for (int j = 0; j < BLOCK; j++) found = __builtin_fabsf(x[j]) > __builtin_fabsf(found) ? x[j] : found;
    return found;
}

static void range(const float *x, float *least, float *most) {
    *least = *most = x[0];
    for (int j = 1; j < BLOCK; j++) {
        *least = x[j] < *least ? x[j] : *least;
        *most = x[j] > *most ? x[j] : *most;
    }
}

// Towards zero, from 0 up to `most`; the values are finite and small.
static uint8_t step(float x, int most) { return (uint8_t)((int)x > most ? most : (int)x < 0 ? 0 : (int)x); }

void ck_store_nibbles(uint8_t *out, const uint8_t *q) {
    for (int j = 0; j < 16; j++) out[j] = (uint8_t)((q[j] & 15) | q[j + 16] << 4);
}

void ck_store_fifth_bits(uint8_t *out, const uint8_t *q) {
    for (int i = 0; i < 4; i++) out[i] = 0;
    for (int j = 0; j < BLOCK; j++) out[j / 8] = (uint8_t)(out[j / 8] | (q[j] >> 4) << (j % 8));
}

// w = d (q - 8) and w = d (q - 16): the weight of largest magnitude lands on the lowest step.
static void symmetric(uint8_t *out, const float *x, int bits) {
    float middle = (float)(1 << (bits - 1)), d = extreme(x) / -middle, id = inverse(d);
    uint8_t q[BLOCK];
    for (int j = 0; j < BLOCK; j++) q[j] = step(x[j] * id + (middle + 0.5f), (1 << bits) - 1);
    ck_store_half(out, d);
    if (bits == 5) ck_store_fifth_bits(out + 2, q);
    ck_store_nibbles(out + (bits == 5 ? 6 : 2), q);
}

// w = d q + m.
static void asymmetric(uint8_t *out, const float *x, int bits) {
    float least, most;
    range(x, &least, &most);
    float d = (most - least) / (float)((1 << bits) - 1), id = inverse(d);
    uint8_t q[BLOCK];
    for (int j = 0; j < BLOCK; j++) q[j] = step((x[j] - least) * id + 0.5f, (1 << bits) - 1);
    ck_store_half(out, d);
    ck_store_half(out + 2, least);
    if (bits == 5) ck_store_fifth_bits(out + 4, q);
    ck_store_nibbles(out + (bits == 5 ? 8 : 4), q);
}

void ck_quantize_q4_0(uint8_t *out, const float *x) { symmetric(out, x, 4); }
void ck_quantize_q5_0(uint8_t *out, const float *x) { symmetric(out, x, 5); }
void ck_quantize_q4_1(uint8_t *out, const float *x) { asymmetric(out, x, 4); }
void ck_quantize_q5_1(uint8_t *out, const float *x) { asymmetric(out, x, 5); }

// Half away from zero, unlike everywhere else.
void ck_quantize_q8_0(uint8_t *out, const float *x) {
    float d = __builtin_fabsf(extreme(x)) / 127.0f, id = inverse(d);
    ck_store_half(out, d);
    for (int j = 0; j < BLOCK; j++) {
        float value = x[j] * id, whole = (float)(int)value, rest = value - whole;
        out[2 + j] = (uint8_t)((int)whole + (rest >= 0.5f) - (rest <= -0.5f));
    }
}
