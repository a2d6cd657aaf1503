#include "matmul_tiles.h"

#include <string.h>

#include "isa.h"
#include "vector.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum {
    LINE = 2 * CK_PANEL * sizeof(uint16_t),  // bytes of a BF16 panel's pair of columns: a line of the caches
    PAIRS = 4,    // pairs of columns that a tile takes at a time,
    FEW_ROWS = 8  // with AVX-512 where it has at most so many rows
};

// Bytes of a panel's pair of columns.
static size_t pair_bytes(ck_type type) { return type == CK_F32 ? 2 * LINE : LINE; }

// The reference: one fused multiply-add after the other.
CK_INLINE void multiply_scalar(ck_tile t, int rows, int panels, ck_type type) {
    size_t odd = type == CK_F32 ? CK_PANEL : 1;  // elements from a weight to the one of the next column
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < panels * CK_PANEL; o++) {
            const float *x = (const float *)t.x + r;
            const char *w = (const char *)t.w + (size_t)(o / CK_PANEL) * t.stride;
            size_t at = (size_t)(o % CK_PANEL) * (type == CK_F32 ? 1 : 2);
            float sum = t.init[(size_t)r * t.ldi + (size_t)o];
            for (size_t j = 0; j < t.pairs; j++, w += pair_bytes(type), x += 2 * rows)
                sum = __builtin_fmaf(x[rows], ck_load(w, type, at + odd), __builtin_fmaf(x[0], ck_load(w, type, at), sum));
            t.y[(size_t)r * t.ldy + (size_t)o] = sum;
        }
}
CK_INLINE void tile_scalar(ck_tile t, int rows, int panels) { multiply_scalar(t, rows, panels, CK_BF16); }
CK_INLINE void tile_scalar_f32(ck_tile t, int rows, int panels) { multiply_scalar(t, rows, panels, CK_F32); }

// What the tiles of every width share: sum[r][v] starts from init and ends in y; LANES numbers a vector.
#define CK_TILE_BEGIN(type, lanes, load)                                                                                      \
    const int vectors = panels * CK_PANEL / (lanes);                                                                             \
    type sum[CK_TILE_ROWS][CK_MOST_PANELS];                                                                                         \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++)                                                         \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) sum[r][v] = load(t.init + (size_t)r * t.ldi + v * (lanes));
#define CK_LEAP(left) \
    if (left == t.leap_at) t.soon += t.leap, t.next += t.leap
#define CK_PREFETCH                                                                                                           \
    _Pragma("clang loop unroll(full)") for (int p = 0; p < panels; p++)                                                       \
        __builtin_prefetch(t.next + (size_t)p * t.stride, 0, 2);
#define CK_TILE_STORE(lanes, store)                                                                                             \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++)                                                         \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) store(t.y + (size_t)r * t.ldy + v * (lanes), sum[r][v]);

#if defined(__x86_64__)

#define CK_TILE_END(lanes, vector)                        \
    if (t.stream) {                                       \
        CK_TILE_STORE(lanes, vector##_stream_ps)          \
    } else {                                              \
        CK_TILE_STORE(lanes, vector##_storeu_ps)          \
    }

// One pair of columns. The second vector's even columns are read two bytes earlier, in place already: a shift would compete with the multiply-adds
// for their units. The asm keeps the compiler from holding a panel's raw pairs in registers for the odd columns, and from having two panels' x at
// hand: it would spill sums instead.
CK_TARGET_AVX2 CK_INLINE void pair_avx2(
    __m256 sum[CK_TILE_ROWS][CK_MOST_PANELS], const float *x, const char *w, size_t stride, int rows, int panels, ck_type type) {
    const __m256i high = _mm256_set1_epi32((int)0xFFFF0000);
#pragma clang loop unroll(full)
    for (int p = 0; p < panels; p++, w += stride)
#pragma clang loop unroll(full)
        for (int odd = 0; odd < 2; odd++) {
            __m256 w0, w1;
            if (type == CK_F32) {
                w0 = _mm256_loadu_ps((const float *)(const void *)w + odd * CK_PANEL);
                w1 = _mm256_loadu_ps((const float *)(const void *)w + odd * CK_PANEL + CK_PANEL / 2);
            } else {
                __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)w);
                __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(w + LINE / 2 - (odd ? 0 : 2)));
                w0 = _mm256_castsi256_ps(odd ? _mm256_and_si256(first, high) : _mm256_slli_epi32(first, 16));
                w1 = _mm256_castsi256_ps(_mm256_and_si256(second, high));
            }
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) {
                __m256 value = _mm256_broadcast_ss(x + odd * rows + r);
                sum[r][2 * p] = _mm256_fmadd_ps(value, w0, sum[r][2 * p]);
                sum[r][2 * p + 1] = _mm256_fmadd_ps(value, w1, sum[r][2 * p + 1]);
            }
            __asm__ volatile("" ::: "memory");
        }
}

// The next `lines` cache lines of every panel.
CK_TARGET_AVX2 CK_INLINE void prefetch_avx2(const ck_tile *t, int panels, int lines) {
#pragma clang loop unroll(full)
    for (int i = 0; i < lines * panels; i++)
        _mm_prefetch(t->next + (size_t)(i / lines) * t->stride + i % lines * LINE, _MM_HINT_T1);
}

// Four pairs at a time: where another machine computes on the core's other thread, it is instructions that are short, not multiply-adds.
CK_TARGET_AVX2 CK_INLINE void multiply_avx2(ck_tile t, int rows, int panels, ck_type type) {
    CK_TILE_BEGIN(__m256, 8, _mm256_loadu_ps)
    const float *x = t.x;
    const char *w = t.w;
    size_t left = t.pairs, lines = PAIRS * t.next_step / LINE, step = pair_bytes(type);
    for (; left >= PAIRS; left -= PAIRS, w += PAIRS * step, x += PAIRS * 2 * rows, t.next += PAIRS * t.next_step) {
        // Every line while this goes on: half of them would hide the stream from the processor's own prefetcher.
        if (lines == PAIRS)
            prefetch_avx2(&t, panels, PAIRS);
        else if (lines > 0)
            prefetch_avx2(&t, panels, PAIRS / 2);
#pragma clang loop unroll(full)
        for (int i = 0; i < PAIRS; i++) pair_avx2(sum, x + i * 2 * rows, w + (size_t)i * step, t.stride, rows, panels, type);
    }
    for (; left > 0; left--, w += step, x += 2 * rows) pair_avx2(sum, x, w, t.stride, rows, panels, type);
    CK_TILE_END(8, _mm256)
}
CK_TARGET_AVX2 CK_INLINE void tile_avx2(ck_tile t, int rows, int panels) { multiply_avx2(t, rows, panels, CK_BF16); }
CK_TARGET_AVX2 CK_INLINE void tile_avx2_f32(ck_tile t, int rows, int panels) { multiply_avx2(t, rows, panels, CK_F32); }

// One column of one panel. The asm keeps the compiler from spilling: see pair_avx2.
CK_TARGET_AVX512 CK_INLINE void column_avx512(
    __m512 sum[CK_TILE_ROWS][CK_MOST_PANELS], int panel, const float *x, const char *w, int odd, int rows, ck_type type) {
    __m512i pairs = _mm512_loadu_si512(type == CK_F32 ? w + odd * LINE : w);
    __m512i value = type == CK_F32 ? pairs : odd ? _mm512_and_si512(pairs, _mm512_set1_epi32((int)0xFFFF0000)) : _mm512_slli_epi32(pairs, 16);
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++) sum[r][panel] = _mm512_fmadd_ps(_mm512_set1_ps(x[odd * rows + r]), _mm512_castsi512_ps(value), sum[r][panel]);
    __asm__ volatile("" ::: "memory");
}

CK_TARGET_AVX512 CK_INLINE void multiply_avx512(ck_tile t, int rows, int panels, ck_type type) {
    CK_TILE_BEGIN(__m512, 16, _mm512_loadu_ps)
    const float *x = t.x;
    const char *w = t.w;
    size_t left = t.pairs, step = pair_bytes(type);
    // Few rows wait for memory: four lines of a panel, then four of the next one, are what the processor's own prefetcher follows best.
    if (type == CK_BF16 && rows <= FEW_ROWS)
        for (; left >= PAIRS; left -= PAIRS, w += PAIRS * step, x += PAIRS * 2 * rows, t.soon += PAIRS * t.next_step, t.next += PAIRS * t.next_step) {
            CK_LEAP(left);
#pragma clang loop unroll(full)
            for (int p = 0; p < panels; p++)
#pragma clang loop unroll(full)
                for (int i = 0; i < PAIRS; i++) {
                    size_t line = (size_t)p * t.stride + (size_t)i * t.next_step;
                    if (t.next_step == LINE) _mm_prefetch(t.soon + line, _MM_HINT_T0);
                    _mm_prefetch(t.next + line, _MM_HINT_T1);
#pragma clang loop unroll(full)
                    for (int odd = 0; odd < 2; odd++) column_avx512(sum, p, x + i * 2 * rows, w + (size_t)p * t.stride + i * LINE, odd, rows, type);
                }
        }
    for (; left > 0; left--, w += step, x += 2 * rows, t.next += t.next_step) {
        CK_PREFETCH
#pragma clang loop unroll(full)
        for (int odd = 0; odd < 2; odd++)
#pragma clang loop unroll(full)
            for (int p = 0; p < panels; p++) column_avx512(sum, p, x, w + (size_t)p * t.stride, odd, rows, type);
    }
    CK_TILE_END(16, _mm512)
}
CK_TARGET_AVX512 CK_INLINE void tile_avx512(ck_tile t, int rows, int panels) { multiply_avx512(t, rows, panels, CK_BF16); }
CK_TARGET_AVX512 CK_INLINE void tile_avx512_f32(ck_tile t, int rows, int panels) { multiply_avx512(t, rows, panels, CK_F32); }

// vdpbf16ps adds the product of the odd elements, then that of the even ones: another order than the others', the same one everywhere.
CK_TARGET_AVX512BF16 CK_INLINE void tile_avx512bf16(ck_tile t, int rows, int panels) {
    CK_TILE_BEGIN(__m512, 16, _mm512_loadu_ps)
    const uint32_t *x = t.x;
    const char *w = t.w;
    for (size_t left = t.pairs; left > 0; left--, w += LINE, x += rows, t.next += t.next_step) {
        CK_LEAP(left);
        CK_PREFETCH
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            __m512i pairs = _mm512_loadu_si512(w + (size_t)v * t.stride);
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)_mm512_set1_epi32((int)x[r]), (__m512bh)pairs);
        }
    }
    CK_TILE_END(16, _mm512)
}

#elif defined(__aarch64__)

// A multiply-add takes its x from a vector that holds four rows: the 24 sums of six rows leave room for nothing else.
CK_INLINE void multiply_neon(ck_tile t, int rows, int panels, ck_type type) {
    CK_TILE_BEGIN(float32x4_t, 4, vld1q_f32)
    const float *x = t.x;
    const char *w = t.w;
    for (size_t left = t.pairs; left > 0; left--, w += pair_bytes(type), x += 2 * rows, t.next += t.next_step) {
        float32x4_t values[2][2];  // up to 8 numbers may be read past the last column's: left.h
        CK_LEAP(left);
        CK_PREFETCH
#pragma clang loop unroll(full)
        for (int i = 0; i < 4; i++)
            if (i / 2 * 4 < rows) values[i % 2][i / 2] = vld1q_f32(x + i % 2 * rows + i / 2 * 4);
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            const char *at = w + (size_t)(v / 4) * t.stride + v % 4 * 16;
            uint32x4_t pairs = vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)at));
#pragma clang loop unroll(full)
            for (int odd = 0; odd < 2; odd++) {
                if (type == CK_F32 && odd) pairs = vreinterpretq_u32_u8(vld1q_u8((const uint8_t *)at + LINE));
                float32x4_t weight = vreinterpretq_f32_u32(type == CK_F32 ? pairs : odd ? vandq_u32(pairs, vdupq_n_u32(0xFFFF0000)) : vshlq_n_u32(pairs, 16));
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r++) sum[r][v] = vfmaq_f32(sum[r][v], weight, vdupq_n_f32(values[odd][r / 4][r % 4]));
            }
            __asm__ volatile("" ::: "memory");  // or it spills: see pair_avx2
        }
    }
    CK_TILE_STORE(4, vst1q_f32)
}
CK_INLINE void tile_neon(ck_tile t, int rows, int panels) { multiply_neon(t, rows, panels, CK_BF16); }
CK_INLINE void tile_neon_f32(ck_tile t, int rows, int panels) { multiply_neon(t, rows, panels, CK_F32); }

#endif

// One function a (rows, panels) shape, by pointer: a copy would read the tile's fields before their stores can be forwarded.
#define CK_SHAPE(isa, target, rows, panels) \
    target static void isa##_##rows##x##panels(const ck_tile *t) { tile_##isa(*t, rows, panels); }
#define CK_SHAPES(isa, target, a, b, c, d, e, f)                                                                                      \
    CK_SHAPE(isa, target, 1, a)                                                                                                       \
    CK_SHAPE(isa, target, 2, b)                                                                                                       \
    CK_SHAPE(isa, target, 3, c)                                                                                                       \
    CK_SHAPE(isa, target, 4, d)                                                                                                       \
    CK_SHAPE(isa, target, 5, e)                                                                                                       \
    CK_SHAPE(isa, target, 6, f)

#define CK_TO_SIX(isa, a, b, c, d, e, f) 0, isa##_1x##a, isa##_2x##b, isa##_3x##c, isa##_4x##d, isa##_5x##e, isa##_6x##f
#define CK_NARROW(isa) CK_TO_SIX(isa, 1, 1, 1, 1, 1, 1)

CK_SHAPES(scalar, , 1, 1, 1, 1, 1, 1)
CK_SHAPES(scalar_f32, , 1, 1, 1, 1, 1, 1)
#define CK_TILES_SCALAR(isa, type) {{CK_NARROW(isa)}, {CK_NARROW(isa)}, {0, 1, 1, 1, 1, 1, 1}, {0, 8, 8, 8, 8, 8, 8}, 6, type, 0}

#if defined(__x86_64__)
#define CK_SHAPES_AVX2(isa)                          \
    CK_SHAPES(isa, CK_TARGET_AVX2, 4, 2, 2, 1, 1, 1) \
    CK_SHAPE(isa, CK_TARGET_AVX2, 1, 1)              \
    CK_SHAPE(isa, CK_TARGET_AVX2, 2, 1)              \
    CK_SHAPE(isa, CK_TARGET_AVX2, 3, 1)
CK_SHAPES_AVX2(avx2)
CK_SHAPES_AVX2(avx2_f32)
#define CK_SHAPES_TO_8(isa, target)          \
    CK_SHAPES(isa, target, 4, 4, 4, 4, 4, 4) \
    CK_SHAPE(isa, target, 7, 2)              \
    CK_SHAPE(isa, target, 8, 2)              \
    CK_SHAPES(isa, target, 1, 1, 1, 1, 1, 1) \
    CK_SHAPE(isa, target, 7, 1)              \
    CK_SHAPE(isa, target, 8, 1)
#define CK_SHAPES_TO_14(isa, target, panels) \
    CK_SHAPE(isa, target, 9, panels)         \
    CK_SHAPE(isa, target, 10, panels)        \
    CK_SHAPE(isa, target, 11, panels)        \
    CK_SHAPE(isa, target, 12, panels)        \
    CK_SHAPE(isa, target, 13, panels)        \
    CK_SHAPE(isa, target, 14, panels)
#define CK_SHAPES_AVX512(isa)                \
    CK_SHAPES_TO_8(isa, CK_TARGET_AVX512)    \
    CK_SHAPES_TO_14(isa, CK_TARGET_AVX512, 2) \
    CK_SHAPES_TO_14(isa, CK_TARGET_AVX512, 1)
CK_SHAPES_AVX512(avx512)
CK_SHAPES_AVX512(avx512_f32)
CK_SHAPES_TO_8(avx512bf16, CK_TARGET_AVX512BF16)
#define CK_WIDE_TO_8(isa) CK_TO_SIX(isa, 4, 4, 4, 4, 4, 4), isa##_7x2, isa##_8x2
#define CK_NARROW_TO_8(isa) CK_NARROW(isa), isa##_7x1, isa##_8x1
#define CK_TILES_AVX512(isa, type)                                                                             \
    {{CK_WIDE_TO_8(isa), isa##_9x2, isa##_10x2, isa##_11x2, isa##_12x2, isa##_13x2, isa##_14x2},              \
     {CK_NARROW_TO_8(isa), isa##_9x1, isa##_10x1, isa##_11x1, isa##_12x1, isa##_13x1, isa##_14x1},            \
     {0, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2}, {0, 8, 8, 8, 8, 8, 8, 4, 4, 8, 8, 8, 8, 8, 8}, 14, type, 0}
#elif defined(__aarch64__)
#define CK_SHAPES_NEON(isa)            \
    CK_SHAPES(isa, , 2, 2, 2, 1, 1, 1) \
    CK_SHAPE(isa, , 1, 1)              \
    CK_SHAPE(isa, , 2, 1)              \
    CK_SHAPE(isa, , 3, 1)
CK_SHAPES_NEON(neon)
CK_SHAPES_NEON(neon_f32)
#define CK_TILES_NEON(isa, type) {{CK_TO_SIX(isa, 2, 2, 2, 1, 1, 1)}, {CK_NARROW(isa)}, {0, 2, 2, 2, 1, 1, 1}, {0, 8, 8, 8, 8, 8, 8}, 6, type, 0}
#endif

// AVX2: six rows of raw pairs need more than its sixteen registers, 65 GFLOP/s on a core where five reach 94.
static const ck_tiles by_isa[] = {
    CK_TILES_SCALAR(scalar, CK_BF16),
#if defined(__x86_64__)
    {{0, avx2_1x4, avx2_2x2, avx2_3x2, avx2_4x1, avx2_5x1}, {CK_NARROW(avx2)}, {0, 4, 2, 2, 1, 1}, {0, 0, 2, 2, 2, 2}, 5, CK_BF16, 0},
    CK_TILES_AVX512(avx512, CK_BF16),
    CK_TILES_AVX512(avx512, CK_BF16),
    {{CK_WIDE_TO_8(avx512bf16)}, {CK_NARROW_TO_8(avx512bf16)}, {0, 4, 4, 4, 4, 4, 4, 2, 2}, {0, 4, 4, 4, 4, 4, 4, 8, 8}, 8, CK_BF16, 1},
#elif defined(__aarch64__)
    CK_TILES_NEON(neon, CK_BF16),
#endif
};

static const ck_tiles by_isa_f32[] = {
    CK_TILES_SCALAR(scalar_f32, CK_F32),
#if defined(__x86_64__)
    {{CK_TO_SIX(avx2_f32, 4, 2, 2, 1, 1, 1)}, {CK_NARROW(avx2_f32)}, {0, 4, 2, 2, 1, 1, 1}, {0}, 6, CK_F32, 0},
    CK_TILES_AVX512(avx512_f32, CK_F32),
    CK_TILES_AVX512(avx512_f32, CK_F32),
    CK_TILES_AVX512(avx512_f32, CK_F32),
#elif defined(__aarch64__)
    CK_TILES_NEON(neon_f32, CK_F32),
#endif
};

const ck_tiles *ck_matmul_tiles(void) { return &by_isa[ck_isa()]; }
const ck_tiles *ck_matmul_tiles_f32(void) { return &by_isa_f32[ck_isa()]; }

// Making FP32 of BF16 takes units from AVX-512's multiply-adds: 7 % of those of fourteen rows.
const ck_tiles *ck_matmul_tiles_turned(void) {
#if defined(__x86_64__)
    if (ck_isa() == CK_ISA_AVX512 || ck_isa() == CK_ISA_AVX512VNNI) return ck_matmul_tiles_f32();
#endif
    return ck_matmul_tiles();
}

const float ck_zeros[CK_MOST_PANELS * CK_PANEL];

// A tile that reaches past the last column: one panel, through a tile of our own.
static void ragged(ck_tile_kernel narrow, const ck_tile *tile, size_t rows, size_t columns) {
    float whole[CK_TILE_ROWS * CK_PANEL] = {0};
    for (size_t r = 0; r < rows; r++) memcpy(whole + r * CK_PANEL, tile->init + r * tile->ldi, columns * sizeof(float));
    ck_tile t = *tile;
    t.y = whole, t.ldy = CK_PANEL, t.init = whole, t.ldi = CK_PANEL, t.stream = 0;
    narrow(&t);
    for (size_t r = 0; r < rows; r++) memcpy(tile->y + r * tile->ldy, whole + r * CK_PANEL, columns * sizeof(float));
}

// `panels` panels of a tile, as many as rows like it have at once or one by one, of which `columns` columns exist (a ragged one comes alone).
static void multiply_tile(const ck_tiles *set, const ck_tile *tile, size_t rows, size_t panels, size_t columns) {
    if (columns < panels * CK_PANEL) return ragged(set->narrow[rows], tile, rows, columns);
    if (panels == set->panels[rows]) return set->wide[rows](tile);
    ck_tile t = *tile;
    for (size_t p = 0; p < panels; p++, t.y += CK_PANEL, t.w = (const char *)t.w + t.stride, t.init += t.init == ck_zeros ? 0 : CK_PANEL)
        set->narrow[rows](&t);
}

// What tile `index` of a strip asks for. A tile alone: what it, or the next one, will read. Otherwise the panels that follow in memory, half under each
// of the first two tiles: the second one reads nothing else from there.
static void ask_ahead(ck_tile *t, const ck_tiles *set, size_t tiles, size_t index, size_t rows, size_t panels) {
    t->soon = t->next = t->w, t->next_step = t->leap_at = 0;
    if (t->cached) return;
    if (tiles == 1 && set->type == CK_BF16 && set->ahead[rows] > 0) {
        size_t ahead = (set->ahead[rows] << 10) / panels, lines = ahead / LINE < t->pairs ? ahead / LINE : t->pairs;
        t->soon += ahead / 2, t->next += ahead, t->next_step = LINE;
        t->leap_at = t->pairs - (t->pairs - lines) / PAIRS * PAIRS, t->leap = (panels - 1) * t->stride;
    } else if (tiles > 1 && index < 2) {
        t->next_step = pair_bytes(set->type) / 2;
        t->next += panels * t->stride + t->pairs * t->next_step * index;
    }
}

void ck_strip_multiply(const ck_tiles *set, const ck_strip *rows, const ck_tile *tile, size_t columns) {
    size_t at_once = ck_strip_panels(set, rows), element = set->multiplies_bf16 ? 4 : 8, init_step = tile->init != ck_zeros;
    for (size_t column = 0, panels; column < columns; column += panels * CK_PANEL) {
        panels = at_once * CK_PANEL <= columns - column ? at_once : 1;
        for (size_t i = 0, row = 0, count; i < rows->tiles; i++, row += count) {
            count = ck_strip_tile_rows(rows, i);
            ck_tile t = *tile;
            t.y += row * t.ldy + column;
            t.init += row * t.ldi + init_step * column;
            t.w = (const char *)t.w + column / CK_PANEL * t.stride;
            t.x = (const char *)rows->x + row * t.pairs * element;
            ask_ahead(&t, set, rows->tiles, i, count, panels);
            multiply_tile(set, &t, count, panels, columns - column);
        }
    }
}

void ck_stream_end(void) {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}
