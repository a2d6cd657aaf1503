#include "panel.h"

#include <string.h>

#include "convert.h"
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

// Pairs of rows, [pair of rows][column].
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

// Where the sixteen columns of sixteen rows lie; a copy of them where the matrix ends before the sixteenth column.
static const uint16_t *square(uint16_t edge[PANEL * PANEL], const uint16_t *packed, size_t row, size_t k, size_t column) {
    const uint16_t *w = packed + row / PANEL * ck_panel_count(k) + column * PANEL;
    if (k - column >= PANEL) return w;
    memset(edge, 0, PANEL * PANEL * sizeof(uint16_t));
    memcpy(edge, w, (k - column + 1) / 2 * 2 * PANEL * sizeof(uint16_t));
    return edge;
}

void ck_panel_turn(uint16_t *out, const uint16_t *packed, size_t row, size_t count, size_t k, size_t column) {
    uint16_t edge[PANEL * PANEL];
    size_t stride = ck_panel_count(k);
    for (size_t r = 0; r < count; r += PANEL) {
        // The squares lie far apart: the one after the next is asked for now.
        const char *ahead = (const char *)(packed + (row + r) / PANEL * stride + 2 * stride + column * PANEL);
        for (size_t i = 0; i < PANEL * PANEL * sizeof(uint16_t); i += 64) __builtin_prefetch(ahead + i);
        CK_CALL(turn)(out + r * PANEL, square(edge, packed, row + r, k, column));
    }
}
