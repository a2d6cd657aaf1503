#include <string.h>

#include "ck_matmul.h"
#include "ck_threads.h"
#include "panel.h"
#include "strips.h"
#include "turn.h"

enum {
    PANEL = CK_PANEL,
    UNIT_PANELS = 4,  // panels that a task turns, and multiplies by all rows of x
    BLOCK_K = 896,    // columns at a time: the panels take 229 KB of the second-level cache
    CHUNK_ROWS = 70,  // rows of x that are laid out together
    MOST_ROWS = 560   // rows of x at a time: a block of them takes 2 MB, of the second-level cache where it has so much
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

// y = x Wᵀ for every output. W stays as it is, [n][k]: a task turns the panels that it needs, one block of K after the other.
typedef struct {
    const ck_output *outputs;
    size_t count;
    ck_strips x;
    size_t row;  // of the outputs, where x begins
    int accumulate;
} product;

// A panel [count][16], `count` made even with zeros, from `rows` rows of W with row stride k; rows that are missing become zero.
CK_INLINE void turn_panel_body(float *restrict panel, const float *restrict w, size_t rows, size_t k, size_t count) {
    size_t c = 0;
    if (rows == PANEL)
        for (; c + CK_SIDE <= count; c += CK_SIDE)
            for (size_t half = 0; half < PANEL; half += CK_SIDE) {
                ck_bits v[CK_SIDE];
#pragma clang loop unroll(full)
                for (size_t i = 0; i < CK_SIDE; i++) v[i] = *(const ck_bits *)(const void *)(w + (half + i) * k + c);
                ck_turn(v);
#pragma clang loop unroll(full)
                for (size_t i = 0; i < CK_SIDE; i++) *(ck_bits *)(void *)(panel + (c + i) * PANEL + half) = v[i];
            }
    for (; c < count + count % 2; c++)
        for (size_t r = 0; r < PANEL; r++) panel[c * PANEL + r] = r < rows && c < count ? w[r * k + c] : 0;
}
CK_KERNEL(turn_panel, (float *restrict panel, const float *restrict w, size_t rows, size_t k, size_t count), (panel, w, rows, k, count))

// Columns [column, end) of one output.
static void multiply_unit(const product *a, const ck_output *o, size_t column, size_t end) {
    const ck_strips *x = &a->x;
    size_t stride = BLOCK_K * PANEL * sizeof(float), k = 0;
    char *panels = ck_scratch(UNIT_PANELS * stride);
    const float *w = (const float *)o->packed + column * x->k;
    do {  // also when k is 0: an empty sum
        size_t count = least(BLOCK_K, x->k - k);
        for (size_t c = 0; c < end - column; c += PANEL)
            CK_CALL(turn_panel)((float *)(void *)(panels + c / PANEL * stride), w + c * x->k + k, least(PANEL, end - column - c), x->k, count);
        for (size_t chunk = 0; chunk < x->chunks; chunk++) {
            ck_strip rows = ck_strips_chunk(x, chunk);
            if (x->k > 0) rows.x = ck_strips_at(x, chunk, k);
            float *y = o->y + (a->row + rows.row) * o->ldy + column;
            ck_tile t = {.y = y, .ldy = o->ldy, .init = y, .ldi = o->ldy, .w = panels, .stride = stride, .pairs = (count + 1) / 2, .cached = 1};
            if (k == 0 && !a->accumulate) t.init = o->bias ? o->bias + column : ck_zeros, t.ldi = 0;
            ck_strip_multiply(x->set, &rows, &t, end - column);
        }
    } while ((k += BLOCK_K) < x->k);
}

static size_t units_of(const ck_output *o) { return (o->n + UNIT_PANELS * PANEL - 1) / (UNIT_PANELS * PANEL); }

static void multiply_task(void *context, size_t unit) {
    const product *a = context;
    const ck_output *o = a->outputs;
    for (; unit >= units_of(o); o++) unit -= units_of(o);
    multiply_unit(a, o, unit * UNIT_PANELS * PANEL, least((unit + 1) * UNIT_PANELS * PANEL, o->n));
}

void ck_matmul_f32(const ck_output *outputs, size_t count, const float *x, size_t m, size_t k, int accumulate) {
    size_t units = 0;
    for (size_t i = 0; i < count; i++) units += units_of(&outputs[i]);
    for (size_t row = 0; row < m; row += MOST_ROWS) {
        ck_left left = {.x = x + row * k, .ld = k, .type = CK_F32, .exact = 1};
        size_t rows = least(MOST_ROWS, m - row);
        product a = {.outputs = outputs, .count = count, .row = row, .accumulate = accumulate};
        a.x = (ck_strips){.set = ck_matmul_tiles_f32(), .left = left, .m = rows, .k = k, .chunks = (rows + CHUNK_ROWS - 1) / CHUNK_ROWS, .block = BLOCK_K};
        if (k > 0) ck_strips_lay_out(&a.x);
        ck_parallel_for(units, multiply_task, &a);
    }
}
