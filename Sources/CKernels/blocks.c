// Dequantisation, one function a type. A block is read byte by byte: nothing in a file is aligned, and every integer is little-endian.
#include "ck_blocks.h"

#include "convert.h"

// A product and a sum round twice, as in ggml's reference code: a fused multiply-add would change the last bit.
#pragma STDC FP_CONTRACT OFF

CK_INLINE uint16_t half_bits(const uint8_t *in) { return (uint16_t)(in[0] | in[1] << 8); }

CK_INLINE float half_at(const uint8_t *in) { return ck_f16(half_bits(in)); }

// Bit j of four bytes, as the fifth bit of a weight.
CK_INLINE int fifth_bit(const uint8_t *in, int j) { return ((in[j / 8] >> (j % 8)) & 1) << 4; }

// d[2] q[16]: the low nibbles are weights 0 to 15, the high ones 16 to 31.
static void q4_0(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block);
    const uint8_t *q = block + 2;
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)((q[j] & 15) - 8);
        out[j + 16] = d * (float)((q[j] >> 4) - 8);
    }
}

// d[2] m[2] q[16]
static void q4_1(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block), m = half_at(block + 2);
    const uint8_t *q = block + 4;
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)(q[j] & 15) + m;
        out[j + 16] = d * (float)(q[j] >> 4) + m;
    }
}

// d[2] high[4] q[16]: bit j of `high` is the fifth bit of weight j.
static void q5_0(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block);
    const uint8_t *high = block + 2, *q = block + 6;
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)(((q[j] & 15) | fifth_bit(high, j)) - 16);
        out[j + 16] = d * (float)(((q[j] >> 4) | fifth_bit(high, j + 16)) - 16);
    }
}

// d[2] m[2] high[4] q[16]
static void q5_1(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block), m = half_at(block + 2);
    const uint8_t *high = block + 4, *q = block + 8;
    for (int j = 0; j < 16; j++) {
        out[j] = d * (float)((q[j] & 15) | fifth_bit(high, j)) + m;
        out[j + 16] = d * (float)((q[j] >> 4) | fifth_bit(high, j + 16)) + m;
    }
}

// d[2] q[32], signed
static void q8_0(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block);
    const uint8_t *q = block + 2;
    for (int j = 0; j < 32; j++) out[j] = d * (float)(int8_t)q[j];
}

// Q4_K and Q5_K share their head: d[2] dmin[2] packed[12], the last eight 6-bit scales and eight 6-bit minima, one pair for 32 weights.
// Bytes 0-3 hold scales 0-3, bytes 4-7 minima 0-3; the low and high nibbles of bytes 8-11 are the low bits of scales and minima 4-7, whose
// two high bits are on top of bytes 0-3 and 4-7.
CK_INLINE void scale_and_min(const uint8_t *block, int group, float *scale, float *min) {
    const uint8_t *packed = block + 4;
    int s, m;
    if (group < 4) {
        s = packed[group] & 63;
        m = packed[group + 4] & 63;
    } else {
        s = (packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4;
        m = packed[group + 4] >> 4 | (packed[group] >> 6) << 4;
    }
    *scale = half_at(block) * (float)s;
    *min = half_at(block + 2) * (float)m;
}

// head[16] q[128]: 32 bytes hold 64 weights, first the low nibbles, then the high ones.
static void q4_k(float *restrict out, const uint8_t *restrict block) {
    for (int group = 0; group < 8; group++) {
        const uint8_t *q = block + 16 + 32 * (group / 2);
        int shift = 4 * (group % 2);
        float scale, min;
        scale_and_min(block, group, &scale, &min);
        for (int j = 0; j < 32; j++) out[32 * group + j] = scale * (float)((q[j] >> shift) & 15) - min;
    }
}

// head[16] high[32] q[128]: bit g of high[j] is the fifth bit of weight j of group g.
static void q5_k(float *restrict out, const uint8_t *restrict block) {
    const uint8_t *high = block + 16;
    for (int group = 0; group < 8; group++) {
        const uint8_t *q = block + 48 + 32 * (group / 2);
        int shift = 4 * (group % 2);
        float scale, min;
        scale_and_min(block, group, &scale, &min);
        for (int j = 0; j < 32; j++) {
            int weight = ((q[j] >> shift) & 15) | ((high[j] >> group) & 1) << 4;
            out[32 * group + j] = scale * (float)weight - min;
        }
    }
}

// low[128] high[64] scales[16] (signed, one for 16 weights) d[2]: two halves of 128 weights, each four groups of 32. Groups 0 and 1 are the
// low nibbles of the half's 64 low bytes, groups 2 and 3 the high nibbles; two bits of the half's 32 high bytes for each group.
static void q6_k(float *restrict out, const uint8_t *restrict block) {
    float d = half_at(block + 208);
    for (int group = 0; group < 8; group++) {
        int half = group / 4, part = group % 4, shift = 4 * (part / 2);
        const uint8_t *low = block + 64 * half + 32 * (part % 2), *high = block + 128 + 32 * half;
        const uint8_t *scales = block + 192 + 2 * group;
        for (int j = 0; j < 32; j++) {
            int weight = (((low[j] >> shift) & 15) | ((high[j] >> (2 * part)) & 3) << 4) - 32;
            out[32 * group + j] = d * (float)(int8_t)scales[j / 16] * (float)weight;
        }
    }
}

typedef struct {
    size_t weights, bytes;
    size_t scales_at, scale_count;  // the FP16 scale, or scale and minimum, in a block
    void (*dequantize)(float *restrict out, const uint8_t *restrict block);
} codec;

static const codec codecs[] = {
    [CK_Q4_0] = {32, 18, 0, 1, q4_0},   [CK_Q4_1] = {32, 20, 0, 2, q4_1},   [CK_Q5_0] = {32, 22, 0, 1, q5_0},
    [CK_Q5_1] = {32, 24, 0, 2, q5_1},   [CK_Q8_0] = {32, 34, 0, 1, q8_0},   [CK_Q4_K] = {256, 144, 0, 2, q4_k},
    [CK_Q5_K] = {256, 176, 0, 2, q5_k}, [CK_Q6_K] = {256, 210, 208, 1, q6_k},
};

static const codec *find(ck_block_type type) {
    static const codec none = {0};
    size_t index = (size_t)type;
    return index < sizeof codecs / sizeof *codecs ? &codecs[index] : &none;
}

size_t ck_block_weights(ck_block_type type) { return find(type)->weights; }

size_t ck_block_bytes(ck_block_type type) { return find(type)->bytes; }

void ck_dequantize(ck_block_type type, float *out, const uint8_t *in, size_t blocks) {
    const codec *c = find(type);
    if (!c->dequantize) return;
    for (size_t i = 0; i < blocks; i++) c->dequantize(out + i * c->weights, in + i * c->bytes);
}

size_t ck_first_nonfinite_block(ck_block_type type, const uint8_t *in, size_t blocks) {
    const codec *c = find(type);
    for (size_t i = 0; i < blocks; i++)
        for (size_t s = 0; s < c->scale_count; s++)
            if ((half_bits(in + i * c->bytes + c->scales_at + 2 * s) & 0x7C00u) == 0x7C00u) return i;
    return blocks;
}
