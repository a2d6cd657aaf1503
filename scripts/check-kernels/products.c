#include "check.h"

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
    uint16_t *packed = array(ck_packed_count(n, k), sizeof *packed);
    void *packed_x = array(ck_transposed_bytes(m, k), 1);
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
    ck_pack_rows(packed, w, 0, n, k), ck_pack_transposed(packed_x, x, m, k);
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

void check_products(ck_isa_level level, int quick) {
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
    for (int type = CK_INT8; type <= CK_INT4_MIN; type++)
        for (size_t m = 1; m <= 13; m++)
            for (size_t n = 1; n < 60; n += 19) check_quantized(level, (ck_quantized_type)type, m, n, 32 * (1 + m * n % 5), (int)(m % 2));
    check_quantized(level, CK_INT8, 61, 18, 896, 0), check_quantized(level, CK_INT4, 61, 18, 896, 1);
}
