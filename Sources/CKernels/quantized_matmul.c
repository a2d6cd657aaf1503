#include <string.h>

#include "ck_threads.h"
#include "convert.h"
#include "quantized.h"
#include "vector.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// Every rounding is written out: the compiler adds no fused multiply-add of its own.
#pragma STDC FP_CONTRACT OFF

enum {
    TILE_ROWS = 12,           // rows of x in registers, at most
    CHUNK_ROWS = 60,          // rows of x that stay in the L2 cache while panels stream by,
    CHUNK_BYTES = 256 << 10,  // as long as they are no more bytes than this
    GROUP_PANELS = 64,        // panels that all chunks pass before the next panels come, likewise
    FEW_ROWS_PANELS = 4,      // panels at least that a thread takes where memory is the limit: it is slow to begin
    // Bytes of weights that are asked for before they are used, into the first-level cache and into the second one: measured (docs/performance.md).
    SOON = 4096,
    SOON_AVX2 = 2048,
    NEXT = 8192
};

// 32 numbers of a row of x, scale * q each: this and then the integers, in 8 bits.
typedef struct {
    float scale, scaled_sum;  // scale * sum of q
    int32_t start;            // what the integer dot starts from
} x_head;

// How a kernel wants the rows of x. Where its weights are q + offset instead of q, the dot starts from -offset * sum, so that both cancel.
typedef struct {
    int offset;
    int halves;  // the dot's two 16-bit halves start from half of it each
} x_form;

enum { X_BYTES = sizeof(x_head) + CK_QUANTIZED_BLOCK };

// A tile: y[rows][16] from x[rows][blocks] (rows ldx bytes apart) and one panel, starting from one row of init.
typedef struct {
    float *y;
    size_t ldy;
    const float *init;
    const char *x;
    size_t ldx;
    const uint8_t *w;
    size_t blocks;
} tile;

// MARK: Quantising the rows of x

CK_INLINE void quantize_row_body(char *restrict out, x_form form, const void *restrict in, ck_type type, size_t blocks) {
    for (size_t b = 0; b < blocks; b++, out += X_BYTES) {
        float x[CK_QUANTIZED_BLOCK];
        for (size_t i = 0; i < CK_QUANTIZED_BLOCK; i++) x[i] = ck_load(in, type, b * CK_QUANTIZED_BLOCK + i);
        uint32_t largest = 0;  // magnitudes order like their bits, a NaN is the largest
        for (int i = 0; i < CK_QUANTIZED_BLOCK; i++) {
            uint32_t magnitude = ck_bits_from_float(x[i]) & 0x7FFFFFFFu;
            largest = magnitude > largest ? magnitude : largest;
        }
        float max = ck_float_from_bits(largest), inverse = max >= 1e-36f ? 127.0f / max : 0;
        int finite = largest < 0x7F800000u;
        int32_t q[CK_QUANTIZED_BLOCK], sum = 0;
        for (int i = 0; i < CK_QUANTIZED_BLOCK; i++) {
            // 1.5 * 2^23 and the product: the sum's low bits are the product, rounded to nearest even.
            q[i] = (int32_t)(ck_bits_from_float((finite ? x[i] : 0) * inverse + 12582912.0f) - 0x4B400000u);
            sum += q[i];
        }
        x_head head = {finite ? max / 127.0f : ck_float_from_bits(0x7FC00000u), 0, -form.offset * sum};
        head.scaled_sum = head.scale * (float)sum;
        if (form.halves) head.start = (int32_t)((uint32_t)(head.start / 2) << 16 | (uint16_t)(head.start / 2));
        memcpy(out, &head, sizeof head);
        int8_t bytes[CK_QUANTIZED_BLOCK];
        for (int i = 0; i < CK_QUANTIZED_BLOCK; i++) bytes[i] = (int8_t)q[i];
        memcpy(out + sizeof head, bytes, sizeof bytes);
    }
}
CK_KERNEL(quantize_row, (char *restrict out, x_form form, const void *restrict in, ck_type type, size_t blocks), (out, form, in, type, blocks))

// MARK: The tiles

// The reference.
CK_INLINE x_form form_scalar(ck_quantized_type type) { return (x_form){.offset = type == CK_INT4 ? 8 : 0}; }

CK_INLINE void tile_scalar(tile t, int rows, ck_quantized_type type) {
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < CK_PANEL; o++) {
            float y = t.init[o];
            const uint8_t *w = t.w;
            const char *x = t.x + (size_t)r * t.ldx;
            for (size_t b = 0; b < t.blocks; b++, w += ck_step_bytes(type), x += X_BYTES) {
                const x_head *head = (const x_head *)(const void *)x;
                const int8_t *a = (const int8_t *)(head + 1);
                const uint8_t *q = w + ck_head_bytes(type) + 4 * o;
                int32_t dot = head->start;
                for (int c = 0; c < CK_QUANTIZED_BLOCK; c++) {
                    int at = 4 * CK_PANEL * (c / 4) + c % 4;
                    if (ck_is_4_bit(type))
                        dot += a[c] * (c < 16 ? q[at] & 15 : q[at - 16 * CK_PANEL] >> 4);
                    else
                        dot += a[c] * (int8_t)q[at];
                }
                const float *singles = (const float *)(const void *)w;
                const uint16_t *halves = (const uint16_t *)(const void *)w;
                float scale = ck_has_minima(type) ? singles[o] : ck_f16(halves[o]);
                y = __builtin_fmaf((float)dot, head->scale * scale, y);
                if (ck_has_minima(type)) y = __builtin_fmaf(head->scaled_sum, singles[CK_PANEL + o], y);
            }
            t.y[(size_t)r * t.ldy + (size_t)o] = y;
        }
}

#define UNROLLED _Pragma("clang loop unroll(full)")

// Taller tiles find their weights in the cache, or compute for longer than memory takes.
CK_INLINE void ask_ahead(const uint8_t *w, size_t soon, int rows, ck_quantized_type type) {
    if (rows <= 4)
        UNROLLED for (size_t at = 0; at < ck_step_bytes(type); at += 64) {
            __builtin_prefetch(w + soon + at, 0, 3);
            __builtin_prefetch(w + NEXT + at, 0, 2);
        }
}

#if defined(__x86_64__)

// Clang would turn a chain of integer additions into a tree, whose parts do not fit the registers.
#if defined(CK_EMULATED)
#define IN_ORDER(sum)
#else
#define IN_ORDER(sum) __asm__("" : "+x"(sum))
#endif

CK_TARGET_AVX2 CK_INLINE __m256i broadcast_avx2(const void *four_bytes) {
    int four;
    memcpy(&four, four_bytes, sizeof four);
    return _mm256_set1_epi32(four);
}

// vpmaddubsw multiplies unsigned with signed bytes and adds pairs of products in 16 bits. 8-bit weights: their magnitudes times x with the weights'
// signs, at most 2 * 128 * 127, added to 32-bit sums. 4-bit ones, unsigned, give at most 2 * 15 * 127: a block's eight of them add up in 16 bits.
// With the start of -4 * sum they still do: at the end a half is the sum of (u - 4) x over its 16 columns less that of 4 x over the others, at most
// 16 * 11 * 127 + 16 * 4 * 127 = 30480, and what wraps on the way wraps back.
CK_INLINE x_form form_avx2(ck_quantized_type type) {
    return (x_form){.offset = type == CK_INT4 ? 8 : 0, .halves = ck_is_4_bit(type)};
}

CK_TARGET_AVX2 CK_INLINE void tile_avx2(tile t, int rows, ck_quantized_type type) {
    __m256 y[TILE_ROWS][2];
    const __m256i ones = _mm256_set1_epi16(1), low = _mm256_set1_epi8(15);
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int v = 0; v < 2; v++) y[r][v] = _mm256_loadu_ps(t.init + 8 * v);
    const uint8_t *w = t.w;
    const char *x = t.x;
    for (size_t b = 0; b < t.blocks; b++, w += ck_step_bytes(type), x += X_BYTES) {
        const uint8_t *q = w + ck_head_bytes(type);
        __m256i dot[TILE_ROWS][2];
        ask_ahead(w, SOON_AVX2, rows, type);
        UNROLLED for (int r = 0; r < rows; r++) {
            const x_head *head = (const x_head *)(const void *)(x + (size_t)r * t.ldx);
            UNROLLED for (int v = 0; v < 2; v++) dot[r][v] = _mm256_set1_epi32(head->start);
        }
        if (ck_is_4_bit(type))
            // 64 bytes: eight columns' nibbles, low and high.
            UNROLLED for (int g = 0; g < 8; g++) {
                __m256i weights[2];
                UNROLLED for (int v = 0; v < 2; v++) {
                    __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)(q + 64 * (g / 2) + 32 * v));
                    weights[v] = _mm256_and_si256(g % 2 ? _mm256_srli_epi16(both, 4) : both, low);
                }
                UNROLLED for (int r = 0; r < rows; r++) {
                    __m256i value = broadcast_avx2(x + (size_t)r * t.ldx + sizeof(x_head) + 4 * (g / 2) + 16 * (g % 2));
                    UNROLLED for (int v = 0; v < 2; v++) {
                        dot[r][v] = _mm256_add_epi16(dot[r][v], _mm256_maddubs_epi16(weights[v], value));
                        IN_ORDER(dot[r][v]);
                    }
                }
            }
        else
            // 32 bytes: four columns of eight outputs. One vector at a time, or sums would be spilled.
            UNROLLED for (int g = 0; g < 16; g++) {
                __m256i weights = _mm256_loadu_si256((const __m256i *)(const void *)(q + 32 * g)), magnitudes = _mm256_abs_epi8(weights);
                UNROLLED for (int r = 0; r < rows; r++) {
                    __m256i value = broadcast_avx2(x + (size_t)r * t.ldx + sizeof(x_head) + 4 * (g / 2));
                    __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(value, weights));
                    dot[r][g % 2] = _mm256_add_epi32(dot[r][g % 2], _mm256_madd_epi16(pairs, ones));
                    IN_ORDER(dot[r][g % 2]);
                }
                __asm__ volatile("" ::: "memory");
            }
        UNROLLED for (int v = 0; v < 2; v++) {
            const float *singles = (const float *)(const void *)w + 8 * v;
            __m256 scale = ck_has_minima(type) ? _mm256_loadu_ps(singles) : _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)w + v));
            UNROLLED for (int r = 0; r < rows; r++) {
                const x_head *head = (const x_head *)(const void *)(x + (size_t)r * t.ldx);
                if (ck_is_4_bit(type)) dot[r][v] = _mm256_madd_epi16(dot[r][v], ones);
                __m256 factor = _mm256_mul_ps(_mm256_set1_ps(head->scale), scale);
                y[r][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[r][v]), factor, y[r][v]);
                if (ck_has_minima(type)) y[r][v] = _mm256_fmadd_ps(_mm256_set1_ps(head->scaled_sum), _mm256_loadu_ps(singles + CK_PANEL), y[r][v]);
            }
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int v = 0; v < 2; v++) _mm256_storeu_ps(t.y + (size_t)r * t.ldy + (size_t)v * 8, y[r][v]);
}

// vpdpbusd adds four products of unsigned weights with x to a 32-bit sum. 8-bit weights become unsigned by adding 128.
CK_INLINE x_form form_vnni(ck_quantized_type type) { return (x_form){.offset = !ck_is_4_bit(type) ? 128 : type == CK_INT4 ? 8 : 0}; }

CK_TARGET_AVX512VNNI CK_INLINE void tile_vnni(tile t, int rows, ck_quantized_type type) {
    __m512 y[TILE_ROWS];
    const __m512i low = _mm512_set1_epi8(15), sign = _mm512_set1_epi8((char)0x80);
    UNROLLED for (int r = 0; r < rows; r++) y[r] = _mm512_loadu_ps(t.init);
    const uint8_t *w = t.w;
    const char *x = t.x;
    for (size_t b = 0; b < t.blocks; b++, w += ck_step_bytes(type), x += X_BYTES) {
        const uint8_t *q = w + ck_head_bytes(type);
        __m512i dot[TILE_ROWS];
        ask_ahead(w, SOON, rows, type);
        UNROLLED for (int r = 0; r < rows; r++) dot[r] = _mm512_set1_epi32(((const x_head *)(const void *)(x + (size_t)r * t.ldx))->start);
        // 64 bytes: four columns, or, of 4-bit types, four columns in the low and four in the high nibbles.
        UNROLLED for (int g = 0; g < (ck_is_4_bit(type) ? 4 : 8); g++)
            UNROLLED for (int half = 0; half < (ck_is_4_bit(type) ? 2 : 1); half++) {
                __m512i weights = _mm512_loadu_si512(q + 64 * g);
                weights = ck_is_4_bit(type) ? _mm512_and_si512(half ? _mm512_srli_epi16(weights, 4) : weights, low)
                                            : _mm512_xor_si512(weights, sign);
                UNROLLED for (int r = 0; r < rows; r++) {
                    int four;
                    memcpy(&four, x + (size_t)r * t.ldx + sizeof(x_head) + 4 * g + 16 * half, sizeof four);
                    dot[r] = _mm512_dpbusd_epi32(dot[r], weights, _mm512_set1_epi32(four));
                }
            }
        const float *singles = (const float *)(const void *)w;
        __m512 scale = ck_has_minima(type) ? _mm512_loadu_ps(singles) : _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)w));
        UNROLLED for (int r = 0; r < rows; r++) {
            const x_head *head = (const x_head *)(const void *)(x + (size_t)r * t.ldx);
            __m512 factor = _mm512_mul_ps(_mm512_set1_ps(head->scale), scale);
            y[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[r]), factor, y[r]);
            if (ck_has_minima(type)) y[r] = _mm512_fmadd_ps(_mm512_set1_ps(head->scaled_sum), _mm512_loadu_ps(singles + CK_PANEL), y[r]);
        }
    }
    UNROLLED for (int r = 0; r < rows; r++) _mm512_storeu_ps(t.y + (size_t)r * t.ldy, y[r]);
}

#elif defined(__aarch64__)

// sdot adds four products of signed bytes to a 32-bit sum: weights and x as they are.
CK_TARGET_NEON CK_INLINE void tile_neon(tile t, int rows, ck_quantized_type type) {
    float32x4_t y[TILE_ROWS][4];
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int v = 0; v < 4; v++) y[r][v] = vld1q_f32(t.init + 4 * v);
    const uint8_t *w = t.w;
    const char *x = t.x;
    for (size_t b = 0; b < t.blocks; b++, w += ck_step_bytes(type), x += X_BYTES) {
        const uint8_t *q = w + ck_head_bytes(type);
        int32x4_t dot[TILE_ROWS][4], values[TILE_ROWS][2];  // values: 32 columns of x, four a lane
        ask_ahead(w, SOON, rows, type);
        UNROLLED for (int r = 0; r < rows; r++) {
            const x_head *head = (const x_head *)(const void *)(x + (size_t)r * t.ldx);
            UNROLLED for (int v = 0; v < 4; v++) dot[r][v] = vdupq_n_s32(head->start);
            UNROLLED for (int half = 0; half < 2; half++) values[r][half] = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)(head + 1) + 16 * half));
        }
        // 64 bytes: four columns, or, of 4-bit types, four columns in the low and four in the high nibbles.
        UNROLLED for (int g = 0; g < (ck_is_4_bit(type) ? 4 : 8); g++)
            UNROLLED for (int v = 0; v < 4; v++) {
                uint8x16_t bytes = vld1q_u8(q + 64 * g + 16 * v);
                UNROLLED for (int half = 0; half < (ck_is_4_bit(type) ? 2 : 1); half++) {
                    uint8x16_t weights = !ck_is_4_bit(type) ? bytes : half ? vshrq_n_u8(bytes, 4) : vandq_u8(bytes, vdupq_n_u8(15));
                    UNROLLED for (int r = 0; r < rows; r++) {
                        int32x4_t four = vdupq_n_s32(values[r][half + g / 4][g % 4]);
                        dot[r][v] = vdotq_s32(dot[r][v], vreinterpretq_s8_u8(weights), vreinterpretq_s8_s32(four));
                    }
                }
            }
        UNROLLED for (int v = 0; v < 4; v++) {
            const float *singles = (const float *)(const void *)w + 4 * v;
            const __fp16 *halves = (const __fp16 *)(const void *)w + 4 * v;
            float32x4_t scale = ck_has_minima(type) ? vld1q_f32(singles) : vcvt_f32_f16(vld1_f16(halves));
            UNROLLED for (int r = 0; r < rows; r++) {
                const x_head *head = (const x_head *)(const void *)(x + (size_t)r * t.ldx);
                y[r][v] = vfmaq_f32(y[r][v], vcvtq_f32_s32(dot[r][v]), vmulq_n_f32(scale, head->scale));
                if (ck_has_minima(type)) y[r][v] = vfmaq_f32(y[r][v], vld1q_f32(singles + CK_PANEL), vdupq_n_f32(head->scaled_sum));
            }
        }
    }
    UNROLLED for (int r = 0; r < rows; r++)
        UNROLLED for (int v = 0; v < 4; v++) vst1q_f32(t.y + (size_t)r * t.ldy + 4 * v, y[r][v]);
}

#endif

// MARK: One function a height, type and instruction set, by pointer as in matmul_tiles.c

#define CK_SHAPE(isa, target, type, rows) \
    target static void isa##_##type##_##rows(const tile *t) { tile_##isa(*t, rows, type); }
#define CK_SHAPES_5(isa, target, type)                                                                                                \
    CK_SHAPE(isa, target, type, 1)                                                                                                    \
    CK_SHAPE(isa, target, type, 2)                                                                                                    \
    CK_SHAPE(isa, target, type, 3)                                                                                                    \
    CK_SHAPE(isa, target, type, 4)                                                                                                    \
    CK_SHAPE(isa, target, type, 5)
#define CK_SHAPES_12(isa, target, type)                                                                                               \
    CK_SHAPES_5(isa, target, type)                                                                                                    \
    CK_SHAPE(isa, target, type, 6)                                                                                                    \
    CK_SHAPE(isa, target, type, 7)                                                                                                    \
    CK_SHAPE(isa, target, type, 8)                                                                                                    \
    CK_SHAPE(isa, target, type, 9)                                                                                                    \
    CK_SHAPE(isa, target, type, 10)                                                                                                   \
    CK_SHAPE(isa, target, type, 11)                                                                                                   \
    CK_SHAPE(isa, target, type, 12)
#define CK_NAMES_5(isa, type) isa##_##type##_1, isa##_##type##_2, isa##_##type##_3, isa##_##type##_4, isa##_##type##_5
#define CK_NAMES_12(isa, type)                                                                                                        \
    CK_NAMES_5(isa, type), isa##_##type##_6, isa##_##type##_7, isa##_##type##_8, isa##_##type##_9, isa##_##type##_10,                 \
        isa##_##type##_11, isa##_##type##_12
#define CK_TYPES(shapes, isa, target)                                                                                                 \
    shapes(isa, target, CK_INT8) shapes(isa, target, CK_INT4) shapes(isa, target, CK_INT8_MIN) shapes(isa, target, CK_INT4_MIN)

#define CK_SHAPE_1(isa, target, type) CK_SHAPE(isa, target, type, 1)
CK_TYPES(CK_SHAPE_1, scalar, )
#if defined(__x86_64__)
CK_TYPES(CK_SHAPES_5, avx2, CK_TARGET_AVX2)
CK_TYPES(CK_SHAPES_12, vnni, CK_TARGET_AVX512VNNI)
#elif defined(__aarch64__)
CK_TYPES(CK_SHAPES_5, neon, CK_TARGET_NEON)
#endif

typedef struct {
    x_form (*form)(ck_quantized_type);
    size_t rows;                                    // of the tallest tile
    void (*tiles[4][TILE_ROWS + 1])(const tile *);  // by type and rows
} kernels;

static const kernels scalar = {form_scalar, 1, {{0, scalar_CK_INT8_1}, {0, scalar_CK_INT4_1}, {0, scalar_CK_INT8_MIN_1}, {0, scalar_CK_INT4_MIN_1}}};
#if defined(__x86_64__)
static const kernels avx2 = {
    form_avx2,
    5,
    {{0, CK_NAMES_5(avx2, CK_INT8)}, {0, CK_NAMES_5(avx2, CK_INT4)}, {0, CK_NAMES_5(avx2, CK_INT8_MIN)}, {0, CK_NAMES_5(avx2, CK_INT4_MIN)}},
};
static const kernels vnni = {
    form_vnni,
    12,
    {{0, CK_NAMES_12(vnni, CK_INT8)}, {0, CK_NAMES_12(vnni, CK_INT4)}, {0, CK_NAMES_12(vnni, CK_INT8_MIN)}, {0, CK_NAMES_12(vnni, CK_INT4_MIN)}},
};
static const kernels *const by_isa[] = {&scalar, &avx2, &avx2, &vnni, &vnni};
#elif defined(__aarch64__)
static const kernels neon = {
    form_scalar,
    5,
    {{0, CK_NAMES_5(neon, CK_INT8)}, {0, CK_NAMES_5(neon, CK_INT4)}, {0, CK_NAMES_5(neon, CK_INT8_MIN)}, {0, CK_NAMES_5(neon, CK_INT4_MIN)}},
};
static const kernels *const by_isa[] = {&scalar, &neon};
#else
static const kernels *const by_isa[] = {&scalar};
#endif

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

typedef struct {
    const ck_output *outputs;
    size_t count;
    const char *x;
    size_t m, blocks, row_bytes;
    size_t chunk, unit, panels;  // rows of a chunk, panels that are handed out together, panels of all outputs
    ck_quantized_type type;
    const kernels *kernels;
} product;

static size_t panels_of(const ck_output *o) { return (o->n + CK_PANEL - 1) / CK_PANEL; }

// One panel of an output times rows [row, row + rows), cut into tiles.
static void multiply_panel(const product *a, const ck_output *o, size_t panel, size_t row, size_t rows) {
    size_t column = panel * CK_PANEL, exist = least(CK_PANEL, o->n - column), tiles = (rows + a->kernels->rows - 1) / a->kernels->rows;
    const uint8_t *w = (const uint8_t *)o->packed + panel * a->blocks * ck_step_bytes(a->type);
    float init[CK_PANEL] = {0}, whole[TILE_ROWS * CK_PANEL];
    if (o->bias) memcpy(init, o->bias + column, exist * sizeof *init);
    for (size_t i = 0; i < tiles; i++) {
        size_t first = rows * i / tiles, count = rows * (i + 1) / tiles - first;
        float *y = o->y + (row + first) * o->ldy + column;
        tile t = {y, o->ldy, init, a->x + (row + first) * a->row_bytes, a->row_bytes, w, a->blocks};
        if (exist < CK_PANEL) t.y = whole, t.ldy = CK_PANEL;
        a->kernels->tiles[a->type][count](&t);
        if (exist < CK_PANEL)
            for (size_t r = 0; r < count; r++) memcpy(y + r * o->ldy, whole + r * CK_PANEL, exist * sizeof *y);
    }
}

// Panels [first, end) of all outputs, which follow one another, times rows [row, row + rows).
static void multiply_panels(const product *a, size_t first, size_t end, size_t row, size_t rows) {
    size_t before = 0;
    for (const ck_output *o = a->outputs; o < a->outputs + a->count; before += panels_of(o++))
        for (size_t panel = first > before ? first : before; panel < least(end, before + panels_of(o)); panel++)
            multiply_panel(a, o, panel - before, row, rows);
}

static void product_range(void *context, size_t first, size_t end) {
    const product *a = context;
    for (first *= a->unit, end = least(end * a->unit, a->panels); first < end; first += GROUP_PANELS)
        for (size_t row = 0; row < a->m; row += a->chunk)
            multiply_panels(a, first, least(first + GROUP_PANELS, end), row, least(a->chunk, a->m - row));
}

typedef struct {
    char *out;
    x_form form;
    const void *in;
    ck_type type;
    size_t m, blocks, row_bytes;
} quantization;

enum { TASK_ROWS = 8 };

static void quantize_task(void *context, size_t index) {
    const quantization *a = context;
    size_t in_bytes = a->blocks * CK_QUANTIZED_BLOCK * ck_size(a->type);
    for (size_t row = index * TASK_ROWS; row < a->m && row < (index + 1) * TASK_ROWS; row++)
        CK_CALL(quantize_row)(a->out + row * a->row_bytes, a->form, (const char *)a->in + row * in_bytes, a->type, a->blocks);
}

void ck_matmul_quantized(
    const ck_output *outputs, size_t count, ck_quantized_type type, const void *x, ck_type x_type, size_t m, size_t k) {
    const kernels *kernels = by_isa[ck_isa()];
    size_t blocks = k / CK_QUANTIZED_BLOCK, row_bytes = blocks * X_BYTES;
    char *quantized = ck_scratch(m * row_bytes);  // no task below takes scratch memory
    quantization q = {quantized, kernels->form(type), x, x_type, m, blocks, row_bytes};
    ck_parallel_for((m + TASK_ROWS - 1) / TASK_ROWS, quantize_task, &q);

    size_t fit = row_bytes ? CHUNK_BYTES / row_bytes / kernels->rows * kernels->rows : CHUNK_ROWS;
    size_t chunk = fit < kernels->rows ? kernels->rows : least(fit, CHUNK_ROWS);
    size_t unit = m <= kernels->rows ? FEW_ROWS_PANELS : 1, panels = 0;
    for (size_t i = 0; i < count; i++) panels += panels_of(&outputs[i]);
    product a = {outputs, count, quantized, m, blocks, row_bytes, chunk, unit, panels, type, kernels};
    ck_parallel_ranges((panels + unit - 1) / unit, panels, product_range, &a);
}
