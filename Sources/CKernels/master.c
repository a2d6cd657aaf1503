#include "ck_master.h"

#include <string.h>

#include "ck_threads.h"
#include "convert.h"
#include "panel.h"

enum { PANEL = CK_PANEL, PIECE = 1 << 16, TIE = 0x8000 };

CK_INLINE void split_body(uint16_t *restrict high, uint16_t *restrict low, const float *restrict x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = ck_bits_from_float(x[i]), half = bits & 0xFFFFu;
        uint16_t rounded = ck_to_bf16(x[i]);
        high[i] = rounded;
        low[i] = (uint16_t)(half + (half == TIE && rounded != bits >> 16));
    }
}
CK_KERNEL(split, (uint16_t *restrict high, uint16_t *restrict low, const float *restrict x, size_t count), (high, low, x, count))

// A low half above the tie tells that the number was rounded up.
CK_INLINE void join_body(float *restrict x, const uint16_t *restrict high, const uint16_t *restrict low, size_t count) {
    for (size_t i = 0; i < count; i++)
        x[i] = ck_float_from_bits(((uint32_t)high[i] - (low[i] > TIE)) << 16 | low[i]);
}
CK_KERNEL(join, (float *restrict x, const uint16_t *restrict high, const uint16_t *restrict low, size_t count), (x, high, low, count))

typedef struct {
    ck_master master;
    size_t first, count;  // rows, when writing and reading
    const float *in;
    float *out;
    ck_update update;
    void *context;
} work;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static uint16_t *panel_of(const ck_master *m, size_t row) { return m->packed + row / PANEL * ck_panel_count(m->columns); }

static void write_task(void *context, size_t index) {
    const work *w = context;
    size_t k = w->master.columns, row = w->first + index * PANEL, rows = least(PANEL, w->first + w->count - row);
    uint16_t *high = ck_scratch(PANEL * k * sizeof(uint16_t));
    CK_CALL(split)(high, w->master.low + row * k, w->in + index * PANEL * k, rows * k);
    ck_panel_pack(panel_of(&w->master, row), high, rows, k);
}

void ck_master_write(ck_master master, const float *in, size_t first, size_t count) {
    work w = {.master = master, .first = first, .count = count, .in = in};
    if (master.values)
        memcpy(master.values + first * master.columns, in, count * master.columns * sizeof(float));
    else
        ck_parallel_for((count + PANEL - 1) / PANEL, write_task, &w);
}

static void read_task(void *context, size_t index) {
    const work *w = context;
    size_t k = w->master.columns, first = w->first / PANEL * PANEL, row = first + index * PANEL, end = w->first + w->count;
    size_t from = row < w->first ? w->first : row, to = least(end, row + PANEL);
    uint16_t *high = ck_scratch(PANEL * k * sizeof(uint16_t));
    ck_panel_unpack(high, panel_of(&w->master, row), PANEL, k);
    CK_CALL(join)(w->out + (from - w->first) * k, high + (from - row) * k, w->master.low + from * k, (to - from) * k);
}

void ck_master_read(ck_master master, float *out, size_t first, size_t count) {
    work w = {.master = master, .first = first, .count = count, .out = out};
    if (master.values)
        memcpy(out, master.values + first * master.columns, count * master.columns * sizeof(float));
    else if (count > 0)
        ck_parallel_for((first + count - first / PANEL * PANEL + PANEL - 1) / PANEL, read_task, &w);
}

static void update_values_task(void *context, size_t index) {
    const work *w = context;
    size_t first = index * PIECE, count = w->master.rows * w->master.columns;
    w->update(w->context, w->master.values + first, first, least(PIECE, count - first));
}

// A panel is unpacked once; its rows pass through the first-level cache in FP32 one by one.
static void update_panel_task(void *context, size_t index) {
    const work *w = context;
    size_t k = w->master.columns, first = index * PANEL, rows = least(PANEL, w->master.rows - first);
    float *x = ck_scratch(k * sizeof(float) + PANEL * k * sizeof(uint16_t));
    uint16_t *high = (uint16_t *)(x + k), *panel = panel_of(&w->master, first);
    ck_panel_unpack(high, panel, PANEL, k);
    for (size_t r = 0; r < rows; r++) {
        uint16_t *low = w->master.low + (first + r) * k;
        CK_CALL(join)(x, high + r * k, low, k);
        w->update(w->context, x, (first + r) * k, k);
        CK_CALL(split)(high + r * k, low, x, k);
    }
    ck_panel_pack(panel, high, rows, k);
}

void ck_master_update(ck_master master, ck_update update, void *context) {
    work w = {.master = master, .update = update, .context = context};
    if (master.values)
        ck_parallel_for((master.rows * master.columns + PIECE - 1) / PIECE, update_values_task, &w);
    else
        ck_parallel_for((master.rows + PANEL - 1) / PANEL, update_panel_task, &w);
}
