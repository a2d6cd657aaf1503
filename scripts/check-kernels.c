// Runs the C core on arrays of exactly their size, odd shapes first, and compares its products with a chain of multiply-adds of its own, its
// attention with FP64: the driver of scripts/check-avx512 (CK_EMULATED: the AVX-512 tiles over SIMDe) and of scripts/sanitize-c (what this CPU
// has, under sanitizers).
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "CKernels.h"

#if defined(CK_EMULATED)
// In the place of isa.c, which would refuse what this CPU lacks.
static ck_isa_level emulated_level;
ck_isa_level ck_isa(void) { return emulated_level; }
int ck_set_isa(ck_isa_level level) { return level < CK_ISA_AVX512 ? 0 : (emulated_level = level, 1); }  // the others run as they are
const char *ck_isa_name(ck_isa_level level) { return (const char *[]){"scalar", "avx2", "avx512", "avx512vnni", "avx512bf16"}[level]; }
#endif

static uint64_t state = 1;
static long failures, compared;

static float uniform(void) {  // in [-1, 1)
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(state >> 32) * 0x1p-31f;
}

// Aligned as the model's memory is: what is streamed needs whole lines of the caches.
static void *array(size_t count, size_t size) {
    void *memory;
    return posix_memalign(&memory, 64, count * size + (count * size == 0)) == 0 ? memory : (perror("posix_memalign"), exit(1), NULL);
}

static float *floats(size_t count, float scale) {
    float *x = array(count, sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = uniform() * scale;
    return x;
}

static uint16_t *halves(size_t count, float scale) {
    float *x = floats(count, scale);
    uint16_t *out = array(count, sizeof *out);
    ck_f32_to_bf16(out, x, count);
    free(x);
    return out;
}

static float widen(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return x;
}

static float flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

// What one output must be: count products, in pairs for vdpbf16ps, which takes the odd one first and has no subnormal numbers.
static float chain(ck_isa_level level, float sum, const uint16_t *x, const uint16_t *w, size_t stride, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t j = level == CK_ISA_AVX512BF16 && (i ^ 1) < count ? i ^ 1 : i;
        float a = widen(x[j]), b = widen(w[j * stride]);
        sum = level == CK_ISA_AVX512BF16 ? flush(fmaf(flush(a), flush(b), flush(sum))) : fmaf(a, b, sum);
    }
    return sum;
}

// Bit for bit, or (SIMDe's own vdpbf16ps) within the rounding of `size`, the sum of the terms' magnitudes.
static void compare(const char *what, ck_isa_level level, float found, float expected, float size, size_t m, size_t n, size_t k) {
    compared++;
#if defined(EMULATED_SIMDE_DPBF16)
    // Every step may also flush a subnormal number, which SIMDe does not.
    float bound = level == CK_ISA_AVX512BF16 ? (float)(m + n + k) * (0x1p-23f * size + 0x1p-125f) : 0;
    int same = fabsf(found - expected) <= bound;
#else
    (void)size;
    int same = memcmp(&found, &expected, sizeof found) == 0;
#endif
    if (!same && failures++ < 10)
        printf("%s, %s, m %zu, n %zu, k %zu: %a where %a is right\n", what, ck_isa_name(level), m, n, k, (double)found, (double)expected);
}

static float magnitudes(const uint16_t *x, const uint16_t *w, size_t stride, size_t count) {
    float sum = 0;
    for (size_t i = 0; i < count; i++) sum += fabsf(widen(x[i]) * widen(w[i * stride]));
    return sum;
}

enum { ZERO, BIAS, HELD };

// y = x Wᵀ, twice in one call, and every row also alone: its bits may not depend on the tile that it was in.
static void check_product(ck_isa_level level, size_t m, size_t n, size_t k, float scale, int start) {
    size_t ldy = n + 1;
    uint16_t *x = halves(m * k, scale), *w = halves(n * k, scale), *packed = array(ck_packed_count(n, k), sizeof *packed);
    size_t count = (m - 1) * ldy + n;
    float *bias = floats(n, scale), *y = floats(count, scale), *held = array(count, sizeof *held), *alone = array(n, sizeof *alone);
    float *second = array(m * n, sizeof *second);
    memcpy(held, y, count * sizeof *y);
    for (size_t r = 0; r < m; r++) memcpy(second + r * n, y + r * ldy, n * sizeof *y);
    ck_pack_rows(packed, w, 0, n, k);
    const float *start_bias = start == BIAS ? bias : NULL;
    ck_matmul((ck_output[]){{y, ldy, packed, n, start_bias}, {second, n, packed, n, start_bias}}, 2, x, m, k, start == HELD);
    for (size_t r = 0; r < m; r++) {
        memcpy(alone, held + r * ldy, n * sizeof *alone);
        ck_matmul(&(ck_output){alone, n, packed, n, start_bias}, 1, x + r * k, 1, k, start == HELD);
        for (size_t c = 0; c < n; c++) {
            float first = start == ZERO ? 0 : start == BIAS ? bias[c] : held[r * ldy + c];
            float size = fabsf(first) + magnitudes(x + r * k, w + c * k, 1, k);
            compare("product", level, y[r * ldy + c], chain(level, first, x + r * k, w + c * k, 1, k), size, m, n, k);
#if !defined(EMULATED_SIMDE_DPBF16)
            compare("row alone", level, alone[c], y[r * ldy + c], size, m, n, k);
            compare("second output", level, second[r * n + c], y[r * ldy + c], size, m, n, k);
#endif
        }
        if (r + 1 < m) compare("gap", level, y[r * ldy + n], held[r * ldy + n], 0, m, n, k);
    }
    free(x), free(w), free(packed), free(bias), free(y), free(held), free(alone), free(second);
}

// y = x Wᵀ in FP32: a chain too, of numbers that are rounded nowhere else.
static void check_product_f32(ck_isa_level level, size_t m, size_t n, size_t k, float scale, int start) {
    size_t ldy = n + 1, count = (m - 1) * ldy + n;
    float *x = floats(m * k, scale), *w = floats(n * k, scale), *bias = floats(n, scale), *y = floats(count, scale), *held = array(count, sizeof *held);
    memcpy(held, y, count * sizeof *y);
    ck_matmul_f32(&(ck_output){y, ldy, w, n, start == BIAS ? bias : NULL}, 1, x, m, k, start == HELD);
    for (size_t r = 0; r < m; r++) {
        for (size_t c = 0; c < n; c++) {
            float expected = start == ZERO ? 0 : start == BIAS ? bias[c] : held[r * ldy + c];
            for (size_t i = 0; i < k; i++) expected = fmaf(x[r * k + i], w[c * k + i], expected);
            compare("FP32 product", level, y[r * ldy + c], expected, 0, m, n, k);
        }
        if (r + 1 < m) compare("FP32 gap", level, y[r * ldy + n], held[r * ldy + n], 0, m, n, k);
    }
    free(x), free(w), free(bias), free(y), free(held);
}

// dx = dy W and dw = dyᵀ x; dy is rounded on the way, here it has nothing to round.
static void check_backward(ck_isa_level level, size_t m, size_t n, size_t k, float scale, int accumulate) {
    size_t even_n = n + n % 2, even_m = m + m % 2;  // the last pair of an odd count ends in zeros
    uint16_t *half = halves(even_m * even_n, scale), *turned = array(even_n * even_m, sizeof *turned);
    uint16_t *w = halves(even_n * k, scale), *x = halves(even_m * k, scale);
    uint16_t *packed = array(ck_packed_count(n, k), sizeof *packed), *packed_x = array(ck_packed_count(k, m), sizeof *packed_x);
    float *dy = array(m * n, sizeof *dy), *dx = floats(m * k, scale), *dw = floats(n * k, scale);
    float *held_dx = array(m * k, sizeof *dx), *held_dw = array(n * k, sizeof *dw);
    memcpy(held_dx, dx, m * k * sizeof *dx), memcpy(held_dw, dw, n * k * sizeof *dw);
    for (size_t r = 0; r < even_m; r++)
        for (size_t c = 0; c < even_n; c++) {
            if (r >= m || c >= n) half[r * even_n + c] = 0;
            turned[c * even_m + r] = half[r * even_n + c];
            if (r < m && c < n) dy[r * n + c] = widen(half[r * even_n + c]);
        }
    memset(w + n * k, 0, (even_n - n) * k * sizeof *w), memset(x + m * k, 0, (even_m - m) * k * sizeof *x);
    ck_pack_rows(packed, w, 0, n, k), ck_pack_transposed(packed_x, x, k, m);
    ck_matmul_nn(dx, dy, m, packed, n, k, accumulate), ck_matmul_tn(dw, dy, m, n, packed_x, k, accumulate);
    for (size_t r = 0; r < m; r++)
        for (size_t c = 0; c < k; c++) {
            float first = accumulate ? held_dx[r * k + c] : 0, size = fabsf(first) + magnitudes(half + r * even_n, w + c, k, n);
            compare("dx", level, dx[r * k + c], chain(level, first, half + r * even_n, w + c, k, even_n), size, m, n, k);
        }
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < k; c++) {
            float first = accumulate ? held_dw[r * k + c] : 0, size = fabsf(first) + magnitudes(turned + r * even_m, x + c, k, m);
            compare("dw", level, dw[r * k + c], chain(level, first, turned + r * even_m, x + c, k, even_m), size, m, n, k);
        }
    free(half), free(turned), free(w), free(x), free(packed), free(packed_x), free(dy), free(dx), free(dw), free(held_dx), free(held_dw);
}

static float half_value(const uint8_t *in) {
    float x;
    uint16_t bits;
    memcpy(&bits, in, sizeof bits);
    ck_f16_to_f32(&x, &bits, 1);
    return x;
}

// What ck_quantized.h promises of one output, from the packed bytes as it describes them.
static float quantized_output(ck_quantized_type type, const float *x, const uint8_t *packed, size_t row, size_t k, float y) {
    int four = type == CK_INT4 || type == CK_INT4_MIN, minima = type == CK_INT8_MIN || type == CK_INT4_MIN;
    size_t head = minima ? 128 : 32, step = head + (four ? 256 : 512), r = row % 16;
    for (size_t b = 0; b < k / 32; b++) {
        const uint8_t *in = packed + (row / 16 * (k / 32) + b) * step;
        float max = 0, scale, minimum = 0;
        for (size_t c = 0; c < 32; c++) max = fmaxf(max, fabsf(x[32 * b + c]));
        int dot = 0, sum = 0;
        for (size_t c = 0; c < 32; c++) {
            int a = max > 0 ? (int)lrintf(x[32 * b + c] * (127 / max)) : 0;
            int byte = in[head + 64 * ((four ? c % 16 : c) / 4) + 4 * r + c % 4];
            int w = !four ? (int8_t)byte : c < 16 ? byte & 15 : byte >> 4;
            dot += a * (type == CK_INT4 ? w - 8 : w), sum += a;
        }
        if (minima)
            memcpy(&scale, in + 4 * r, 4), memcpy(&minimum, in + 64 + 4 * r, 4);
        else
            scale = half_value(in + 2 * r);
        float x_scale = max / 127, factor = x_scale * scale, scaled_sum = x_scale * (float)sum;
        y = fmaf((float)dot, factor, y);
        if (minima) y = fmaf(scaled_sum, minimum, y);
    }
    return y;
}

// Weights of all bit patterns, the extreme ones often, and scales from 2^-7 to 8 of either sign.
static uint8_t *quantized_matrix(ck_quantized_type type, size_t n, size_t k) {
    int minima = type == CK_INT8_MIN || type == CK_INT4_MIN;
    size_t bytes = ck_quantized_bytes(type, n, k), step = k / 32 ? bytes / ((n + 15) / 16) / (k / 32) : bytes;
    uint8_t *packed = array(bytes, 1);
    for (size_t i = 0; i < bytes; i++) packed[i] = uniform() < 0.5f ? (uint8_t)(128 + 127 * uniform()) : uniform() < 0 ? 0x80 : 0x7F;
    for (size_t at = 0; at < bytes; at += step)
        for (size_t r = 0; r < 32; r++) {
            float single = uniform() * 8;
            uint16_t half;
            (void)ck_f32_to_f16(&half, &single, 1);
            if (minima)
                memcpy(packed + at + 4 * r, &single, 4);
            else if (r < 16)
                memcpy(packed + at + 2 * r, &half, 2);
        }
    return packed;
}

// y = x Wᵀ of every quantised type, bit for bit under every instruction set, twice in one call, every row also alone.
static void check_quantized(ck_isa_level level, ck_quantized_type type, size_t m, size_t n, size_t k, int with_bias) {
    size_t ldy = n + 1, count = (m - 1) * ldy + n;
    uint8_t *packed = quantized_matrix(type, n, k);
    float *x = floats(m * k, 2), *bias = floats(n, 9), *y = floats(count, 1), *held = array(count, sizeof *held), *alone = array(n, sizeof *alone);
    for (size_t i = 0; i < m * k; i += 7) x[i] = x[i] < 0 ? -2 : 2;  // so that many integers are extreme
    memcpy(held, y, count * sizeof *y);
    float *second = array(m * n, sizeof *second);
    const float *start = with_bias ? bias : NULL;
    ck_matmul_quantized((ck_output[]){{y, ldy, packed, n, start}, {second, n, packed, n, start}}, 2, type, x, CK_F32, m, k);
    for (size_t r = 0; r < m; r++) {
        ck_matmul_quantized(&(ck_output){alone, n, packed, n, start}, 1, type, x + r * k, CK_F32, 1, k);
        for (size_t c = 0; c < n; c++) {
            float expected = quantized_output(type, x + r * k, packed, c, k, with_bias ? bias[c] : 0);
            // Integer sums are exact: no set of instructions has another result.
            compare("quantised product", CK_ISA_SCALAR, y[r * ldy + c], expected, 0, m, n, k);
            compare("quantised row alone", CK_ISA_SCALAR, alone[c], y[r * ldy + c], 0, m, n, k);
            compare("second quantised output", CK_ISA_SCALAR, second[r * n + c], y[r * ldy + c], 0, m, n, k);
        }
        if (r + 1 < m) compare("gap", level, y[r * ldy + n], held[r * ldy + n], 0, m, n, k);
    }
    free(packed), free(x), free(bias), free(y), free(held), free(alone), free(second);
}

// Packing from numbers and blocks, unpacking: for the sanitizers.
static void exercise_quantized(size_t n, size_t k) {
    static const ck_block_type blocks[] = {CK_Q4_0, CK_Q4_1, CK_Q5_0, CK_Q5_1, CK_Q8_0, CK_Q4_K, CK_Q5_K, CK_Q6_K};
    float *w = floats(n * k, 1), *row = array(k, sizeof *row);
    for (int type = CK_INT8; type <= CK_INT4; type++) {
        void *packed = array(ck_quantized_bytes((ck_quantized_type)type, n, k), 1);
        failures += ck_quantize_rows(packed, (ck_quantized_type)type, w, CK_F32, 0, n, k) != 0;
        ck_unpack_quantized_row(row, CK_F32, packed, (ck_quantized_type)type, n - 1, k);
        free(packed);
    }
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        if (k % ck_block_weights(blocks[i])) continue;
        size_t bytes = n * k / ck_block_weights(blocks[i]) * ck_block_bytes(blocks[i]);
        uint8_t *in = array(bytes, 1);
        for (size_t j = 0; j < bytes; j++) in[j] = (uint8_t)(128 + 127 * uniform());
        void *packed = array(ck_quantized_bytes(ck_quantized_type_of(blocks[i]), n, k), 1);
        (void)ck_pack_blocks(packed, blocks[i], in, 0, n, k);
        ck_unpack_quantized_row(row, CK_F32, packed, ck_quantized_type_of(blocks[i]), n - 1, k);
        free(in), free(packed);
    }
    free(w), free(row);
}

// Everything else, for the sanitizers: that no element outside an array is read or written, and no two threads meet.
static void exercise(size_t rows, size_t n) {
    float *a = floats(rows * n, 3), *b = floats(rows * n, 3), *c = floats(rows * n, 3), *weight = floats(n, 1), *sums = floats(rows, 1);
    float *logprob = floats(rows, 1), *entropy = floats(rows, 1);
    uint16_t *half = array(rows * n, sizeof *half);
    uint16_t *packed = array(ck_packed_count(n, rows), sizeof *packed);
    int32_t *ids = array(rows, sizeof *ids);
    double *uniforms = array(rows, sizeof *uniforms);
    for (size_t r = 0; r < rows; r++) ids[r] = (int32_t)(r % n), uniforms[r] = fabs((double)uniform());
    ck_f32_to_bf16(half, a, rows * n), ck_bf16_to_f32(c, half, rows * n), ck_round_to_bf16(c, a, rows * n);
    ck_pack_transposed(packed, half, n, rows), ck_unpack_row(half, packed, n - 1, rows);
    (void)ck_f32_to_f16(half, a, rows * n), ck_f16_to_f32(c, half, rows * n);
    ck_add(a, b, rows * n), ck_rmsnorm(half, CK_BF16, a, weight, 1e-6f, rows, n), ck_rmsnorm(c, CK_F32, a, weight, 1e-6f, rows, n);
    ck_rmsnorm_backward(a, weight, b, c, sums, 1e-6f, rows, n < rows ? n : rows);
    ck_silu_mul(half, CK_BF16, a, b, rows * n), ck_silu_mul_backward(a, b, c, rows * n);
    ck_column_sums(weight, a, rows, n);
    float *table = floats(n * n, 1);
    ck_scatter_add(table, ids, a, rows, n);
    ck_log_softmax(c, rows, n, 1, ids, sums, logprob, entropy), ck_sample(ids, c, rows, n, 1, uniforms, sums, logprob, entropy);
    ck_log_softmax_backward(c, rows, n, 1, ids, sums, entropy, logprob, entropy), ck_argmax(ids, a, rows, n);
    ck_adamw_step step = {1e-3, 0.9, 0.999, 1e-8, 0.01, 1, 0.1, 0.001};
    float *m = array(rows * n, sizeof *m), *v = array(rows * n, sizeof *v);
    memset(m, 0, rows * n * sizeof *m), memset(v, 0, rows * n * sizeof *v);
    uint16_t *high = array(ck_packed_count(rows, n), sizeof *high), *low = array(rows * n, sizeof *low);
    ck_master whole = {.values = a, .rows = rows, .columns = n}, split = {.packed = high, .low = low, .rows = rows, .columns = n};
    ck_master_write(split, a, 0, rows), ck_adamw(whole, m, v, b, step), ck_adamw(split, m, v, b, step);
    ck_master_read(split, a, rows - 1, 1), (void)ck_sum_of_squares(a, rows * n);
    free(high), free(low);
    free(a), free(b), free(c), free(weight), free(sums), free(logprob), free(entropy), free(half), free(packed), free(ids);
    free(uniforms), free(table), free(m), free(v);
}

// Within FP32's rounding of a sum whose terms add up to about 1.
static void near(const char *what, ck_isa_level level, float found, double expected, size_t d) {
    compared++;
    if (!(fabs((double)found - expected) <= 1e-5 * (1 + fabs(expected))) && failures++ < 10)
        printf("%s, %s, d %zu: %g where %g is right\n", what, ck_isa_name(level), d, (double)found, expected);
}

// Attention and its gradients, compared with FP64; every row also alone: its bits may not depend on those beside it.
static void check_attention(ck_isa_level level, ck_type type, size_t d) {
    enum { FIRST = 5, PROMPT = 40, OWN = 17, KEYS = FIRST + PROMPT + 2 * OWN, ROWS = KEYS, HEADS = 14, KV = 2, GROUP = HEADS / KV };
    ck_keys keys[ROWS];
    for (size_t r = 0; r < FIRST; r++) keys[r] = (ck_keys){0, 0, 0, r + 1};
    for (size_t r = FIRST; r < FIRST + PROMPT; r++) keys[r] = (ck_keys){0, 0, FIRST, r - FIRST + 1};
    for (size_t r = FIRST + PROMPT; r < ROWS; r++) {
        size_t first = FIRST + PROMPT + (r < FIRST + PROMPT + OWN ? 0 : OWN);
        keys[r] = (ck_keys){FIRST, PROMPT, first, r - first + 1};
    }
    size_t q_count = ROWS * HEADS * d, k_count = KEYS * KV * d, size = type == CK_BF16 ? 2 : 4;
    float *q = floats(q_count, 1), *dout = floats(q_count, 1), *dq = floats(q_count, 1), *dk = floats(k_count, 1), *dv = floats(k_count, 1);
    uint16_t *k_half = halves(k_count, 1), *v_half = halves(k_count, 1);
    float *k = array(k_count, sizeof *k), *v = array(k_count, sizeof *v), *wide = array(q_count, sizeof *wide);
    for (size_t i = 0; i < k_count; i++) k[i] = widen(k_half[i]), v[i] = widen(v_half[i]);
    void *k_typed = type == CK_BF16 ? (void *)k_half : k, *v_typed = type == CK_BF16 ? (void *)v_half : v;
    char *out = array(q_count, size), *alone = array(HEADS * d, size);
    double *dk_exact = array(k_count, sizeof *dk_exact), *dv_exact = array(k_count, sizeof *dv_exact), *sum = array(2 * d, sizeof *sum);
    for (size_t i = 0; i < k_count; i++) dk_exact[i] = (double)dk[i], dv_exact[i] = (double)dv[i];

    ck_attention(out, q, k_typed, v_typed, type, keys, ROWS, HEADS, KV, d);
    for (size_t r = 0; r < ROWS; r++) {
        ck_attention(alone, q + r * HEADS * d, k_typed, v_typed, type, keys + r, 1, HEADS, KV, d);
        compared++;
        if (memcmp(alone, out + r * HEADS * d * size, HEADS * d * size) != 0 && failures++ < 10)
            printf("attention, %s, d %zu: row %zu alone is another\n", ck_isa_name(level), d, r);
    }
    ck_attention(wide, q, k, v, CK_F32, keys, ROWS, HEADS, KV, d);
    ck_attention_backward(dq, dk, dv, dout, q, k_typed, v_typed, type, keys, ROWS, HEADS, KV, d);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t head = 0; head < HEADS; head++) {
            const float *x = q + (r * HEADS + head) * d, *g = dout + (r * HEADS + head) * d;
            size_t n = keys[r].n0 + keys[r].n1, at[KEYS];
            double p[KEYS], dp[KEYS], total = 0, mean = 0, scale = 1 / sqrt((double)d), *output = sum, *gradient = sum + d;
            memset(sum, 0, 2 * d * sizeof *sum);
            for (size_t j = 0; j < n; j++) {
                at[j] = ((j < keys[r].n0 ? keys[r].start0 + j : keys[r].start1 + j - keys[r].n0) * KV + head / GROUP) * d;
                double score = 0;
                dp[j] = 0;
                for (size_t i = 0; i < d; i++) score += (double)x[i] * (double)k[at[j] + i], dp[j] += (double)g[i] * (double)v[at[j] + i];
                total += p[j] = exp(score * scale);
            }
            for (size_t j = 0; j < n; j++) mean += (p[j] /= total) * dp[j];
            for (size_t j = 0; j < n; j++)
                for (size_t i = 0; i < d; i++) {
                    double ds = p[j] * (dp[j] - mean) * scale;
                    output[i] += p[j] * (double)v[at[j] + i], gradient[i] += ds * (double)k[at[j] + i];
                    dk_exact[at[j] + i] += ds * (double)x[i], dv_exact[at[j] + i] += p[j] * (double)g[i];
                }
            for (size_t i = 0; i < d; i++) {
                near("attention", level, wide[(r * HEADS + head) * d + i], output[i], d);
                near("attention's dq", level, dq[(r * HEADS + head) * d + i], gradient[i], d);
            }
        }
    for (size_t i = 0; i < k_count; i++) {
        near("attention's dk", level, dk[i], dk_exact[i], d);
        near("attention's dv", level, dv[i], dv_exact[i], d);
    }
    free(q), free(dout), free(dq), free(dk), free(dv), free(k), free(v), free(k_half), free(v_half), free(wide), free(out), free(alone);
    free(dk_exact), free(dv_exact), free(sum);
}

#if !defined(CK_EMULATED)
static void exercise_rope(size_t rows, size_t heads, size_t d) {
    int32_t *position = array(rows, sizeof *position);
    for (size_t r = 0; r < rows; r++) position[r] = (int32_t)r;
    float *x = floats(rows * heads * d, 1), *angles = floats(rows * d / 2, 1);
    ck_rope(x, position, angles, angles, rows, heads, d, -1);
    free(position), free(x), free(angles);
}
#endif

#if !defined(CK_EMULATED)
static void visit(void *context, size_t index) { ((int *)context)[index]++; }

static void visit_all(void *context, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) visit(context, i);
}

static void nested(void *context, size_t index) {
    (void)context, (void)index;
    ck_set_threads(ck_threads());
    float x[40];
    memset(x, 0, sizeof x);
    uint16_t half[40], packed[1024];
    ck_f32_to_bf16(half, x, 40), ck_pack_rows(packed, half, 0, 4, 10);
    ck_matmul(&(ck_output){x, 4, packed, 4, NULL}, 1, half, 2, 10, 0);
}

static void *call(void *unused) {
    for (int i = 0; i < 200; i++) {
        int counts[100] = {0};
        ck_parallel_for(100, visit, counts);
        ck_parallel_ranges(100, 40, visit_all, counts);
        for (int j = 0; j < 100; j++)
            if (counts[j] != 2) __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
        ck_parallel_for(5, nested, NULL);
        ck_set_threads(1 + i % 4);
    }
    return unused;
}
#endif

int main(int argc, char **argv) {
    int quick = argc > 1 && strcmp(argv[1], "quick") == 0;
    for (ck_isa_level level = CK_ISA_SCALAR; level <= CK_ISA_AVX512BF16; level++) {
        if (!ck_set_isa(level)) {
#if !defined(__aarch64__)
            printf("%s: skipped\n", ck_isa_name(level));
#endif
            continue;
        }
        long before = compared;
        static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 60, 61};
        static const size_t outputs[] = {1, 16, 17, 64, 100, 128, 130, 200}, columns[] = {2, 18, 66, 1026, 2100};
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (size_t j = 0; j < sizeof outputs / sizeof *outputs; j++)
                for (size_t l = 0; l < sizeof columns / sizeof *columns; l++) {
                    size_t m = rows[i], n = outputs[j], k = columns[l];
                    if (m * n * k > (quick ? 200000u : 3000000u)) continue;
                    // 1e-19: products and sums around the least normal number.
                    check_product(level, m, n, k, (i + j) % 5 == 4 ? 1e-19f : 2, (int)((i + j + l) % 3));
                    check_product_f32(level, m, n, k - (j + l) % 2, (i + j) % 5 == 4 ? 1e-19f : 2, (int)((i + j + l) % 3));
                    check_backward(level, m, k, n, (i + j) % 5 == 4 ? 1e-19f : 2, (int)((i + j + l) % 2));
                    if (n > 1) check_backward(level, m, k - 1, n - 1, 2, (int)((i + j + l) % 2));
                }
        for (size_t d = 2; d <= 80; d += 26) check_attention(level, CK_F32, d), check_attention(level, CK_BF16, d);
        for (int type = CK_INT8; type <= CK_INT4_MIN; type++)
            for (size_t m = 1; m <= 13; m++)
                for (size_t n = 1; n < 60; n += 19) check_quantized(level, (ck_quantized_type)type, m, n, 32 * (1 + m * n % 5), (int)(m % 2));
        check_quantized(level, CK_INT8, 61, 18, 896, 0), check_quantized(level, CK_INT4, 61, 18, 896, 1);
        printf("%s: %ld outputs compared\n", ck_isa_name(level), compared - before);
#if !defined(CK_EMULATED)
        for (size_t i = 1; i < 40; i++) exercise(i, 1 + i * 7 % 67);
        exercise(3, 5000), exercise(70, 1025);
        for (size_t d = 2; d <= 80; d += 26) exercise_rope(31, 4, d);
        exercise_quantized(1, 32), exercise_quantized(17, 512), exercise_quantized(70, 96);
#endif
    }
#if !defined(CK_EMULATED)
    pthread_t callers[4];
    for (int i = 0; i < 4; i++)
        if (pthread_create(&callers[i], NULL, call, NULL) != 0) return perror("pthread_create"), 1;
    for (int i = 0; i < 4; i++) pthread_join(callers[i], NULL);
#endif
    printf(failures ? "FAILED: %ld\n" : "all as they should be\n", failures);
    return failures != 0;
}
