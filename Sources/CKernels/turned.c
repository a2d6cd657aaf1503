#include <string.h>

#include "ck_matmul.h"
#include "ck_threads.h"
#include "convert.h"
#include "matmul_tiles.h"
#include "panel.h"
#include "turn.h"

enum { PANEL = CK_PANEL };

// Sixteen rows and sixteen columns of a packed matrix: w holds eight pairs of columns, [pair][row]. Turned, the vector of a row holds its pairs.
CK_INLINE void rows_of(ck_bits r[CK_SIDE], const uint16_t *w, size_t half) {
#pragma clang loop unroll(full)
    for (size_t i = 0; i < CK_SIDE; i++) r[i] = *(const ck_bits *)(const void *)(w + i * 2 * PANEL + half * PANEL);
    ck_turn(r);
}

CK_INLINE void interleave(void *out, const ck_bits *even, const ck_bits *odd) {
    ck_bits *to = out;
    to[0] = __builtin_shufflevector(*even, *odd, 0, 8, 1, 9, 2, 10, 3, 11);
    to[1] = __builtin_shufflevector(*even, *odd, 4, 12, 5, 13, 6, 14, 7, 15);
}

// BF16: pairs of rows, [pair of rows][column].
CK_INLINE void turn_body(uint16_t *restrict out, const uint16_t *restrict w) {
    for (size_t half = 0; half < 2; half++) {
        ck_bits r[CK_SIDE];
        rows_of(r, w, half);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < CK_SIDE; i += 2) {
            ck_bits even = (r[i] & 0xFFFFu) | (r[i + 1] << 16), odd = (r[i] >> 16) | (r[i + 1] & 0xFFFF0000u);
            interleave(out + (half * CK_SIDE + i) * PANEL, &even, &odd);
        }
    }
}
CK_KERNEL(turn, (uint16_t *restrict out, const uint16_t *restrict w), (out, w))

// FP32: [row][column].
CK_INLINE void turn_f32_body(float *restrict out, const uint16_t *restrict w) {
    for (size_t half = 0; half < 2; half++) {
        ck_bits r[CK_SIDE];
        rows_of(r, w, half);
#pragma clang loop unroll(full)
        for (size_t i = 0; i < CK_SIDE; i++) {
            ck_bits even = r[i] << 16, odd = r[i] & 0xFFFF0000u;
            interleave(out + (half * CK_SIDE + i) * PANEL, &even, &odd);
        }
    }
}
CK_KERNEL(turn_f32, (float *restrict out, const uint16_t *restrict w), (out, w))

// Where the sixteen columns of sixteen rows lie; a copy of them where the matrix ends before the sixteenth column.
static const uint16_t *square(uint16_t edge[PANEL * PANEL], const uint16_t *packed, size_t row, size_t k, size_t column) {
    const uint16_t *w = packed + row / PANEL * ck_panel_count(k) + column * PANEL;
    if (k - column >= PANEL) return w;
    memset(edge, 0, PANEL * PANEL * sizeof(uint16_t));
    memcpy(edge, w, (k - column + 1) / 2 * 2 * PANEL * sizeof(uint16_t));
    return edge;
}

void ck_panel_turn(void *out, ck_type type, const uint16_t *packed, size_t row, size_t count, size_t k, size_t column) {
    uint16_t edge[PANEL * PANEL];
    size_t stride = ck_panel_count(k);
    for (size_t r = 0; r < count; r += PANEL) {
        // The squares lie far apart: the one after the next is asked for now.
        const char *ahead = (const char *)(packed + (row + r) / PANEL * stride + 2 * stride + column * PANEL);
        for (size_t i = 0; i < PANEL * PANEL * sizeof(uint16_t); i += 64) __builtin_prefetch(ahead + i);
        const uint16_t *w = square(edge, packed, row + r, k, column);
        if (type == CK_F32)
            CK_CALL(turn_f32)((float *)out + r * PANEL, w);
        else
            CK_CALL(turn)((uint16_t *)out + r * PANEL, w);
    }
}

typedef struct {
    char *out;
    ck_type type;
    const uint16_t *x;
    size_t rows, k;
} transposition;

// Two rows' numbers of sixteen columns: one row after the other in FP32, side by side in BF16.
CK_INLINE void two_rows(void *out, ck_type type, const uint16_t *restrict first, const uint16_t *restrict second) {
    for (size_t i = 0; i < PANEL; i++) {
        if (type == CK_F32)
            ((float *)out)[i] = ck_bf16(first[i]), ((float *)out)[PANEL + i] = ck_bf16(second[i]);
        else
            ((uint16_t *)out)[2 * i] = first[i], ((uint16_t *)out)[2 * i + 1] = second[i];
    }
}

CK_INLINE void transposed_panel(char *out, ck_type type, const uint16_t *x, size_t rows, size_t k, size_t column) {
    static const uint16_t nothing[PANEL];
    size_t exist = k - column < PANEL ? k - column : PANEL;
    for (size_t r = 0; r < rows; r += 2) {
        const uint16_t *first = x + r * k + column, *second = r + 1 < rows ? first + k : nothing;
        uint16_t edges[2][PANEL] = {{0}};
        if (exist < PANEL) {
            memcpy(edges[0], first, exist * sizeof(uint16_t));
            memcpy(edges[1], second, exist * sizeof(uint16_t));
            first = edges[0], second = edges[1];
        }
        two_rows(out + r * PANEL * ck_size(type), type, first, second);
    }
}

CK_INLINE void transpose_panel_body(const transposition *a, size_t panel) {
    char *out = a->out + panel * ck_panel_count(a->rows) * ck_size(a->type);
    if (a->type == CK_F32)
        transposed_panel(out, CK_F32, a->x, a->rows, a->k, panel * PANEL);
    else
        transposed_panel(out, CK_BF16, a->x, a->rows, a->k, panel * PANEL);
}
CK_KERNEL(transpose_panel, (const transposition *a, size_t panel), (a, panel))

static void transpose_task(void *context, size_t index) { CK_CALL(transpose_panel)(context, index); }

size_t ck_transposed_bytes(size_t rows, size_t k) { return ck_packed_count(k, rows) * ck_size(ck_matmul_tiles_turned()->type); }

void ck_pack_transposed(void *packed, const uint16_t *x, size_t rows, size_t k) {
    transposition a = {packed, ck_matmul_tiles_turned()->type, x, rows, k};
    ck_parallel_for((k + PANEL - 1) / PANEL, transpose_task, &a);
}
