#include <string.h>

#include "ck_matmul.h"
#include "ck_threads.h"
#include "convert.h"
#include "panel.h"
#include "turn.h"

enum { PANEL = CK_PANEL, TASK_PANELS = 16 };

size_t ck_packed_count(size_t n, size_t k) { return (n + PANEL - 1) / PANEL * ck_panel_count(k); }

// One panel from up to 16 rows of BF16. Whole ones go eight rows and eight pairs of columns at a time.
CK_INLINE void pack_panel_body(uint16_t *restrict panel, const uint16_t *restrict rows, size_t count, size_t k) {
    size_t c = 0;
    if (count == PANEL)
        for (; c + 2 * CK_SIDE <= k; c += 2 * CK_SIDE)
            for (size_t half = 0; half < PANEL; half += CK_SIDE) {
                ck_bits r[CK_SIDE];
#pragma clang loop unroll(full)
                for (size_t i = 0; i < CK_SIDE; i++) r[i] = *(const ck_bits *)(const void *)(rows + (half + i) * k + c);
                ck_turn(r);
#pragma clang loop unroll(full)
                for (size_t i = 0; i < CK_SIDE; i++) *(ck_bits *)(void *)(panel + (c + 2 * i) * PANEL + 2 * half) = r[i];
            }
    for (size_t r = 0; r < PANEL; r++) {
        uint16_t *to = panel + 2 * r;
        for (size_t i = c; i < k; i++) to[i / 2 * 2 * PANEL + i % 2] = r < count ? rows[r * k + i] : 0;
        if (k % 2) to[k / 2 * 2 * PANEL + 1] = 0;
    }
}
CK_KERNEL(pack_panel, (uint16_t *restrict panel, const uint16_t *restrict rows, size_t count, size_t k), (panel, rows, count, k))

void ck_panel_pack(uint16_t *panel, const uint16_t *rows, size_t count, size_t k) { CK_CALL(pack_panel)(panel, rows, count, k); }

CK_INLINE void unpack_panel_body(uint16_t *restrict rows, const uint16_t *restrict panel, size_t count, size_t k) {
    size_t c = 0;
    if (count == PANEL)
        for (; c + 2 * CK_SIDE <= k; c += 2 * CK_SIDE)
            for (size_t half = 0; half < PANEL; half += CK_SIDE) {
                ck_bits r[CK_SIDE];
#pragma clang loop unroll(full)
                for (size_t i = 0; i < CK_SIDE; i++) r[i] = *(const ck_bits *)(const void *)(panel + (c + 2 * i) * PANEL + 2 * half);
                ck_turn(r);
#pragma clang loop unroll(full)
                for (size_t i = 0; i < CK_SIDE; i++) *(ck_bits *)(void *)(rows + (half + i) * k + c) = r[i];
            }
    for (size_t r = 0; r < count; r++)
        for (size_t i = c; i < k; i++) rows[r * k + i] = panel[i / 2 * 2 * PANEL + 2 * r + i % 2];
}
CK_KERNEL(unpack_panel, (uint16_t *restrict rows, const uint16_t *restrict panel, size_t count, size_t k), (rows, panel, count, k))

void ck_panel_unpack(uint16_t *rows, const uint16_t *panel, size_t count, size_t k) { CK_CALL(unpack_panel)(rows, panel, count, k); }

typedef struct {
    uint16_t *packed;
    const uint16_t *bf16;
    size_t first, count, k;
} packing;

static void pack_task(void *context, size_t index) {
    const packing *a = context;
    size_t rows = a->count;
    for (size_t row = index * TASK_PANELS * PANEL; row < rows && row < (index + 1) * TASK_PANELS * PANEL; row += PANEL) {
        size_t count = rows - row < PANEL ? rows - row : PANEL;
        uint16_t *panel = a->packed + (a->first + row) / PANEL * ck_panel_count(a->k);
        CK_CALL(pack_panel)(panel, a->bf16 + row * a->k, count, a->k);
    }
}

void ck_pack_rows(uint16_t *packed, const uint16_t *in, size_t first, size_t count, size_t k) {
    packing a = {packed, in, first, count, k};
    ck_parallel_for((count + TASK_PANELS * PANEL - 1) / (TASK_PANELS * PANEL), pack_task, &a);
}

void ck_unpack_row(uint16_t *out, const uint16_t *packed, size_t row, size_t k) {
    const uint16_t *from = packed + row / PANEL * ck_panel_count(k) + row % PANEL * 2;
    for (size_t c = 0; c < k; c++) out[c] = from[c / 2 * 2 * PANEL + c % 2];
}
