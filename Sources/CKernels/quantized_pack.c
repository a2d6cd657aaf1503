#include <stdatomic.h>
#include <string.h>

#include "blocks.h"
#include "ck_threads.h"
#include "convert.h"
#include "quantized.h"
#include "vector.h"

// Products and sums round one by one, as in ggml's reference code, and the same under every instruction set.
#pragma STDC FP_CONTRACT OFF

enum { TASK_ROWS = 64, SCALES = 19 };

size_t ck_quantized_bytes(ck_quantized_type type, size_t n, size_t k) {
    return (n + CK_PANEL - 1) / CK_PANEL * (k / CK_QUANTIZED_BLOCK) * ck_step_bytes(type);
}

// The 16 rows' blocks at one place along k before they are packed: by column, then row, so that the search runs over rows.
typedef struct {
    float scale[CK_PANEL], minimum[CK_PANEL];
    int32_t q[CK_QUANTIZED_BLOCK][CK_PANEL];
} step;

// Returns how many scales FP16 cannot hold.
static size_t store_step(uint8_t *out, ck_quantized_type type, const step *in) {
    size_t refused = 0;
    if (ck_has_minima(type)) {
        memcpy(out, in->scale, sizeof in->scale);
        memcpy(out + sizeof in->scale, in->minimum, sizeof in->minimum);
    } else {
        uint16_t half[CK_PANEL];
        for (int r = 0; r < CK_PANEL; r++) {
            half[r] = ck_to_f16(in->scale[r]);
            refused += (half[r] & 0x7C00u) == 0x7C00u;
        }
        memcpy(out, half, sizeof half);
    }
    uint8_t *q = out + ck_head_bytes(type);
    for (int c = 0; c < (ck_is_4_bit(type) ? 16 : CK_QUANTIZED_BLOCK); c++)
        for (int r = 0; r < CK_PANEL; r++)
            q[4 * CK_PANEL * (c / 4) + 4 * r + c % 4] = (uint8_t)(ck_is_4_bit(type) ? in->q[c][r] | in->q[c + 16][r] << 4 : in->q[c][r]);
    return refused;
}

// MARK: Quantising

// |x| as bits, which order like numbers; a NaN is the largest.
CK_INLINE uint32_t magnitude(float x) { return ck_bits_from_float(x) & 0x7FFFFFFFu; }

// To nearest even, for |x| < 2^22.
CK_INLINE float nearest(float x) { return (x + 12582912.0f) - 12582912.0f; }

// A NaN becomes `low`.
CK_INLINE float limit(float x, float low, float high) { return x > low ? x < high ? x : high : low; }

// x = d q with d = max|x| / 127, q rounded half away from zero: quantize_row_q8_0_ref.
CK_INLINE void quantize_8_bits_body(step *restrict out, float x[restrict CK_QUANTIZED_BLOCK][CK_PANEL]) {
    uint32_t max[CK_PANEL] = {0};
    float inverse[CK_PANEL];
    for (int c = 0; c < CK_QUANTIZED_BLOCK; c++)
        for (int r = 0; r < CK_PANEL; r++) max[r] = magnitude(x[c][r]) > max[r] ? magnitude(x[c][r]) : max[r];
    for (int r = 0; r < CK_PANEL; r++) {
        out->scale[r] = ck_float_from_bits(max[r]) / 127.0f;
        inverse[r] = out->scale[r] != 0 ? 1.0f / out->scale[r] : 0;
    }
    for (int c = 0; c < CK_QUANTIZED_BLOCK; c++)
        for (int r = 0; r < CK_PANEL; r++) {
            float value = limit(x[c][r] * inverse[r], -128, 127), whole = (float)(int32_t)value, rest = value - whole;
            out->q[c][r] = (int32_t)whole + (rest >= 0.5f) - (rest <= -0.5f);
        }
}
CK_KERNEL(quantize_8_bits, (step *restrict out, float x[restrict CK_QUANTIZED_BLOCK][CK_PANEL]), (out, x))

// x = d (q - 8). The element of largest magnitude lands on -8 times one of 19 factors around 1; for each, the best d for its integers is
// sum(x q) / sum(q q), which leaves the squared error sum(x x) - sum(x q)^2 / sum(q q). The last rounding is with d as FP16 holds it.
CK_INLINE void quantize_4_bits_body(step *restrict out, float x[restrict CK_QUANTIZED_BLOCK][CK_PANEL]) {
    float extreme[CK_PANEL] = {0}, best[CK_PANEL] = {0};
    for (int c = 0; c < CK_QUANTIZED_BLOCK; c++)
        for (int r = 0; r < CK_PANEL; r++) extreme[r] = magnitude(x[c][r]) > magnitude(extreme[r]) ? x[c][r] : extreme[r];
    for (int r = 0; r < CK_PANEL; r++) out->scale[r] = extreme[r] / -8.0f;
    for (int i = -SCALES / 2; i <= SCALES / 2; i++) {
        float inverse[CK_PANEL], products[CK_PANEL] = {0}, squares[CK_PANEL] = {0};
        for (int r = 0; r < CK_PANEL; r++) inverse[r] = extreme[r] != 0 ? (-8.0f + 0.1f * (float)i) / extreme[r] : 0;
        for (int c = 0; c < CK_QUANTIZED_BLOCK; c++)
            for (int r = 0; r < CK_PANEL; r++) {
                float q = nearest(limit(x[c][r] * inverse[r], -8, 7));
                products[r] += x[c][r] * q;
                squares[r] += q * q;
            }
        for (int r = 0; r < CK_PANEL; r++) {
            float gain = squares[r] > 0 ? products[r] * products[r] / squares[r] : 0;
            out->scale[r] = gain > best[r] ? products[r] / squares[r] : out->scale[r];
            best[r] = gain > best[r] ? gain : best[r];
        }
    }
    for (int r = 0; r < CK_PANEL; r++) {
        out->scale[r] = ck_f16(ck_to_f16(out->scale[r]));
        best[r] = out->scale[r] != 0 ? 1.0f / out->scale[r] : 0;  // its inverse from here on
    }
    for (int c = 0; c < CK_QUANTIZED_BLOCK; c++)
        for (int r = 0; r < CK_PANEL; r++) out->q[c][r] = (int32_t)nearest(limit(x[c][r] * best[r], -8, 7)) + 8;
}
CK_KERNEL(quantize_4_bits, (step *restrict out, float x[restrict CK_QUANTIZED_BLOCK][CK_PANEL]), (out, x))


// MARK: Packing

// Columns [32 * block, 32 * block + 32) of up to 16 rows with k columns, the missing rows zero.
static void gather(float x[CK_QUANTIZED_BLOCK][CK_PANEL], const void *in, ck_type type, size_t rows, size_t k, size_t block) {
    for (int c = 0; c < CK_QUANTIZED_BLOCK; c++)
        for (size_t r = 0; r < CK_PANEL; r++) x[c][r] = r < rows ? ck_load(in, type, r * k + block * CK_QUANTIZED_BLOCK + (size_t)c) : 0;
}

// The blocks of up to 16 rows at one place along k.
static void read_blocks(step *out, ck_block_type type, const uint8_t *in, size_t rows, size_t k, size_t block) {
    size_t groups = ck_block_weights(type) / CK_GROUP, bytes = ck_block_bytes(type), row_bytes = k / CK_GROUP / groups * bytes;
    for (size_t r = 0; r < CK_PANEL; r++) {
        ck_group group = {0};
        if (r < rows) ck_read_group(&group, type, in + r * row_bytes + block / groups * bytes, (int)(block % groups));
        out->scale[r] = group.scale, out->minimum[r] = group.minimum;
        int offset = type == CK_Q4_0 ? 8 : 0;
        for (int c = 0; c < CK_QUANTIZED_BLOCK; c++) out->q[c][r] = group.q[c] + offset;
    }
}

// A panel from up to 16 rows of numbers, or of blocks; the result is that of ck_quantize_rows.
static size_t pack_numbers(uint8_t *out, ck_quantized_type type, const void *in, ck_type in_type, size_t rows, size_t k) {
    size_t refused = 0;
    for (size_t b = 0; b < k / CK_QUANTIZED_BLOCK; b++, out += ck_step_bytes(type)) {
        float x[CK_QUANTIZED_BLOCK][CK_PANEL];
        step one;
        gather(x, in, in_type, rows, k, b);
        if (ck_is_4_bit(type))
            CK_CALL(quantize_4_bits)(&one, x);
        else
            CK_CALL(quantize_8_bits)(&one, x);
        refused += store_step(out, type, &one);
    }
    return refused;
}

static size_t pack_blocks(uint8_t *out, ck_quantized_type type, const uint8_t *in, ck_block_type in_type, size_t rows, size_t k) {
    if (in_type == CK_Q6_K) {
        float *values = ck_scratch(CK_PANEL * k * sizeof *values);
        ck_dequantize(in_type, values, in, rows * k / ck_block_weights(in_type));
        return pack_numbers(out, type, values, CK_F32, rows, k);
    }
    size_t refused = 0;
    for (size_t b = 0; b < k / CK_QUANTIZED_BLOCK; b++, out += ck_step_bytes(type)) {
        step one;
        read_blocks(&one, in_type, in, rows, k, b);
        refused += store_step(out, type, &one);
    }
    return refused;
}

typedef struct {
    uint8_t *packed;
    ck_quantized_type type;
    const void *numbers;  // of number_type, or
    ck_type number_type;
    const uint8_t *blocks;  // of block_type
    ck_block_type block_type;
    size_t first, count, k;
    atomic_size_t refused;
} packing;

static void pack_task(void *context, size_t index) {
    packing *a = context;
    size_t refused = 0;
    for (size_t row = index * TASK_ROWS; row < a->count && row < (index + 1) * TASK_ROWS; row += CK_PANEL) {
        size_t rows = a->count - row < CK_PANEL ? a->count - row : CK_PANEL;
        uint8_t *out = a->packed + ck_quantized_bytes(a->type, a->first + row, a->k);
        if (a->blocks) {
            const uint8_t *in = a->blocks + row * (a->k / ck_block_weights(a->block_type)) * ck_block_bytes(a->block_type);
            refused += pack_blocks(out, a->type, in, a->block_type, rows, a->k);
        } else {
            const char *in = (const char *)a->numbers + row * a->k * ck_size(a->number_type);
            refused += pack_numbers(out, a->type, in, a->number_type, rows, a->k);
        }
    }
    if (refused) atomic_fetch_add_explicit(&a->refused, refused, memory_order_relaxed);
}

static size_t pack(packing *a) {
    ck_parallel_for((a->count + TASK_ROWS - 1) / TASK_ROWS, pack_task, a);
    return a->refused;
}

size_t ck_quantize_rows(void *packed, ck_quantized_type type, const void *in, ck_type in_type, size_t first, size_t count, size_t k) {
    packing a = {.packed = packed, .type = type, .numbers = in, .number_type = in_type, .first = first, .count = count, .k = k};
    return pack(&a);
}

ck_quantized_type ck_quantized_type_of(ck_block_type type) {
    switch (type) {
    case CK_Q4_0: return CK_INT4;
    case CK_Q4_1:
    case CK_Q4_K: return CK_INT4_MIN;
    case CK_Q5_1:
    case CK_Q5_K: return CK_INT8_MIN;
    case CK_Q5_0:
    case CK_Q8_0:
    case CK_Q6_K: return CK_INT8;
    default: return CK_INT8;  // the other types are not packed as they are
    }
}

size_t ck_pack_blocks(void *packed, ck_block_type type, const uint8_t *blocks, size_t first, size_t count, size_t k) {
    packing a = {.packed = packed, .type = ck_quantized_type_of(type), .blocks = blocks, .block_type = type, .first = first, .count = count, .k = k};
    return pack(&a);
}

void ck_unpack_quantized_row(void *out, ck_type out_type, const void *packed, ck_quantized_type type, size_t row, size_t k) {
    const uint8_t *in = (const uint8_t *)packed + ck_quantized_bytes(type, row / CK_PANEL * CK_PANEL, k);
    size_t r = row % CK_PANEL;
    for (size_t first = 0; first < k; first += CK_QUANTIZED_BLOCK, in += ck_step_bytes(type)) {
        const uint8_t *q = in + ck_head_bytes(type) + 4 * r;
        const float *singles = (const float *)(const void *)in;
        const uint16_t *halves = (const uint16_t *)(const void *)in;
        float scale = ck_has_minima(type) ? singles[r] : ck_f16(halves[r]);
        for (size_t c = 0; c < CK_QUANTIZED_BLOCK; c++) {
            size_t at = 4 * CK_PANEL * (c / 4) + c % 4;
            int weight = !ck_is_4_bit(type) ? (int8_t)q[at] : c < 16 ? q[at] & 15 : q[at - 16 * CK_PANEL] >> 4;
            if (type == CK_INT4) weight -= 8;
            float value = scale * (float)weight;
            ck_store(out, out_type, first + c, ck_has_minima(type) ? value + singles[CK_PANEL + r] : value);
        }
    }
}
