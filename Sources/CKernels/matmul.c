#include "ck_matmul.h"

#include <string.h>

#include "ck_threads.h"
#include "convert.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    PANEL = 16,            // outputs a panel
    TILE_ROWS = 6,         // rows of x in registers
    CHUNK_ROWS = 60,       // rows of x that stay in the L2 cache while panels stream by
    BLOCK_K = 1024,        // columns of x, likewise
    BLOCK_N_TRANSPOSED = 512,
    PANELS_TRANSPOSED = 4,
};

// A tile: y[rows][panels * 16] from x[rows][2 * pairs] and `panels` panels that lie `stride` elements apart, starting from init (row stride ldi,
// 0 for one row that serves all). x is FP32, or BF16 for the instruction set that multiplies BF16 itself; ldx counts its elements.
typedef struct {
    float *y;
    size_t ldy;
    const float *init;
    size_t ldi;
    const void *x;
    size_t ldx;
    const uint16_t *w;
    size_t stride, pairs;
} tile;

// The reference: one fused multiply-add after the other.
CK_INLINE void tile_scalar(tile t, int rows, int panels) {
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < panels * PANEL; o++) {
            const float *x = (const float *)t.x + (size_t)r * t.ldx;
            const uint16_t *w = t.w + (size_t)(o / PANEL) * t.stride + (size_t)(o % PANEL) * 2;
            float sum = t.init[(size_t)r * t.ldi + (size_t)o];
            for (size_t j = 0; j < t.pairs; j++, w += 2 * PANEL)
                sum = __builtin_fmaf(x[2 * j + 1], ck_bf16(w[1]), __builtin_fmaf(x[2 * j], ck_bf16(w[0]), sum));
            t.y[(size_t)r * t.ldy + (size_t)o] = sum;
        }
}

#if defined(__x86_64__)

CK_TARGET_AVX2 CK_INLINE void tile_avx2(tile t, int rows, int panels) {
    __m256 sum[TILE_ROWS][8];
    const __m256i high = _mm256_set1_epi32((int)0xFFFF0000);
    const int vectors = 2 * panels;
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) sum[r][v] = _mm256_loadu_ps(t.init + (size_t)r * t.ldi + (size_t)v * 8);
    const float *x = t.x;
    for (size_t j = 0; j < t.pairs; j++) {
        const uint16_t *w = t.w + j * 2 * PANEL;
#pragma clang loop unroll(full)
        for (int odd = 0; odd < 2; odd++)
#pragma clang loop unroll(full)
            for (int p = 0; p < panels; p++) {
                const __m256i *pairs = (const __m256i *)(const void *)(w + (size_t)p * t.stride);
                __m256i low_pairs = _mm256_loadu_si256(pairs), high_pairs = _mm256_loadu_si256(pairs + 1);
                __m256 w0 = _mm256_castsi256_ps(odd ? _mm256_and_si256(low_pairs, high) : _mm256_slli_epi32(low_pairs, 16));
                __m256 w1 = _mm256_castsi256_ps(odd ? _mm256_and_si256(high_pairs, high) : _mm256_slli_epi32(high_pairs, 16));
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r++) {
                    __m256 value = _mm256_broadcast_ss(x + (size_t)r * t.ldx + 2 * j + (size_t)odd);
                    sum[r][2 * p] = _mm256_fmadd_ps(value, w0, sum[r][2 * p]);
                    sum[r][2 * p + 1] = _mm256_fmadd_ps(value, w1, sum[r][2 * p + 1]);
                }
            }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) _mm256_storeu_ps(t.y + (size_t)r * t.ldy + (size_t)v * 8, sum[r][v]);
}

CK_TARGET_AVX512 CK_INLINE void tile_avx512(tile t, int rows, int panels) {
    __m512 sum[TILE_ROWS][8];
    const __m512i high = _mm512_set1_epi32((int)0xFFFF0000);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int p = 0; p < panels; p++) sum[r][p] = _mm512_loadu_ps(t.init + (size_t)r * t.ldi + (size_t)p * PANEL);
    const float *x = t.x;
    for (size_t j = 0; j < t.pairs; j++) {
        const uint16_t *w = t.w + j * 2 * PANEL;
#pragma clang loop unroll(full)
        for (int odd = 0; odd < 2; odd++)
#pragma clang loop unroll(full)
            for (int p = 0; p < panels; p++) {
                __m512i pairs = _mm512_loadu_si512(w + (size_t)p * t.stride);
                __m512 weight = _mm512_castsi512_ps(odd ? _mm512_and_si512(pairs, high) : _mm512_slli_epi32(pairs, 16));
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r++)
                    sum[r][p] = _mm512_fmadd_ps(_mm512_set1_ps(x[(size_t)r * t.ldx + 2 * j + (size_t)odd]), weight, sum[r][p]);
            }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int p = 0; p < panels; p++) _mm512_storeu_ps(t.y + (size_t)r * t.ldy + (size_t)p * PANEL, sum[r][p]);
}

// vdpbf16ps adds the product of the odd elements, then that of the even ones: another order than the others', the same one everywhere.
CK_TARGET_AVX512BF16 CK_INLINE void tile_avx512bf16(tile t, int rows, int panels) {
    __m512 sum[TILE_ROWS][8];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int p = 0; p < panels; p++) sum[r][p] = _mm512_loadu_ps(t.init + (size_t)r * t.ldi + (size_t)p * PANEL);
    const uint16_t *x = t.x;
    for (size_t j = 0; j < t.pairs; j++) {
        const uint16_t *w = t.w + j * 2 * PANEL;
#pragma clang loop unroll(full)
        for (int p = 0; p < panels; p++) {
            __m512i pairs = _mm512_loadu_si512(w + (size_t)p * t.stride);
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) {
                int pair;
                memcpy(&pair, x + (size_t)r * t.ldx + 2 * j, sizeof pair);
                sum[r][p] = _mm512_dpbf16_ps(sum[r][p], (__m512bh)_mm512_set1_epi32(pair), (__m512bh)pairs);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int p = 0; p < panels; p++) _mm512_storeu_ps(t.y + (size_t)r * t.ldy + (size_t)p * PANEL, sum[r][p]);
}

#endif

// One function a (rows, panels) shape. Few rows take several panels at once, to have eight or more independent chains.
#define CK_SHAPE(isa, target, rows, panels) \
    target static void isa##_##rows##x##panels(tile t) { tile_##isa(t, rows, panels); }
#define CK_SHAPES(isa, target, a, b, c, d, e, f)                                                                                      \
    CK_SHAPE(isa, target, 1, a)                                                                                                       \
    CK_SHAPE(isa, target, 2, b)                                                                                                       \
    CK_SHAPE(isa, target, 3, c)                                                                                                       \
    CK_SHAPE(isa, target, 4, d)                                                                                                       \
    CK_SHAPE(isa, target, 5, e)                                                                                                       \
    CK_SHAPE(isa, target, 6, f)

typedef struct {
    void (*wide[TILE_ROWS + 1])(tile);    // by rows, `panels[rows]` panels at once
    void (*narrow[TILE_ROWS + 1])(tile);  // by rows, one panel
    size_t panels[TILE_ROWS + 1];
    int x_is_bf16;
} shapes;

CK_SHAPES(scalar, , 1, 1, 1, 1, 1, 1)
#define CK_NARROW(isa) {0, isa##_1x1, isa##_2x1, isa##_3x1, isa##_4x1, isa##_5x1, isa##_6x1}

#if defined(__x86_64__)
CK_SHAPES(avx2, CK_TARGET_AVX2, 4, 2, 2, 1, 1, 1)
CK_SHAPE(avx2, CK_TARGET_AVX2, 1, 1)
CK_SHAPE(avx2, CK_TARGET_AVX2, 2, 1)
CK_SHAPE(avx2, CK_TARGET_AVX2, 3, 1)
CK_SHAPES(avx512, CK_TARGET_AVX512, 8, 4, 4, 4, 4, 4)
CK_SHAPES(avx512, CK_TARGET_AVX512, 1, 1, 1, 1, 1, 1)
CK_SHAPES(avx512bf16, CK_TARGET_AVX512BF16, 8, 4, 4, 4, 4, 4)
CK_SHAPES(avx512bf16, CK_TARGET_AVX512BF16, 1, 1, 1, 1, 1, 1)
#endif

static const shapes by_isa[] = {
    {CK_NARROW(scalar), CK_NARROW(scalar), {0, 1, 1, 1, 1, 1, 1}, 0},
#if defined(__x86_64__)
    {{0, avx2_1x4, avx2_2x2, avx2_3x2, avx2_4x1, avx2_5x1, avx2_6x1}, CK_NARROW(avx2), {0, 4, 2, 2, 1, 1, 1}, 0},
    {{0, avx512_1x8, avx512_2x4, avx512_3x4, avx512_4x4, avx512_5x4, avx512_6x4}, CK_NARROW(avx512), {0, 8, 4, 4, 4, 4, 4}, 0},
    {{0, avx512bf16_1x8, avx512bf16_2x4, avx512bf16_3x4, avx512bf16_4x4, avx512bf16_5x4, avx512bf16_6x4},
     CK_NARROW(avx512bf16),
     {0, 8, 4, 4, 4, 4, 4},
     1},
#endif
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t pairs_of(size_t k) { return (k + 1) / 2; }

static const float zeros[8 * PANEL];

// A product of `rows` rows with `panels` whole panels; `columns` of the outputs exist, the rest of the last panel is padding.
static void multiply_panels(const shapes *s, tile t, size_t rows, size_t panels, size_t columns) {
    size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (size_t i = 0; i < tiles; i++) {
        size_t first = rows * i / tiles, count = rows * (i + 1) / tiles - first;
        size_t element = s->x_is_bf16 ? sizeof(uint16_t) : sizeof(float);
        for (size_t p = 0; p < panels;) {
            size_t at_once = panels - p >= s->panels[count] ? s->panels[count] : 1, column = p * PANEL;
            tile one = t;
            one.y = t.y + first * t.ldy + column;
            one.init = t.init + first * t.ldi + (t.init == zeros ? 0 : column);
            one.x = (const char *)t.x + first * t.ldx * element;
            one.w = t.w + p * t.stride;
            void (*kernel)(tile) = at_once > 1 ? s->wide[count] : s->narrow[count];
            if (column + at_once * PANEL <= columns) {
                kernel(one);
            } else {  // the ragged end: one panel at a time, through a tile of our own
                float whole[TILE_ROWS * PANEL] = {0};
                size_t exist = columns - column < PANEL ? columns - column : PANEL;
                for (size_t r = 0; r < count; r++) memcpy(whole + r * PANEL, one.init + r * one.ldi, exist * sizeof(float));
                float *y = one.y;
                one.y = whole, one.ldy = PANEL, one.init = whole, one.ldi = PANEL, at_once = 1;
                s->narrow[count](one);
                for (size_t r = 0; r < count; r++) memcpy(y + r * t.ldy, whole + r * PANEL, exist * sizeof(float));
            }
            p += at_once;
        }
    }
}

static void expand(float *out, const uint16_t *x, size_t ldx, size_t rows, size_t k) {
    for (size_t r = 0; r < rows; r++) ck_bf16_to_f32(out + r * k, x + r * ldx, k);
}

typedef struct {
    float *y;
    size_t ldy;
    const uint16_t *x, *packed;
    size_t m, k, n, group, groups;
    const float *bias;
    int accumulate;
} product;

static void product_task(void *context, size_t index) {
    const product *a = context;
    const shapes *s = &by_isa[ck_isa()];
    size_t row = index / a->groups * CHUNK_ROWS, rows = least(CHUNK_ROWS, a->m - row);
    size_t panel = index % a->groups * a->group, panels = least(a->group, (a->n + PANEL - 1) / PANEL - panel);
    size_t column = panel * PANEL, stride = pairs_of(a->k) * 2 * PANEL;
    float *y = a->y + row * a->ldy + column;
    size_t k = 0;
    do {  // also when k is 0: an empty sum
        size_t block = least(BLOCK_K, a->k - k);
        const uint16_t *x = a->x + row * a->k + k;
        tile t = {y, a->ldy, y, a->ldy, x, a->k, a->packed + panel * stride + k * PANEL, stride, block / 2};
        if (k == 0 && !a->accumulate) t.init = a->bias ? a->bias + column : zeros, t.ldi = 0;
        if (!s->x_is_bf16) {
            float *expanded = ck_scratch(CHUNK_ROWS * BLOCK_K * sizeof(float));
            expand(expanded, x, a->k, rows, block);
            t.x = expanded, t.ldx = block;
        }
        multiply_panels(s, t, rows, panels, a->n - column);
    } while ((k += BLOCK_K) < a->k);
}

void ck_matmul(
    float *y, size_t ldy, const uint16_t *x, size_t m, size_t k, const uint16_t *packed, size_t n, const float *bias, int accumulate) {
    size_t panels = (n + PANEL - 1) / PANEL, chunks = (m + CHUNK_ROWS - 1) / CHUNK_ROWS;
    size_t group = panels / ((size_t)ck_threads() * 4);
    group = group < 1 ? 1 : group > 16 ? 16 : group;
    product a = {y, ldy, x, packed, m, k, n, group, (panels + group - 1) / group, bias, accumulate};
    ck_parallel_for(chunks * a.groups, product_task, &a);
}

// The 16 columns k .. k + 15 of panel `w` (16 rows of W) as eight pairs along the rows: a 16 x 16 transposition.
static void transpose_panel(uint16_t *restrict out, const uint16_t *restrict w) {
    for (size_t column = 0; column < PANEL; column += 2)
        for (size_t row = 0; row < PANEL; row += 2) {
            const uint16_t *from = w + column * PANEL + row * 2;
            uint16_t *to = out + row * PANEL + column * 2;
            to[0] = from[0], to[1] = from[2], to[2] = from[1], to[3] = from[3];
        }
}

typedef struct {
    float *dx;
    const uint16_t *dy, *packed;
    size_t lddy, m, n, k;
    int accumulate;
} product_nn;

static void product_nn_task(void *context, size_t index) {
    const product_nn *a = context;
    const shapes *s = &by_isa[ck_isa()];
    size_t column = index * PANELS_TRANSPOSED * PANEL, columns = a->k - column, stride = pairs_of(a->k) * 2 * PANEL;
    size_t panels = least(PANELS_TRANSPOSED, (columns + PANEL - 1) / PANEL);
    float *dx = a->dx + column;
    size_t panel_size = BLOCK_N_TRANSPOSED * PANEL;
    uint16_t *transposed = ck_scratch(PANELS_TRANSPOSED * panel_size * sizeof(uint16_t) + CHUNK_ROWS * BLOCK_N_TRANSPOSED * sizeof(float));
    float *expanded = (float *)(void *)(transposed + PANELS_TRANSPOSED * panel_size);
    size_t n = 0;
    do {
        size_t block = least(BLOCK_N_TRANSPOSED, (a->n - n + 1) & ~(size_t)1);
        for (size_t p = 0; p < panels; p++)
            for (size_t row = 0; row < block; row += PANEL) {
                uint16_t edge[PANEL * PANEL] = {0};
                const uint16_t *w = a->packed + (n + row) / PANEL * stride + (column + p * PANEL) * PANEL;
                size_t exist = least(PANEL, columns - p * PANEL);
                if (exist < PANEL) {  // the last panel of a matrix whose k is no multiple of 16
                    memcpy(edge, w, pairs_of(exist) * 2 * PANEL * sizeof(uint16_t));
                    w = edge;
                }
                transpose_panel(transposed + p * panel_size + row * PANEL, w);
            }
        for (size_t row = 0; row < a->m; row += CHUNK_ROWS) {
            size_t rows = least(CHUNK_ROWS, a->m - row);
            const uint16_t *dy = a->dy + row * a->lddy + n;
            float *y = dx + row * a->k;
            tile t = {y, a->k, y, a->k, dy, a->lddy, transposed, panel_size, block / 2};
            if (n == 0 && !a->accumulate) t.init = zeros, t.ldi = 0;
            if (!s->x_is_bf16) {
                expand(expanded, dy, a->lddy, rows, block);
                t.x = expanded, t.ldx = block;
            }
            multiply_panels(s, t, rows, panels, columns);
        }
    } while ((n += BLOCK_N_TRANSPOSED) < a->n);
}

void ck_matmul_nn(float *dx, const uint16_t *dy, size_t lddy, size_t m, const uint16_t *packed, size_t n, size_t k, int accumulate) {
    product_nn a = {dx, dy, packed, lddy, m, n, k, accumulate};
    size_t columns = PANELS_TRANSPOSED * PANEL;
    ck_parallel_for((k + columns - 1) / columns, product_nn_task, &a);
}
