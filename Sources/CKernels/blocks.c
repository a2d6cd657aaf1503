// Dequantisation: one function a type reads 32 weights as integers, scale and minimum. A block is read byte by byte: nothing in a file is
// aligned, and every integer is little-endian.
#include "blocks.h"

#include "convert.h"

// A product and a sum round twice, as in ggml's reference code: a fused multiply-add would change the last bit.
#pragma STDC FP_CONTRACT OFF

CK_INLINE uint16_t half_bits(const uint8_t *in) { return (uint16_t)(in[0] | in[1] << 8); }

CK_INLINE float half_at(const uint8_t *in) { return ck_f16(half_bits(in)); }

// 16 bytes: the low nibbles are weights 0 to 15, the high ones 16 to 31.
CK_INLINE void nibbles(int8_t *restrict q, const uint8_t *restrict in, int subtract) {
    for (int j = 0; j < 16; j++) {
        q[j] = (int8_t)((in[j] & 15) - subtract);
        q[j + 16] = (int8_t)((in[j] >> 4) - subtract);
    }
}

// Bit j of the four bytes is the fifth bit of weight j.
CK_INLINE void fifth_bits(int8_t *restrict q, const uint8_t *restrict high) {
    for (int j = 0; j < CK_GROUP; j++) q[j] = (int8_t)(q[j] + (((high[j / 8] >> (j % 8)) & 1) << 4));
}

// d[2] q[16]
static void q4_0(ck_group *restrict out, const uint8_t *restrict block, int group) {
    (void)group;
    out->scale = half_at(block);
    nibbles(out->q, block + 2, 8);
}

// d[2] m[2] q[16]
static void q4_1(ck_group *restrict out, const uint8_t *restrict block, int group) {
    (void)group;
    out->scale = half_at(block), out->minimum = half_at(block + 2);
    nibbles(out->q, block + 4, 0);
}

// d[2] high[4] q[16]
static void q5_0(ck_group *restrict out, const uint8_t *restrict block, int group) {
    (void)group;
    out->scale = half_at(block);
    nibbles(out->q, block + 6, 16);
    fifth_bits(out->q, block + 2);
}

// d[2] m[2] high[4] q[16]
static void q5_1(ck_group *restrict out, const uint8_t *restrict block, int group) {
    (void)group;
    out->scale = half_at(block), out->minimum = half_at(block + 2);
    nibbles(out->q, block + 8, 0);
    fifth_bits(out->q, block + 4);
}

// d[2] q[32], signed
static void q8_0(ck_group *restrict out, const uint8_t *restrict block, int group) {
    (void)group;
    out->scale = half_at(block);
    for (int j = 0; j < CK_GROUP; j++) out->q[j] = (int8_t)block[2 + j];
}

// Q4_K and Q5_K share their head: d[2] dmin[2] packed[12], the last eight 6-bit scales and eight 6-bit minima, one pair for 32 weights.
// Bytes 0-3 hold scales 0-3, bytes 4-7 minima 0-3; the low and high nibbles of bytes 8-11 are the low bits of scales and minima 4-7, whose
// two high bits are on top of bytes 0-3 and 4-7. Both products are exact in FP32.
CK_INLINE void scale_and_min(ck_group *out, const uint8_t *block, int group) {
    const uint8_t *packed = block + 4;
    int s, m;
    if (group < 4) {
        s = packed[group] & 63;
        m = packed[group + 4] & 63;
    } else {
        s = (packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4;
        m = packed[group + 4] >> 4 | (packed[group] >> 6) << 4;
    }
    out->scale = half_at(block) * (float)s;
    out->minimum = -(half_at(block + 2) * (float)m);
}

// head[16] q[128]: 32 bytes hold 64 weights, first the low nibbles, then the high ones.
static void q4_k(ck_group *restrict out, const uint8_t *restrict block, int group) {
    const uint8_t *q = block + 16 + 32 * (group / 2);
    int shift = 4 * (group % 2);
    scale_and_min(out, block, group);
    for (int j = 0; j < CK_GROUP; j++) out->q[j] = (int8_t)((q[j] >> shift) & 15);
}

// head[16] high[32] q[128]: bit g of high[j] is the fifth bit of weight j of group g.
static void q5_k(ck_group *restrict out, const uint8_t *restrict block, int group) {
    const uint8_t *high = block + 16, *q = block + 48 + 32 * (group / 2);
    int shift = 4 * (group % 2);
    scale_and_min(out, block, group);
    for (int j = 0; j < CK_GROUP; j++) out->q[j] = (int8_t)(((q[j] >> shift) & 15) | ((high[j] >> group) & 1) << 4);
}

// The sixteen values of ggml's non-linear 4-bit types.
static const int8_t nonlinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

CK_INLINE void nonlinear_nibbles(int8_t *restrict q, const uint8_t *restrict in) {
    for (int j = 0; j < 16; j++) q[j] = nonlinear[in[j] & 15], q[j + 16] = nonlinear[in[j] >> 4];
}

// d[2] q[16]
static void iq4_nl(ck_group *restrict out, const uint8_t *restrict block, int group) {
    (void)group;
    out->scale = half_at(block);
    nonlinear_nibbles(out->q, block + 2);
}

// d[2] high[2] low[4] q[128]: the scale of group g is 6 bits less 32, four of them nibble g of `low`, two of them bits 2g and 2g+1 of `high`.
static void iq4_xs(ck_group *restrict out, const uint8_t *restrict block, int group) {
    int low = (block[4 + group / 2] >> (4 * (group % 2))) & 15, high = (half_bits(block + 2) >> (2 * group)) & 3;
    out->scale = half_at(block) * (float)((low | high << 4) - 32);
    nonlinear_nibbles(out->q, block + 8 + 16 * group);
}

// scales[16] q[64] d[2] dmin[2]: a 4-bit scale and, above it, a 4-bit minimum for 16 weights; 32 bytes of q hold 128 weights, two bits of each
// byte for every group of 32.
static void dequantize_q2_k(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block + 80), dmin = half_at(block + 82);
    for (int i = 0; i < 256; i++) {
        int scale = block[i / 16], q = (block[16 + 32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4))) & 3;
        out[i] = d * (float)(scale & 15) * (float)q - dmin * (float)(scale >> 4);
    }
}

// high[32] q[64] scales[12] d[2]: q as in Q2_K; bit g of high[j], when it is not set, takes 4 from weight j of group g. Scale k of 16 weights is 6
// bits less 32: its low four bits are a nibble of bytes 0-7, its high two lie in bytes 8-11.
static void dequantize_q3_k(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block + 108);
    const uint8_t *scales = block + 96;
    for (int i = 0; i < 256; i++) {
        int k = i / 16, scale = (k < 8 ? scales[k] & 15 : scales[k - 8] >> 4) | ((scales[8 + k % 4] >> (2 * (k / 4))) & 3) << 4;
        int q = (block[32 + 32 * (i / 128) + i % 32] >> (2 * (i / 32 % 4))) & 3, high = (block[i % 32] >> (i / 32)) & 1;
        out[i] = d * (float)(scale - 32) * (float)(q - (high ? 0 : 4));
    }
}

// low[128] high[64] scales[16] (signed, one for 16 weights) d[2]: two halves of 128 weights, each four groups of 32. Groups 0 and 1 are the
// low nibbles of the half's 64 low bytes, groups 2 and 3 the high nibbles; two bits of the half's 32 high bytes for each group.
static void dequantize_q6_k(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block + 208);
    for (int group = 0; group < 8; group++) {
        int half = group / 4, part = group % 4, shift = 4 * (part / 2);
        const uint8_t *low = block + 64 * half + 32 * (part % 2), *high = block + 128 + 32 * half;
        const uint8_t *scales = block + 192 + 2 * group;
        for (int j = 0; j < CK_GROUP; j++) {
            int weight = (((low[j] >> shift) & 15) | ((high[j] >> (2 * part)) & 3) << 4) - 32;
            out[CK_GROUP * group + j] = d * (float)(int8_t)scales[j / 16] * (float)weight;
        }
    }
}

typedef struct {
    size_t weights, bytes;
    size_t scales_at, scale_count;  // the FP16 scale, or scale and minimum, in a block
    void (*read)(ck_group *restrict out, const uint8_t *restrict block, int group);  // or, when a group has more than one scale,
    void (*dequantize)(float *restrict out, const uint8_t *restrict block);
} codec;

static const codec codecs[] = {
    [CK_Q4_0] = {32, 18, 0, 1, q4_0, NULL},      [CK_Q4_1] = {32, 20, 0, 2, q4_1, NULL},
    [CK_Q5_0] = {32, 22, 0, 1, q5_0, NULL},      [CK_Q5_1] = {32, 24, 0, 2, q5_1, NULL},
    [CK_Q8_0] = {32, 34, 0, 1, q8_0, NULL},      [CK_Q2_K] = {256, 84, 80, 2, NULL, dequantize_q2_k},
    [CK_Q3_K] = {256, 110, 108, 1, NULL, dequantize_q3_k},
    [CK_Q4_K] = {256, 144, 0, 2, q4_k, NULL},    [CK_Q5_K] = {256, 176, 0, 2, q5_k, NULL},
    [CK_Q6_K] = {256, 210, 208, 1, NULL, dequantize_q6_k},
    [CK_IQ4_NL] = {32, 18, 0, 1, iq4_nl, NULL},  [CK_IQ4_XS] = {256, 136, 0, 1, iq4_xs, NULL},
};

static const codec *find(ck_block_type type) {
    static const codec none = {0};
    size_t index = (size_t)type;
    return index < sizeof codecs / sizeof *codecs ? &codecs[index] : &none;
}

size_t ck_block_weights(ck_block_type type) { return find(type)->weights; }

size_t ck_block_bytes(ck_block_type type) { return find(type)->bytes; }

void ck_read_group(ck_group *out, ck_block_type type, const uint8_t *block, int group) {
    out->minimum = 0;
    find(type)->read(out, block, group);
}

static void dequantize_block(const codec *c, float *restrict out, const uint8_t *restrict block) {
    for (int g = 0; g < (int)c->weights / CK_GROUP; g++, out += CK_GROUP) {
        ck_group group;
        c->read(&group, block, g);
        for (int j = 0; j < CK_GROUP; j++) out[j] = group.scale * (float)group.q[j];
        if (c->scale_count == 2)
            for (int j = 0; j < CK_GROUP; j++) out[j] += group.minimum;
    }
}

void ck_dequantize(ck_block_type type, float *out, const uint8_t *in, size_t blocks) {
    const codec *c = find(type);
    for (size_t i = 0; i < blocks; i++, out += c->weights, in += c->bytes)
        if (c->dequantize)
            c->dequantize(out, in);
        else if (c->read)
            dequantize_block(c, out, in);
}

size_t ck_first_nonfinite_block(ck_block_type type, const uint8_t *in, size_t blocks) {
    const codec *c = find(type);
    for (size_t i = 0; i < blocks; i++)
        for (size_t s = 0; s < c->scale_count; s++)
            if ((half_bits(in + i * c->bytes + c->scales_at + 2 * s) & 0x7C00u) == 0x7C00u) return i;
    return blocks;
}
