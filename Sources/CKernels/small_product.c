#include "small_product.h"

#include <string.h>

#include "isa.h"

enum { MOST_ROWS = 12, MOST_UNITS = 4 };

typedef float unit __attribute__((vector_size(CK_COLUMNS * sizeof(float))));

// A tile of `rows` x `units` vectors of C in registers; `p` is what ck_small_product takes, moved to the tile.
CK_INLINE void tile(const ck_product *p, int rows, int units) {
    unit sum[MOST_ROWS][MOST_UNITS];
    const float *a = p->a, *b = p->b;
    size_t row_step = p->row_step, k_step = p->k_step, ldb = p->ldb;
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int u = 0; u < units; u++) {
            sum[r][u] = (unit){0};
            if (p->accumulate) memcpy(&sum[r][u], p->c + (size_t)r * p->ldc + (size_t)u * CK_COLUMNS, sizeof(unit));
        }
    // A pointer for every third row: the address of each number is then one of them plus 0, 1 or 2 steps, and no chain of additions.
    const float *lines[MOST_ROWS / 3];
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r += 3) lines[r / 3] = a + (size_t)r * row_step;
    for (size_t k = p->k; k > 0; k--, b += ldb) {
        unit row[MOST_UNITS];
#pragma clang loop unroll(full)
        for (int u = 0; u < units; u++) memcpy(&row[u], b + (size_t)u * CK_COLUMNS, sizeof(unit));
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
            for (int u = 0; u < units; u++) sum[r][u] += lines[r / 3][(size_t)(r % 3) * row_step] * row[u];
#pragma clang loop unroll(full)
        for (int r = 0; r < rows; r += 3) lines[r / 3] += k_step;
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (int u = 0; u < units; u++) memcpy(p->c + (size_t)r * p->ldc + (size_t)u * CK_COLUMNS, &sum[r][u], sizeof(unit));
}

// One function a shape. Few rows take several vectors at once, to have eight or more independent chains; the most rows that the registers hold
// take one (AVX2) or two (AVX-512).
#define CK_TILE(isa, target, rows, units) \
    target static void isa##_##rows##x##units(const ck_product *p) { tile(p, rows, units); }
#define CK_TILES_TO_6(isa, target, a, b, c, d, e, f) \
    CK_TILE(isa, target, 1, a)                       \
    CK_TILE(isa, target, 2, b)                       \
    CK_TILE(isa, target, 3, c)                       \
    CK_TILE(isa, target, 4, d)                       \
    CK_TILE(isa, target, 5, e)                       \
    CK_TILE(isa, target, 6, f)
#define CK_TILES_TO_12(isa, target, units) \
    CK_TILE(isa, target, 7, units)         \
    CK_TILE(isa, target, 8, units)         \
    CK_TILE(isa, target, 9, units)         \
    CK_TILE(isa, target, 10, units)        \
    CK_TILE(isa, target, 11, units)        \
    CK_TILE(isa, target, 12, units)

typedef struct {
    void (*narrow[MOST_ROWS + 1])(const ck_product *);  // by rows, one vector
    void (*wide[MOST_ROWS + 1])(const ck_product *);    // by rows, `units[rows]` vectors
    size_t units[MOST_ROWS + 1], most_rows;
} shapes;

CK_TILES_TO_6(scalar, , 1, 1, 1, 1, 1, 1)
#define CK_NARROW(isa) {0, isa##_1x1, isa##_2x1, isa##_3x1, isa##_4x1, isa##_5x1, isa##_6x1}

#if defined(__x86_64__)
CK_TILES_TO_6(avx2, CK_TARGET_AVX2, 1, 1, 1, 1, 1, 1)
CK_TILE(avx2, CK_TARGET_AVX2, 1, 4)
CK_TILE(avx2, CK_TARGET_AVX2, 2, 2)
CK_TILES_TO_6(avx512, CK_TARGET_AVX512, 1, 1, 1, 1, 1, 1)
CK_TILES_TO_12(avx512, CK_TARGET_AVX512, 1)
CK_TILES_TO_6(avx512, CK_TARGET_AVX512, 4, 4, 4, 2, 2, 2)
CK_TILES_TO_12(avx512, CK_TARGET_AVX512, 2)
#define CK_AVX512_SHAPES                                                                                                                    \
    {                                                                                                                                       \
        {0, avx512_1x1, avx512_2x1, avx512_3x1, avx512_4x1, avx512_5x1, avx512_6x1, avx512_7x1, avx512_8x1, avx512_9x1, avx512_10x1,       \
         avx512_11x1, avx512_12x1},                                                                                                         \
            {0, avx512_1x4, avx512_2x4, avx512_3x4, avx512_4x2, avx512_5x2, avx512_6x2, avx512_7x2, avx512_8x2, avx512_9x2, avx512_10x2,   \
             avx512_11x2, avx512_12x2},                                                                                                     \
            {0, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2}, 12                                                                                     \
    }
#endif

static const shapes by_isa[] = {
    {CK_NARROW(scalar), CK_NARROW(scalar), {0, 1, 1, 1, 1, 1, 1}, 6},
#if defined(__x86_64__)
    {CK_NARROW(avx2), {0, avx2_1x4, avx2_2x2, avx2_3x1, avx2_4x1, avx2_5x1, avx2_6x1}, {0, 4, 2, 1, 1, 1, 1}, 6},
    CK_AVX512_SHAPES,
    CK_AVX512_SHAPES,
    CK_AVX512_SHAPES,
#else  // AArch64: the same shapes, 24 of its vectors
    {CK_NARROW(scalar), CK_NARROW(scalar), {0, 1, 1, 1, 1, 1, 1}, 6},
#endif
};

void ck_small_product(ck_product p) {
    const shapes *s = &by_isa[ck_isa()];
    size_t tiles = (p.m + s->most_rows - 1) / s->most_rows;
    for (size_t i = 0; i < tiles; i++) {  // as even as they can be
        size_t row = p.m * i / tiles, rows = p.m * (i + 1) / tiles - row;
        ck_product at = p;
        at.a += row * p.row_step;
        for (size_t column = 0; column < p.n;) {
            size_t wide = s->units[rows] * CK_COLUMNS, fits = p.n - column >= wide;
            at.b = p.b + column;
            at.c = p.c + row * p.ldc + column;
            (fits ? s->wide : s->narrow)[rows](&at);
            column += fits ? wide : CK_COLUMNS;
        }
    }
}
