#include <string.h>

#include "ck_matmul.h"
#include "ck_threads.h"
#include "convert.h"

enum { PANEL = 16, TASK_PANELS = 16, TASK_COLUMNS = 64 };

static size_t pairs_of(size_t k) { return (k + 1) / 2; }

size_t ck_packed_count(size_t n, size_t k) { return (n + PANEL - 1) / PANEL * pairs_of(k) * 2 * PANEL; }

// One panel from up to 16 rows of BF16.
static void pack_panel(uint16_t *restrict panel, const uint16_t *restrict rows, size_t count, size_t k) {
    for (size_t r = 0; r < PANEL; r++) {
        uint16_t *to = panel + 2 * r;
        for (size_t c = 0; c < k; c++) to[c / 2 * 2 * PANEL + c % 2] = r < count ? rows[r * k + c] : 0;
        if (k % 2) to[k / 2 * 2 * PANEL + 1] = 0;
    }
}

typedef struct {
    uint16_t *packed;
    const uint16_t *bf16;
    const float *f32;
    size_t first, count, n, k;
} packing;

static void pack_task(void *context, size_t index) {
    const packing *a = context;
    size_t rows = a->count;
    for (size_t row = index * TASK_PANELS * PANEL; row < rows && row < (index + 1) * TASK_PANELS * PANEL; row += PANEL) {
        size_t count = rows - row < PANEL ? rows - row : PANEL;
        uint16_t *panel = a->packed + (a->first + row) / PANEL * pairs_of(a->k) * 2 * PANEL;
        const uint16_t *from = a->bf16 ? a->bf16 + row * a->k : NULL;
        if (!from) {
            uint16_t *rounded = ck_scratch(PANEL * a->k * sizeof(uint16_t));
            ck_f32_to_bf16(rounded, a->f32 + row * a->k, count * a->k);
            from = rounded;
        }
        pack_panel(panel, from, count, a->k);
    }
}

void ck_pack_rows(uint16_t *packed, const uint16_t *in, size_t first, size_t count, size_t k) {
    packing a = {packed, in, NULL, first, count, 0, k};
    ck_parallel_for((count + TASK_PANELS * PANEL - 1) / (TASK_PANELS * PANEL), pack_task, &a);
}

void ck_pack_rows_f32(uint16_t *packed, const float *in, size_t first, size_t count, size_t k) {
    packing a = {packed, NULL, in, first, count, 0, k};
    ck_parallel_for((count + TASK_PANELS * PANEL - 1) / (TASK_PANELS * PANEL), pack_task, &a);
}

void ck_unpack_row(uint16_t *out, const uint16_t *packed, size_t row, size_t k) {
    const uint16_t *from = packed + row / PANEL * pairs_of(k) * 2 * PANEL + row % PANEL * 2;
    for (size_t c = 0; c < k; c++) out[c] = from[c / 2 * 2 * PANEL + c % 2];
}

typedef struct {
    uint16_t *out;
    const void *in;
    size_t rows, columns;
} transposition;

CK_INLINE void interleave_body(uint16_t *restrict out, const uint16_t *restrict even, const uint16_t *restrict odd) {
    for (size_t i = 0; i < PANEL; i++) out[2 * i] = even[i], out[2 * i + 1] = odd[i];
}

CK_INLINE void pack_transposed_body(uint16_t *packed, const uint16_t *in, size_t n, size_t k, size_t panel) {
    static const uint16_t nothing[PANEL];
    uint16_t *to = packed + panel * pairs_of(k) * 2 * PANEL;
    size_t column = panel * PANEL, exist = n - column < PANEL ? n - column : PANEL;
    for (size_t r = 0; r < k; r += 2, to += 2 * PANEL) {
        const uint16_t *even = in + r * n + column, *odd = r + 1 < k ? even + n : nothing;
        uint16_t edges[2][PANEL] = {{0}};
        if (exist < PANEL) {
            memcpy(edges[0], even, exist * sizeof(uint16_t));
            memcpy(edges[1], odd, exist * sizeof(uint16_t));
            even = edges[0], odd = edges[1];
        }
        interleave_body(to, even, odd);
    }
}
CK_KERNEL(pack_transposed, (uint16_t * packed, const uint16_t *in, size_t n, size_t k, size_t panel), (packed, in, n, k, panel))

static void pack_transposed_task(void *context, size_t index) {
    const packing *a = context;
    CK_CALL(pack_transposed)(a->packed, a->bf16, a->n, a->k, index);
}

void ck_pack_transposed(uint16_t *packed, const uint16_t *in, size_t n, size_t k) {
    packing a = {packed, in, NULL, 0, 0, n, k};
    ck_parallel_for((n + PANEL - 1) / PANEL, pack_transposed_task, &a);
}

// A strip of columns at a time, in blocks of 16 rows: 16 lines of input and of output in the first-level cache.
CK_INLINE void transpose_strip_body(uint16_t *restrict out, const float *restrict in, size_t rows, size_t columns, size_t first, size_t last) {
    size_t padded = (rows + 1) & ~(size_t)1;
    for (size_t r = 0; r < rows; r += 16) {
        size_t end = rows - r < 16 ? rows - r : 16;
        for (size_t c = first; c < last; c++)
            for (size_t i = 0; i < end; i++) out[c * padded + r + i] = ck_to_bf16(in[(r + i) * columns + c]);
    }
    if (padded > rows)
        for (size_t c = first; c < last; c++) out[c * padded + rows] = 0;
}
CK_KERNEL(transpose_strip, (uint16_t * out, const float *in, size_t rows, size_t columns, size_t first, size_t last),
          (out, in, rows, columns, first, last))

static void transpose_task(void *context, size_t index) {
    const transposition *a = context;
    size_t first = index * TASK_COLUMNS, last = first + TASK_COLUMNS < a->columns ? first + TASK_COLUMNS : a->columns;
    CK_CALL(transpose_strip)(a->out, a->in, a->rows, a->columns, first, last);
}

void ck_transpose_to_bf16(uint16_t *out, const float *in, size_t rows, size_t columns) {
    transposition a = {out, in, rows, columns};
    ck_parallel_for((columns + TASK_COLUMNS - 1) / TASK_COLUMNS, transpose_task, &a);
}
