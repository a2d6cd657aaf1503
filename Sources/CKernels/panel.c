#include "panel.h"

#include <string.h>

#include "convert.h"

enum { PANEL = CK_PANEL };

CK_INLINE void expand_body(float *restrict out, const uint16_t *restrict panel, size_t pairs) {
    for (size_t j = 0; j < pairs; j++, panel += 2 * PANEL, out += 2 * PANEL)
        for (size_t i = 0; i < PANEL; i++) {
            uint32_t pair;
            memcpy(&pair, panel + 2 * i, sizeof pair);
            out[i] = ck_float_from_bits(pair << 16);
            out[PANEL + i] = ck_float_from_bits(pair & 0xFFFF0000u);
        }
}
CK_KERNEL(expand, (float *restrict out, const uint16_t *restrict panel, size_t pairs), (out, panel, pairs))

void ck_panel_expand(float *out, const uint16_t *panel, size_t pairs) { CK_CALL(expand)(out, panel, pairs); }

// Sixteen rows and sixteen columns: w holds eight pairs of columns, [pair][row].
CK_INLINE void turn_body(uint16_t *restrict out, const uint16_t *restrict w) {
    for (size_t column = 0; column < PANEL; column += 2)
        for (size_t row = 0; row < PANEL; row += 2) {
            const uint16_t *from = w + column * PANEL + row * 2;
            uint16_t *to = out + row * PANEL + column * 2;
            to[0] = from[0], to[1] = from[2], to[2] = from[1], to[3] = from[3];
        }
}
CK_KERNEL(turn, (uint16_t *restrict out, const uint16_t *restrict w), (out, w))

typedef uint32_t bits __attribute__((vector_size(32), aligned(4)));

// Eight rows: eight vectors of pairs, one a pair of columns, become eight rows of sixteen columns.
CK_INLINE void turn_expanded_body(float *restrict out, const uint16_t *restrict w) {
    for (size_t half = 0; half < 2; half++) {
        bits r[8], t[8];
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 8; i++) r[i] = *(const bits *)(const void *)(w + i * 2 * PANEL + half * PANEL);
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i += 2) {
            t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
            t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i += 4)
#pragma clang loop unroll(full)
            for (int j = 0; j < 2; j++) {
                r[i + j] = __builtin_shufflevector(t[i + j], t[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
                r[i + j + 2] = __builtin_shufflevector(t[i + j], t[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
            }
        // Row j has its first four pairs in the low half of r[j % 4], row j + 4 in the high half; the last four in r[j % 4 + 4].
#pragma clang loop unroll(full)
        for (int j = 0; j < 8; j++) {
            bits a = r[j % 4], b = r[j % 4 + 4], first, second;
            bits even_a = a << 16, odd_a = a & 0xFFFF0000u, even_b = b << 16, odd_b = b & 0xFFFF0000u;
            if (j < 4) {
                first = __builtin_shufflevector(even_a, odd_a, 0, 8, 1, 9, 2, 10, 3, 11);
                second = __builtin_shufflevector(even_b, odd_b, 0, 8, 1, 9, 2, 10, 3, 11);
            } else {
                first = __builtin_shufflevector(even_a, odd_a, 4, 12, 5, 13, 6, 14, 7, 15);
                second = __builtin_shufflevector(even_b, odd_b, 4, 12, 5, 13, 6, 14, 7, 15);
            }
            float *to = out + (half * 8 + (size_t)j) * PANEL;
            *(bits *)(void *)to = first;
            *(bits *)(void *)(to + 8) = second;
        }
    }
}
CK_KERNEL(turn_expanded, (float *restrict out, const uint16_t *restrict w), (out, w))

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
    for (size_t r = 0; r < count; r += PANEL) CK_CALL(turn)(out + r * PANEL, square(edge, packed, row + r, k, column));
}

void ck_panel_turn_expanded(float *out, const uint16_t *packed, size_t row, size_t count, size_t k, size_t column) {
    uint16_t edge[PANEL * PANEL];
    for (size_t r = 0; r < count; r += PANEL) CK_CALL(turn_expanded)(out + r * PANEL, square(edge, packed, row + r, k, column));
}
