#include "ck_matmul.h"

#include <string.h>

#include "ck_threads.h"
#include "convert.h"
#include "panel.h"
#include "strips.h"

enum {
    PANEL = CK_PANEL,
    CHUNK_ROWS = 60,    // rows of x that stay in the second-level cache while panels stream by;
    MOST_CHUNKS = 4,    // so many times as many where they are short
    BLOCK_K = 1216,     // columns of x, likewise, at most
    UNIT_PANELS = 4,    // panels that a thread takes at least, or as many as its strip takes at once
    LAID_OUT = 16 << 20 // bytes of x that are laid out at a time for all tasks, at most, but for one chunk
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t round_up(size_t count, size_t to) { return (count + to - 1) / to * to; }

// Rows a chunk, at most, of `columns` columns.
static size_t chunk_rows(size_t columns) {
    size_t fit = BLOCK_K / (columns < 1 ? 1 : columns);
    return CHUNK_ROWS * (fit < 1 ? 1 : least(fit, MOST_CHUNKS));
}

static size_t chunks_of(size_t m, size_t rows) { return (m + rows - 1) / rows; }

// y = x Wᵀ for every output, in units: a chunk of rows times a few panels. A chunk's units follow one another through all outputs, each output's
// panels from a whole unit on.
typedef struct {
    const ck_output *outputs;
    size_t count;
    ck_strips x;
    size_t row;            // of the outputs, where x begins
    size_t stride;         // elements from a panel to the next
    size_t width, units;   // columns of a unit; units of one chunk
    int accumulate, stream;  // stream: what is written whole need not pass the caches
} product;

static size_t units_of(const ck_output *o, size_t width) { return (o->n + width - 1) / width; }

// Columns [column, end) of one output, from `count` columns of x and W, k and what follows.
static void multiply_columns(
    const product *a, const ck_output *o, const ck_strip *rows, size_t column, size_t end, size_t k, size_t count) {
    size_t element = ck_size(a->x.set->type), stride = a->stride * element;
    const char *w = (const char *)o->packed + column / PANEL * stride + k * PANEL * element;
    float *y = o->y + (a->row + rows->row) * o->ldy + column;
    ck_tile t = {.y = y, .ldy = o->ldy, .init = y, .ldi = o->ldy, .w = w, .stride = stride, .pairs = (count + 1) / 2, .stream = a->stream};
    if (k == 0 && !a->accumulate) t.init = o->bias ? o->bias + column : ck_zeros, t.ldi = 0;
    if (column < end) ck_strip_multiply(a->x.set, rows, &t, end - column);
}

// Units [first, end) of one chunk.
static void multiply_units(const product *a, size_t index, size_t first, size_t end) {
    const ck_strips *x = &a->x;
    ck_strip rows = ck_strips_chunk(x, index);
    size_t k = 0;
    do {  // also when k is 0: an empty sum
        size_t unit = 0;
        if (x->k > 0) rows.x = ck_strips_at(x, index, k);
        for (const ck_output *o = a->outputs; o < a->outputs + a->count; unit += units_of(o++, a->width)) {
            size_t from = first > unit ? first - unit : 0, to = end > unit ? end - unit : 0;
            multiply_columns(a, o, &rows, from * a->width, least(to * a->width, o->n), k, least(x->block, x->k - k));
        }
    } while ((k += x->block) < x->k);
}

static void product_range(void *context, size_t first, size_t end) {
    const product *a = context;
    for (size_t stop; first < end; first = stop) {
        size_t index = first / a->units, base = index * a->units;
        stop = least(end, base + a->units);
        multiply_units(a, index, first - base, stop - base);
    }
    if (a->stream) ck_stream_end();
}

static void multiply(product a) {
    ck_strips *x = &a.x;
    x->chunks = chunks_of(x->m, chunk_rows(x->k));
    ck_strip first = ck_strips_chunk(x, 0);
    size_t blocks = first.tiles <= 2 ? 1 : (x->k + BLOCK_K - 1) / BLOCK_K;
    x->block = blocks == 0 ? 1 : round_up((x->k + blocks - 1) / blocks, 2);
    a.stream &= !a.accumulate && blocks == 1;
    size_t at_once = ck_strip_panels(x->set, &first);
    a.width = round_up(UNIT_PANELS, at_once) * PANEL;
    for (size_t i = 0; i < a.count; i++) a.units += units_of(&a.outputs[i], a.width);
    if (x->k > 0) ck_strips_lay_out(x);
    ck_parallel_ranges(x->chunks * a.units, x->chunks * a.units, product_range, &a);
}

// So many rows at a time that what is laid out of them stays within its bound.
static void multiply_rows(product a) {
    size_t m = a.x.m, fit = LAID_OUT / (a.x.k * sizeof(float) + 1) / CHUNK_ROWS * CHUNK_ROWS, most = fit < CHUNK_ROWS ? CHUNK_ROWS : fit;
    for (; a.row < m; a.row += most) {
        product part = a;
        part.x.m = least(most, m - a.row);
        part.x.left.x = ck_left_from(&a.x.left, a.row);
        multiply(part);
    }
}

void ck_matmul(const ck_output *outputs, size_t count, const uint16_t *x, size_t m, size_t k, int accumulate) {
    ck_strips left = {.set = ck_matmul_tiles(), .left = {.x = x, .ld = k, .type = CK_BF16}, .m = m, .k = k};
    multiply_rows((product){.outputs = outputs, .count = count, .x = left, .stride = ck_panel_count(k), .accumulate = accumulate});
}

// Gradients of weights are many and nobody reads them soon: they are streamed where they lie on whole lines of the caches.
void ck_matmul_tn(float *dw, const float *dy, size_t rows, size_t n, const void *packed_x, size_t k, int accumulate) {
    ck_output output = {.y = dw, .ldy = k, .packed = packed_x, .n = k};
    ck_strips left = {.set = ck_matmul_tiles_turned(), .left = {.x = dy, .ld = n, .type = CK_F32, .turned = 1}, .m = n, .k = rows};
    int lines = ((uintptr_t)dw | k * sizeof *dw) % 64 == 0;
    multiply_rows((product){.outputs = &output, .count = 1, .x = left, .stride = ck_panel_count(rows), .accumulate = accumulate, .stream = lines});
}

// Rows [first, first + count) of W as panels of its columns, `stride` elements each: a task is a panel.
typedef struct {
    char *turned;
    ck_type type;
    const uint16_t *packed;
    size_t first, count, k, stride;
} turning;

static void turn_task(void *context, size_t index) {
    const turning *a = context;
    ck_panel_turn(a->turned + index * a->stride * ck_size(a->type), a->type, a->packed, a->first, a->count, a->k, index * PANEL);
}

// dx = dy W, a block of W's rows after the other: turned, it takes 24 MB in FP32 where W has 4864 columns.
void ck_matmul_nn(float *dx, const float *dy, size_t m, const uint16_t *packed, size_t n, size_t k, int accumulate) {
    if (n == 0 && !accumulate) memset(dx, 0, m * k * sizeof *dx);
    if (m == 0 || k == 0) return;
    ck_output output = {.y = dx, .ldy = k, .n = k};
    size_t panels = (k + PANEL - 1) / PANEL;
    const ck_tiles *set = ck_matmul_tiles_turned();
    for (turning a = {.type = set->type, .packed = packed, .k = k}; a.first < n; a.first += a.count) {
        a.count = least(BLOCK_K, n - a.first);
        a.stride = round_up(a.count, PANEL) * PANEL;
        output.packed = a.turned = ck_scratch(panels * a.stride * ck_size(a.type));
        ck_parallel_for(panels, turn_task, &a);
        ck_strips left = {.set = set, .left = {.x = dy + a.first, .ld = n, .type = CK_F32}, .m = m, .k = a.count};
        multiply_rows((product){.outputs = &output, .count = 1, .x = left, .stride = a.stride, .accumulate = accumulate || a.first > 0});
    }
}
