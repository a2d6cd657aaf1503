#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_block.h"
#include "ck_threads.h"
#include "small_product.h"
#include "vector.h"

// A wave of blocks goes through two steps, each spread over the threads: every block leaves its probabilities p and their gradients ds, and has its
// dq; then every key collects, from the blocks in their order, dk += ds^T q and dv += p^T dout. So each gradient is one chain along the rows,
// whatever the blocks, waves and threads.
enum {
    WAVE_NUMBERS = 1 << 19,  // that the blocks of a wave leave, a thread; at least one block a thread, however large
    KEYS_A_TASK = 48,
    KEYS_A_TILE = 12,  // two or one tile of registers; the rows are counted anew for each
};

// What the first step leaves of one block and one key head.
typedef struct {
    float *p, *ds;    // [queries][stride]
    float *q, *dout;  // [queries][wide]
} saved;

typedef struct {
    float *dq, *dk, *dv;
    const float *dout, *q;
    const void *k, *v;
    ck_attention_plan plan;
    float *memory;                // [blocks of a wave][kv_heads][saved_numbers]
    size_t first, end;            // rows of the wave
    size_t first_key, key_count;  // keys that they see, and perhaps others between
} backward;

static size_t block_count(const ck_attention_plan *p, size_t rows) { return (rows + p->block_rows - 1) / p->block_rows; }

static ck_block block_at(const backward *a, size_t block, size_t kv_head) {
    size_t first = a->first + block * a->plan.block_rows;
    return (ck_block){.plan = &a->plan, .first = first, .rows = ck_least(a->plan.block_rows, a->end - first), .kv_head = kv_head};
}

static size_t saved_numbers(const ck_attention_plan *p) { return 2 * p->block_rows * p->group * (p->stride + p->wide); }

static saved saved_at(const backward *a, size_t block, size_t kv_head) {
    const ck_attention_plan *p = &a->plan;
    size_t queries = p->block_rows * p->group;
    saved s = {.p = a->memory + (block * p->kv_heads + kv_head) * saved_numbers(p)};
    s.ds = s.p + queries * p->stride;
    s.q = s.ds + queries * p->stride;
    s.dout = s.q + queries * p->wide;
    return s;
}

// One line: p from the exponentials, ds from dp = dout . v. ds = p (dp - sum of p dp) d^-1/2; zeros from the row's last key to `whole`.
CK_INLINE void line_body(float *restrict p, float *restrict ds, size_t n, size_t whole, float inverse, float scale) {
    size_t own = ck_whole_columns(n);
    for (size_t j = n; j < own; j++) ds[j] = 0;
    float sums[CK_LANES] = {0};
    for (size_t j = 0; j < own; j += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) sums[l] += (p[j + l] *= inverse) * ds[j + l];
    float mean = ck_lanes_sum(sums);
    for (size_t j = 0; j < own; j += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) ds[j + l] = p[j + l] * (ds[j + l] - mean) * scale;
    for (size_t j = own; j < whole; j++) p[j] = ds[j] = 0;
}
CK_KERNEL(
    line, (float *restrict p, float *restrict ds, size_t n, size_t whole, float inverse, float scale), (p, ds, n, whole, inverse, scale))

static void block_task(void *context, size_t index) {
    const backward *a = context;
    const ck_attention_plan *p = &a->plan;
    ck_block b = block_at(a, index / p->kv_heads, index % p->kv_heads);
    saved s = saved_at(a, index / p->kv_heads, index % p->kv_heads);
    const ck_keys *keys = p->keys + b.first;
    size_t queries = ck_block_queries(&b), whole = ck_whole_columns(ck_longest(keys, b.rows));
    float *dq = ck_scratch((queries * (p->wide + 1) + ck_block_scratch(p)) * sizeof *dq);
    float *scratch = dq + queries * p->wide, *inverse = scratch + ck_block_scratch(p), scale = 1.0f / sqrtf((float)p->d);
    ck_block_gather(&b, s.q, a->q);
    ck_block_gather(&b, s.dout, a->dout);
    ck_block_scores(&b, s.p, s.q, a->k, scratch);
    ck_block_exponentials(&b, s.p, inverse);
    ck_block_scores(&b, s.ds, s.dout, a->v, scratch);
    for (size_t i = 0; i < queries; i++)
        CK_CALL(line)(s.p + i * p->stride, s.ds + i * p->stride, ck_key_count(&keys[i / p->group]), whole, inverse[i], scale);
    ck_block_sums(&b, dq, s.ds, a->k, scratch);
    size_t at_once = p->wide == p->d ? p->group : 1;
    for (size_t i = 0; i < queries; i += at_once) {
        size_t head = (b.first + i / p->group) * p->heads + b.kv_head * p->group + i % p->group;
        memcpy(a->dq + head * p->d, dq + i * p->wide, at_once * p->d * sizeof *dq);
    }
}

// Adds what a stretch's rows give to the `count` keys that they find at `position` and behind it.
static void add_to_keys(const ck_block *b, const saved *s, ck_stretch t, size_t position, size_t count, float *dk, float *dv) {
    const ck_attention_plan *p = b->plan;
    for (size_t end = position + count; position < end; position += KEYS_A_TILE) {
        size_t row = t.row, last = t.row + t.rows, keys = ck_least(KEYS_A_TILE, end - position);
        while (row < last && ck_key_count(&p->keys[b->first + row]) <= position) row++;
        size_t at = row * p->group;
        ck_product product = {.ldc = p->wide, .row_step = 1, .k_step = p->stride, .ldb = p->wide, .n = p->wide, .accumulate = 1};
        product.m = keys, product.k = (last - row) * p->group;
        product.c = dk, product.a = s->ds + at * p->stride + position, product.b = s->q + at * p->wide;
        ck_small_product(product);
        product.c = dv, product.a = s->p + at * p->stride + position, product.b = s->dout + at * p->wide;
        ck_small_product(product);
        dk += KEYS_A_TILE * p->wide, dv += KEYS_A_TILE * p->wide;
    }
}

// Copies d numbers a key between [key][kv_heads][d] and [key][wide].
static void move_keys(const ck_attention_plan *p, size_t kv_head, float *whole, float *own, size_t count, int back) {
    for (size_t j = 0; j < count; j++) {
        float *outer = whole + (j * p->kv_heads + kv_head) * p->d, *inner = own + j * p->wide;
        memcpy(back ? outer : inner, back ? inner : outer, p->d * sizeof *own);
    }
}

static void keys_task(void *context, size_t index) {
    const backward *a = context;
    const ck_attention_plan *p = &a->plan;
    size_t kv_head = index % p->kv_heads, first = a->first_key + index / p->kv_heads * KEYS_A_TASK;
    size_t count = ck_least(KEYS_A_TASK, a->first_key + a->key_count - first);
    float *dk = ck_scratch(2 * KEYS_A_TASK * p->wide * sizeof *dk), *dv = dk + KEYS_A_TASK * p->wide;
    memset(dk, 0, 2 * KEYS_A_TASK * p->wide * sizeof *dk);
    move_keys(p, kv_head, a->dk + first * p->kv_heads * p->d, dk, count, 0);
    move_keys(p, kv_head, a->dv + first * p->kv_heads * p->d, dv, count, 0);
    for (size_t block = 0; block < block_count(p, a->end - a->first); block++) {
        ck_block b = block_at(a, block, kv_head);
        saved s = saved_at(a, block, kv_head);
        ck_stretch stretches[CK_MOST_STRETCHES];
        size_t stretch_count = ck_block_stretches(&b, stretches);
        for (const ck_stretch *t = stretches; t < stretches + stretch_count; t++) {
            const ck_keys *keys = &p->keys[b.first + t->row];
            for (int run = 0; run < 2; run++) {
                // Positions of the run in the stretch, and the keys that lie there.
                size_t from = run ? ck_most(t->from, keys->n0) : t->from, to = run ? t->to : ck_least(t->to, keys->n0);
                if (from >= to) continue;
                size_t start = run ? keys->start1 + (from - keys->n0) : keys->start0 + from;
                size_t low = ck_most(first, start), high = ck_least(first + count, start + (to - from));
                if (low >= high) continue;
                size_t offset = (low - first) * p->wide;
                add_to_keys(&b, &s, *t, from + (low - start), high - low, dk + offset, dv + offset);
            }
        }
    }
    move_keys(p, kv_head, a->dk + first * p->kv_heads * p->d, dk, count, 1);
    move_keys(p, kv_head, a->dv + first * p->kv_heads * p->d, dv, count, 1);
}

static void include(size_t *low, size_t *high, size_t start, size_t count) {
    if (count == 0) return;
    *low = ck_least(*low, start);
    *high = ck_most(*high, start + count);
}

void ck_attention_backward(
    float *dq, float *dk, float *dv, const float *dout, const float *q, const void *k, const void *v, ck_type type, const ck_keys *keys,
    size_t rows, size_t heads, size_t kv_heads, size_t d) {
    if (rows == 0) return;
    backward a = {.dq = dq, .dk = dk, .dv = dv, .dout = dout, .q = q, .k = k, .v = v};
    a.plan = ck_plan_attention(keys, type, rows, heads, kv_heads, d, 2);
    size_t block = kv_heads * saved_numbers(&a.plan), threads = (size_t)ck_threads();
    size_t blocks = ck_least(block_count(&a.plan, rows), ck_most(threads, threads * WAVE_NUMBERS / block));
    size_t bytes = blocks * block * sizeof(float);
    a.memory = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!a.memory) {
        fprintf(stderr, "out of memory: %zu bytes for the attention's gradients\n", bytes);
        abort();
    }
    for (a.first = 0; a.first < rows; a.first = a.end) {
        a.end = ck_least(rows, a.first + blocks * a.plan.block_rows);
        size_t low = SIZE_MAX, high = 0;
        for (size_t row = a.first; row < a.end; row++) {
            include(&low, &high, keys[row].start0, keys[row].n0);
            include(&low, &high, keys[row].start1, keys[row].n1);
        }
        ck_parallel_for(block_count(&a.plan, a.end - a.first) * kv_heads, block_task, &a);
        if (low >= high) continue;
        a.first_key = low, a.key_count = high - low;
        ck_parallel_for((a.key_count + KEYS_A_TASK - 1) / KEYS_A_TASK * kv_heads, keys_task, &a);
    }
    free(a.memory);
}
