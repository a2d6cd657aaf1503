#include "ck_matmul.h"

#include <string.h>

#include "ck_threads.h"
#include "convert.h"
#include "left.h"
#include "panel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    PANEL = CK_PANEL,
    TILE_ROWS = CK_TILE_ROWS,
    CHUNK_ROWS = 60,    // rows of x that stay in the second-level cache while panels stream by;
    MOST_CHUNKS = 4,    // so many times as many where they are short
    BLOCK_K = 1216,     // columns of x, likewise, at most
    GROUP_PANELS = 64,  // panels a task, at most
    TURNED_K = 512,     // rows of W that are turned at once, of
    TURNED_PANELS = 16, // so many panels at most, for the second-level cache
    MOST_PANELS = 8,    // panels a tile, at most
    NEAR = 64 << 10,    // bytes of panels that one tile may ask for while it computes with others,
    AHEAD = 8 << 10,    // and how far ahead it asks for its own where they are more
    LAID_OUT = 16 << 20 // bytes of x that are laid out at a time for all tasks, at most, but for one chunk or block
};

// A tile: y[rows][panels * 16] from x, laid out by left.h, and `panels` panels that lie `stride` elements apart, starting from init (row stride
// ldi, 0 for one row that serves all).
typedef struct {
    float *y;
    size_t ldy;
    const float *init;
    size_t ldi;
    const void *x;
    const uint16_t *w;
    size_t stride, pairs;
    const char *next;  // what to prefetch, `next_step` bytes a pair of columns
    size_t next_step;
} tile;

// The reference: one fused multiply-add after the other.
CK_INLINE void tile_scalar(tile t, int rows, int panels) {
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < panels * PANEL; o++) {
            const float *x = (const float *)t.x + r;
            const uint16_t *w = (const uint16_t *)t.w + (size_t)(o / PANEL) * t.stride + (size_t)(o % PANEL) * 2;
            float sum = t.init[(size_t)r * t.ldi + (size_t)o];
            for (size_t j = 0; j < t.pairs; j++, w += 2 * PANEL, x += 2 * rows)
                sum = __builtin_fmaf(x[rows], ck_bf16(w[1]), __builtin_fmaf(x[0], ck_bf16(w[0]), sum));
            t.y[(size_t)r * t.ldy + (size_t)o] = sum;
        }
}

#if defined(__x86_64__)

// What the tiles of every width share: sum[r][v] starts from init and ends in y; LANES numbers a vector.
#define CK_TILE_BEGIN(type, lanes, load)                                                                                      \
    const int vectors = panels * PANEL / (lanes);                                                                             \
    type sum[TILE_ROWS][MOST_PANELS];                                                                                         \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++)                                                         \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) sum[r][v] = load(t.init + (size_t)r * t.ldi + v * (lanes));
#define CK_PREFETCH                                                                                                           \
    _Pragma("clang loop unroll(full)") for (int p = 0; p < panels; p++)                                                       \
        _mm_prefetch(t.next + (size_t)p * t.stride * sizeof(uint16_t), _MM_HINT_T1);
#define CK_TILE_END(lanes, store)                                                                                             \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < rows; r++)                                                         \
        _Pragma("clang loop unroll(full)") for (int v = 0; v < vectors; v++) store(t.y + (size_t)r * t.ldy + v * (lanes), sum[r][v]);

// One pair of columns. The second vector's even columns are read two bytes earlier, in place already: a shift would compete with the multiply-adds
// for their units. The asm keeps the compiler from holding a panel's raw pairs in registers for the odd columns, and from having two panels' x at
// hand: it would spill sums instead.
CK_TARGET_AVX2 CK_INLINE void pair_avx2(__m256 sum[TILE_ROWS][MOST_PANELS], const float *x, const uint16_t *w, size_t stride, int rows, int panels) {
    const __m256i high = _mm256_set1_epi32((int)0xFFFF0000);
#pragma clang loop unroll(full)
    for (int p = 0; p < panels; p++, w += stride)
#pragma clang loop unroll(full)
        for (int odd = 0; odd < 2; odd++) {
            __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)w);
            __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(w + PANEL - (odd ? 0 : 1)));
            __m256 w0 = _mm256_castsi256_ps(odd ? _mm256_and_si256(first, high) : _mm256_slli_epi32(first, 16));
            __m256 w1 = _mm256_castsi256_ps(_mm256_and_si256(second, high));
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++) {
                __m256 value = _mm256_broadcast_ss(x + odd * rows + r);
                sum[r][2 * p] = _mm256_fmadd_ps(value, w0, sum[r][2 * p]);
                sum[r][2 * p + 1] = _mm256_fmadd_ps(value, w1, sum[r][2 * p + 1]);
            }
            __asm__ volatile("" ::: "memory");
        }
}

// Four pairs at a time: where another machine computes on the core's other thread, it is instructions that are short, not multiply-adds.
CK_TARGET_AVX2 CK_INLINE void tile_avx2(tile t, int rows, int panels) {
    CK_TILE_BEGIN(__m256, 8, _mm256_loadu_ps)
    enum { PAIRS = 4 };
    const float *x = t.x;
    const uint16_t *w = t.w;
    size_t left = t.pairs;
    for (; left >= PAIRS; left -= PAIRS, w += PAIRS * 2 * PANEL, x += PAIRS * 2 * rows, t.next += PAIRS * t.next_step) {
        // All of what comes next under two tiles, half of it under a single one: to ask for all of it there is slower.
        if (t.next_step > 0)
#pragma clang loop unroll(full)
            for (int i = 0; i < 2 * panels; i++) _mm_prefetch(t.next + (size_t)(i / 2) * t.stride * sizeof(uint16_t) + i % 2 * 64, _MM_HINT_T1);
#pragma clang loop unroll(full)
        for (int i = 0; i < PAIRS; i++) pair_avx2(sum, x + i * 2 * rows, w + i * 2 * PANEL, t.stride, rows, panels);
    }
    for (; left > 0; left--, w += 2 * PANEL, x += 2 * rows) pair_avx2(sum, x, w, t.stride, rows, panels);
    CK_TILE_END(8, _mm256_storeu_ps)
}

CK_TARGET_AVX512 CK_INLINE void tile_avx512(tile t, int rows, int panels) {
    CK_TILE_BEGIN(__m512, 16, _mm512_loadu_ps)
    const __m512i high = _mm512_set1_epi32((int)0xFFFF0000);
    const float *x = t.x;
    const uint16_t *w = t.w;
    for (size_t j = 0; j < t.pairs; j++, w += 2 * PANEL, t.next += t.next_step) {
        CK_PREFETCH
#pragma clang loop unroll(full)
        for (int odd = 0; odd < 2; odd++, x += rows)
#pragma clang loop unroll(full)
            for (int v = 0; v < vectors; v++) {
                __m512i pairs = _mm512_loadu_si512(w + (size_t)v * t.stride);
                __m512 weight = _mm512_castsi512_ps(odd ? _mm512_and_si512(pairs, high) : _mm512_slli_epi32(pairs, 16));
#pragma clang loop unroll(full)
                for (int r = 0; r < rows; r++) sum[r][v] = _mm512_fmadd_ps(_mm512_set1_ps(x[r]), weight, sum[r][v]);
                __asm__ volatile("" ::: "memory");  // or it spills: see pair_avx2
            }
    }
    CK_TILE_END(16, _mm512_storeu_ps)
}

// vdpbf16ps adds the product of the odd elements, then that of the even ones: another order than the others', the same one everywhere.
CK_TARGET_AVX512BF16 CK_INLINE void tile_avx512bf16(tile t, int rows, int panels) {
    CK_TILE_BEGIN(__m512, 16, _mm512_loadu_ps)
    const uint32_t *x = t.x;
    const uint16_t *w = t.w;
    for (size_t j = 0; j < t.pairs; j++, w += 2 * PANEL, x += rows, t.next += t.next_step) {
        CK_PREFETCH
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) {
            __m512i pairs = _mm512_loadu_si512(w + (size_t)v * t.stride);
#pragma clang loop unroll(full)
            for (int r = 0; r < rows; r++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)_mm512_set1_epi32((int)x[r]), (__m512bh)pairs);
        }
    }
    CK_TILE_END(16, _mm512_storeu_ps)
}

#endif

// One function a (rows, panels) shape, by pointer: a copy would read the tile's fields before their stores can be forwarded.
#define CK_SHAPE(isa, target, rows, panels) \
    target static void isa##_##rows##x##panels(const tile *t) { tile_##isa(*t, rows, panels); }
#define CK_SHAPES(isa, target, a, b, c, d, e, f)                                                                                      \
    CK_SHAPE(isa, target, 1, a)                                                                                                       \
    CK_SHAPE(isa, target, 2, b)                                                                                                       \
    CK_SHAPE(isa, target, 3, c)                                                                                                       \
    CK_SHAPE(isa, target, 4, d)                                                                                                       \
    CK_SHAPE(isa, target, 5, e)                                                                                                       \
    CK_SHAPE(isa, target, 6, f)

typedef void (*kernel)(const tile *);

// Few rows take several panels at once, to have eight or more independent chains.
typedef struct {
    kernel wide[TILE_ROWS + 1];    // by rows, `panels[rows]` panels at once
    kernel narrow[TILE_ROWS + 1];  // by rows, one panel
    size_t panels[TILE_ROWS + 1];
    size_t rows;  // a tile's rows, at most
    int multiplies_bf16;
} instruction_set;

CK_SHAPES(scalar, , 1, 1, 1, 1, 1, 1)
#define CK_TO_SIX(isa, a, b, c, d, e, f) 0, isa##_1x##a, isa##_2x##b, isa##_3x##c, isa##_4x##d, isa##_5x##e, isa##_6x##f
#define CK_NARROW(isa) CK_TO_SIX(isa, 1, 1, 1, 1, 1, 1)

#if defined(__x86_64__)
CK_SHAPES(avx2, CK_TARGET_AVX2, 4, 2, 2, 1, 1, 1)
CK_SHAPE(avx2, CK_TARGET_AVX2, 1, 1)
CK_SHAPE(avx2, CK_TARGET_AVX2, 2, 1)
CK_SHAPE(avx2, CK_TARGET_AVX2, 3, 1)
#define CK_SHAPES_512(isa, target)               \
    CK_SHAPES(isa, target, 8, 4, 4, 4, 4, 4)     \
    CK_SHAPE(isa, target, 7, 2)                  \
    CK_SHAPE(isa, target, 8, 2)                  \
    CK_SHAPES(isa, target, 1, 1, 1, 1, 1, 1)     \
    CK_SHAPE(isa, target, 7, 1)                  \
    CK_SHAPE(isa, target, 8, 1)
CK_SHAPES_512(avx512, CK_TARGET_AVX512)
CK_SHAPES_512(avx512bf16, CK_TARGET_AVX512BF16)
#define CK_WIDE_512(isa) {CK_TO_SIX(isa, 8, 4, 4, 4, 4, 4), isa##_7x2, isa##_8x2}
#define CK_NARROW_512(isa) {CK_NARROW(isa), isa##_7x1, isa##_8x1}
#endif

// AVX2: six rows need more than its sixteen registers, 65 GFLOP/s on a core where five reach 94.
static const instruction_set by_isa[] = {
    {{CK_NARROW(scalar)}, {CK_NARROW(scalar)}, {0, 1, 1, 1, 1, 1, 1}, 6, 0},
#if defined(__x86_64__)
    {{0, avx2_1x4, avx2_2x2, avx2_3x2, avx2_4x1, avx2_5x1}, {CK_NARROW(avx2)}, {0, 4, 2, 2, 1, 1}, 5, 0},
    {CK_WIDE_512(avx512), CK_NARROW_512(avx512), {0, 8, 4, 4, 4, 4, 4, 2, 2}, 8, 0},
    {CK_WIDE_512(avx512bf16), CK_NARROW_512(avx512bf16), {0, 8, 4, 4, 4, 4, 4, 2, 2}, 8, 1},
#endif
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t round_up(size_t count, size_t to) { return (count + to - 1) / to * to; }

static const float zeros[MOST_PANELS * PANEL];

// Rows of a product that a task multiplies with its panels, cut into tiles whose heights differ by one at most, the taller ones first.
typedef struct {
    size_t row, rows, tiles;
    const void *x;  // the tiles one after the other, in 32-bit elements
} strip;

static size_t tile_rows(const strip *s, size_t tile) { return s->rows / s->tiles + (tile < s->rows % s->tiles); }

// 32-bit elements that a row of `columns` columns takes.
static size_t row_elements(const instruction_set *set, size_t columns) { return set->multiplies_bf16 ? (columns + 1) / 2 : columns + columns % 2; }

// A tile that reaches past the last column: one panel, through a tile of our own.
static void ragged(kernel narrow, tile t, size_t rows, size_t columns) {
    float whole[TILE_ROWS * PANEL] = {0};
    for (size_t r = 0; r < rows; r++) memcpy(whole + r * PANEL, t.init + r * t.ldi, columns * sizeof(float));
    float *y = t.y;
    size_t ldy = t.ldy;
    t.y = whole, t.ldy = PANEL, t.init = whole, t.ldi = PANEL;
    narrow(&t);
    for (size_t r = 0; r < rows; r++) memcpy(y + r * ldy, whole + r * PANEL, columns * sizeof(float));
}

// Every tile of the strip times `panels` panels that hold `columns` columns (a ragged one comes alone). t->y and t->init point at the strip's first row.
static void multiply_tiles(const instruction_set *set, const strip *rows, tile *t, size_t panels, size_t columns) {
    size_t step = 2 * PANEL * sizeof(uint16_t), bytes = panels * t->stride * sizeof(uint16_t), element = set->multiplies_bf16 ? 4 : 8;
    t->x = rows->x;
    for (size_t i = 0; i < rows->tiles; i++) {
        size_t count = tile_rows(rows, i);
        // The panels that follow in memory: half under each of the first two tiles, the second one reads nothing else from there. A tile alone asks
        // for all of them if they are few, otherwise for what it will itself read next.
        const char *w = (const char *)t->w;
        if (rows->tiles == 1)
            t->next = w + (bytes <= NEAR ? bytes : AHEAD / panels), t->next_step = step;
        else if (i < 2)
            t->next = w + bytes + t->pairs * step / 2 * i, t->next_step = step / 2;
        else
            t->next = w, t->next_step = 0;
        if (columns < panels * PANEL) {
            ragged(set->narrow[count], *t, count, columns);
        } else if (panels == set->panels[count]) {
            set->wide[count](t);
        } else {
            tile one = *t;
            for (size_t p = 0; p < panels; p++, one.y += PANEL, one.w += t->stride, one.init += t->init == zeros ? 0 : PANEL) set->narrow[count](&one);
        }
        t->y += count * t->ldy, t->init += count * t->ldi, t->x = (const char *)t->x + count * t->pairs * element;
    }
}

// How many panels the strip takes at once.
static size_t panels_at_once(const instruction_set *set, const strip *rows) { return set->panels[(rows->rows + rows->tiles - 1) / rows->tiles]; }

// Rows a chunk, at most, of `columns` columns.
static size_t chunk_rows(size_t columns) {
    size_t fit = BLOCK_K / (columns < 1 ? 1 : columns);
    return CHUNK_ROWS * (fit < 1 ? 1 : least(fit, MOST_CHUNKS));
}

static size_t chunks_of(size_t m, size_t rows) { return (m + rows - 1) / rows; }

// Columns [first, end) of the left operand in chunks of rows and blocks of columns, laid out once for all tasks.
typedef struct {
    const instruction_set *set;
    ck_left left;
    size_t m, chunks, first, end, block;
    size_t bytes;  // of a strip
    char *strips;  // [chunk][block]; NULL while nothing is laid out
} operand;

static size_t blocks_of(const operand *o) { return (o->end - o->first + o->block - 1) / o->block; }

// A chunk of rows: whole tiles, their sum as even as it can be.
static strip chunk(const operand *o, size_t index) {
    size_t height = o->set->rows, tiles = (o->m + height - 1) / height;
    size_t row = least(o->m, tiles * index / o->chunks * height), end = least(o->m, tiles * (index + 1) / o->chunks * height);
    return (strip){row, end - row, (end - row + height - 1) / height, NULL};
}

static size_t strip_bytes(const operand *o) {
    size_t height = o->set->rows, tiles = (o->m + height - 1) / height;
    return round_up(ck_left_count((tiles + o->chunks - 1) / o->chunks * height, o->block) * sizeof(float), 64);
}

// Lays out columns [k, k + count) of the strip.
static void take_strip(const operand *o, const strip *s, char *x, size_t k, size_t count) {
    size_t row = s->row;
    for (size_t i = 0; i < s->tiles; i++) {
        size_t rows = tile_rows(s, i);
        if (o->set->multiplies_bf16)
            ck_left_tile_bf16((uint32_t *)(void *)x, &o->left, row, rows, k, count);
        else
            ck_left_tile((float *)(void *)x, &o->left, row, rows, k, count);
        x += rows * row_elements(o->set, count) * sizeof(float);
        row += rows;
    }
}

// Where a chunk's block that begins at column k lies.
static char *strip_of(const operand *o, size_t index, size_t k) {
    return o->strips + (index * blocks_of(o) + (k - o->first) / o->block) * o->bytes;
}

static void lay_out_task(void *context, size_t index) {
    const operand *o = context;
    size_t blocks = blocks_of(o), k = o->first + index % blocks * o->block;
    strip rows = chunk(o, index / blocks);
    take_strip(o, &rows, strip_of(o, index / blocks, k), k, least(o->block, o->end - k));
}

static void lay_out(operand *o) {
    o->bytes = strip_bytes(o);
    o->strips = ck_shared_scratch(o->chunks * blocks_of(o) * o->bytes);
    ck_parallel_for(o->chunks * blocks_of(o), lay_out_task, o);
}

// Into how many groups, `most` units each at most, units of panels are cut: `each` tasks a thread or more, and as many for every thread.
static size_t groups_of(size_t units, size_t chunks, size_t each, size_t most) {
    size_t threads = (size_t)ck_threads(), groups = (units + most - 1) / most, wanted = (each * threads + chunks - 1) / chunks;
    if (groups < wanted) groups = wanted;
    while (groups < units && groups * chunks % threads != 0) groups++;
    return least(groups, units);
}

// y[m][n] = x W^T: a task is a chunk of rows times a group of panels, cut where the strips take several panels at once.
typedef struct {
    float *y;
    size_t ldy;
    operand x;
    const uint16_t *packed;
    size_t k, n, width, groups;  // width: columns that a strip takes at once
    const float *bias;
    int accumulate;
} product;

static void product_task(void *context, size_t index) {
    const product *a = context;
    const operand *x = &a->x;
    size_t units = (a->n + a->width - 1) / a->width, group = index % a->groups, stride = ck_panel_count(a->k);
    size_t column = units * group / a->groups * a->width, end = least(units * (group + 1) / a->groups * a->width, a->n);
    strip rows = chunk(x, index / a->groups);
    char *own = x->strips ? NULL : ck_scratch(strip_bytes(x));
    float *y = a->y + rows.row * a->ldy;
    size_t k = 0, at_once = panels_at_once(x->set, &rows), step;
    do {  // also when k is 0: an empty sum
        size_t count = least(x->block, a->k - k);
        if (own) take_strip(x, &rows, own, k, count);
        rows.x = own ? own : strip_of(x, index / a->groups, k);
        for (size_t c = column; c < end; c += step * PANEL) {
            size_t left = end - c;
            step = at_once * PANEL <= left ? at_once : 1;
            const uint16_t *w = a->packed + c / PANEL * stride + k * PANEL;
            tile t = {.y = y + c, .ldy = a->ldy, .init = y + c, .ldi = a->ldy, .w = w, .stride = stride, .pairs = (count + 1) / 2};
            if (k == 0 && !a->accumulate) t.init = a->bias ? a->bias + c : zeros, t.ldi = 0;
            multiply_tiles(x->set, &rows, &t, step, least(left, step * PANEL));
        }
    } while ((k += x->block) < a->k);
}

static void multiply(product a) {
    operand *x = &a.x;
    x->set = &by_isa[ck_isa()];
    x->chunks = chunks_of(x->m, chunk_rows(a.k));
    x->end = a.k;
    strip first = chunk(x, 0);
    size_t blocks = first.tiles <= 2 ? 1 : (a.k + BLOCK_K - 1) / BLOCK_K, at_once = panels_at_once(x->set, &first);
    x->block = blocks == 0 ? 1 : round_up((a.k + blocks - 1) / blocks, 2);
    a.width = at_once * PANEL;
    a.groups = groups_of((a.n + a.width - 1) / a.width, x->chunks, 4, GROUP_PANELS / at_once);
    if (a.groups > 1 && a.k > 0) lay_out(x);
    ck_parallel_for(x->chunks * a.groups, product_task, &a);
}

// So many rows at a time that what is laid out of them stays within its bound.
static void multiply_rows(product a) {
    if (a.n == 0) return;
    size_t m = a.x.m, fit = LAID_OUT / (a.k * sizeof(float) + 1) / CHUNK_ROWS * CHUNK_ROWS, most = fit < CHUNK_ROWS ? CHUNK_ROWS : fit;
    for (size_t row = 0; row < m; row += most) {
        product part = a;
        part.x.m = least(most, m - row);
        part.x.left.x = ck_left_from(&a.x.left, row);
        part.y += row * a.ldy;
        multiply(part);
    }
}

void ck_matmul(
    float *y, size_t ldy, const uint16_t *x, size_t m, size_t k, const uint16_t *packed, size_t n, const float *bias, int accumulate) {
    operand left = {.left = {x, k, CK_BF16, 0}, .m = m};
    multiply_rows((product){.y = y, .ldy = ldy, .x = left, .packed = packed, .k = k, .n = n, .bias = bias, .accumulate = accumulate});
}

void ck_matmul_tn(float *dw, const float *dy, size_t rows, size_t n, const uint16_t *packed_x, size_t k, int accumulate) {
    operand left = {.left = {dy, n, CK_F32, 1}, .m = n};
    multiply_rows((product){.y = dw, .ldy = k, .x = left, .packed = packed_x, .k = rows, .n = k, .accumulate = accumulate});
}

// dx[m][k] = dy W: a task is a group of columns of W, turned into panels, which all rows of dy pass.
typedef struct {
    float *dx;
    operand dy;
    const uint16_t *packed;
    size_t k, unit, groups;  // unit: panels that a strip takes at once
    int accumulate;
} product_nn;

static void product_nn_task(void *context, size_t index) {
    const product_nn *a = context;
    const operand *dy = &a->dy;
    size_t all = (a->k + PANEL - 1) / PANEL, units = (all + a->unit - 1) / a->unit;
    size_t first = units * index / a->groups * a->unit, panels = least(all, units * (index + 1) / a->groups * a->unit) - first;
    size_t column = first * PANEL, columns = least(panels * PANEL, a->k - column), size = TURNED_K * PANEL, step;
    uint16_t *turned = ck_scratch(panels * size * sizeof(uint16_t));
    for (size_t n = dy->first; n < dy->end; n += TURNED_K) {
        size_t count = least(TURNED_K, dy->end - n);
        for (size_t p = 0; p < panels; p++) ck_panel_turn(turned + p * size, a->packed, n, count, a->k, column + p * PANEL);
        for (size_t i = 0; i < dy->chunks; i++) {
            strip rows = chunk(dy, i);
            rows.x = strip_of(dy, i, n);
            size_t at_once = panels_at_once(dy->set, &rows);
            for (size_t c = 0; c < columns; c += step * PANEL) {
                step = at_once * PANEL <= columns - c ? at_once : 1;
                float *y = a->dx + rows.row * a->k + column + c;
                tile t = {.y = y, .ldy = a->k, .init = y, .ldi = a->k, .w = turned + c * TURNED_K, .stride = size, .pairs = (count + 1) / 2};
                if (n == 0 && !a->accumulate) t.init = zeros, t.ldi = 0;
                multiply_tiles(dy->set, &rows, &t, step, least(columns - c, step * PANEL));
            }
        }
    }
}

void ck_matmul_nn(float *dx, const float *dy, size_t m, const uint16_t *packed, size_t n, size_t k, int accumulate) {
    if (n == 0 && !accumulate) memset(dx, 0, m * k * sizeof *dx);
    if (m == 0 || k == 0) return;
    operand left = {.set = &by_isa[ck_isa()], .left = {dy, n, CK_F32, 0}, .m = m, .chunks = chunks_of(m, CHUNK_ROWS), .block = TURNED_K};
    strip rows = chunk(&left, 0);
    product_nn a = {.dx = dx, .dy = left, .packed = packed, .k = k, .unit = panels_at_once(left.set, &rows), .accumulate = accumulate};
    size_t units = ((k + PANEL - 1) / PANEL + a.unit - 1) / a.unit, fit = LAID_OUT / (m * sizeof(float)) / TURNED_K * TURNED_K;
    a.groups = groups_of(units, 1, 2, TURNED_PANELS / a.unit);
    for (; a.dy.first < n; a.dy.first = a.dy.end) {
        a.dy.end = least(n, a.dy.first + (fit < TURNED_K ? TURNED_K : fit));
        lay_out(&a.dy);
        ck_parallel_for(a.groups, product_nn_task, &a);
    }
}
