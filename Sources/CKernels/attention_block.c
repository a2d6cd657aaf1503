#include "attention_block.h"

#include <math.h>
#include <string.h>

#include "ck_threads.h"
#include "small_product.h"
#include "vector.h"

enum {
    LINES = 1 << 19,   // numbers in a block's lines: 2 MB, a thread's part of the last cache
    FEW_QUERIES = 24,  // as many as make the expansion of a key worth while, however long their lines
    TASKS_A_THREAD = 2,
    TILE_KEYS = CK_COLUMNS,
    EXPANDED = 4096,  // numbers of keys or values in FP32: half of the first cache
};

ck_attention_plan ck_plan_attention(
    const ck_keys *keys, ck_type type, size_t rows, size_t heads, size_t kv_heads, size_t d, size_t arrays) {
    ck_attention_plan p = {.keys = keys, .type = type, .rows = rows, .heads = heads, .kv_heads = kv_heads, .d = d};
    p.group = heads / kv_heads;
    p.wide = ck_whole_columns(d);
    // Room for the last tile, and an odd number of cache lines, so that a column of lines does not fall on one set of the cache.
    p.stride = (ck_whole_columns(ck_longest(keys, rows)) + TILE_KEYS) | TILE_KEYS;
    size_t queries = ck_least(CK_MOST_BLOCK_QUERIES, ck_most(FEW_QUERIES, LINES / (p.stride * arrays)));
    size_t shared = rows * kv_heads / ((size_t)ck_threads() * TASKS_A_THREAD);
    p.block_rows = ck_most(1, ck_least(queries / p.group, shared));
    return p;
}

// How many rows from the first on have its shared keys, and its own too if asked.
static size_t same_rows(const ck_keys *keys, size_t rows, int own) {
    size_t n = 1;
    while (n < rows && keys[n].start0 == keys[0].start0 && keys[n].n0 == keys[0].n0 && (!own || keys[n].start1 == keys[0].start1)) n++;
    return n;
}

size_t ck_block_stretches(const ck_block *b, ck_stretch *stretches) {
    const ck_keys *keys = b->plan->keys + b->first;
    size_t count = 0;
    for (size_t row = 0; row < b->rows;) {
        size_t shared = same_rows(keys + row, b->rows - row, 0), own = same_rows(keys + row, shared, 1), from = 0;
        if (own < shared) {
            from = keys[row].n0;
            if (from > 0) stretches[count++] = (ck_stretch){row, shared, 0, from};
        }
        for (size_t end = row + shared; row < end; row += own) {
            own = same_rows(keys + row, end - row, 1);
            stretches[count++] = (ck_stretch){row, own, from, ck_longest(keys + row, own)};
        }
    }
    return count;
}

size_t ck_block_scratch(const ck_attention_plan *p) { return ck_most(EXPANDED, p->wide * TILE_KEYS); }

void ck_block_gather(const ck_block *b, float *x, const float *from) {
    const ck_attention_plan *p = b->plan;
    for (size_t row = 0; row < b->rows; row++) {
        const float *heads = from + ((b->first + row) * p->heads + b->kv_head * p->group) * p->d;
        if (p->wide == p->d) {
            memcpy(x, heads, p->group * p->d * sizeof *x);
            x += p->group * p->d;
            continue;
        }
        for (size_t head = 0; head < p->group; head++, x += p->wide) {
            memcpy(x, heads + head * p->d, p->d * sizeof *x);
            memset(x + p->d, 0, (p->wide - p->d) * sizeof *x);
        }
    }
}

// Where the key at a position begins, in elements.
static size_t place(const ck_block *b, const ck_keys *keys, size_t position) {
    size_t key = position < keys->n0 ? keys->start0 + position : keys->start1 + (position - keys->n0);
    return (key * b->plan->kv_heads + b->kv_head) * b->plan->d;
}

typedef float v8 __attribute__((vector_size(32)));
typedef uint32_t u8 __attribute__((vector_size(32)));

CK_INLINE void transpose_8x8(v8 *x) {
    v8 a[8], c[8];
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i += 2) {
        a[i] = __builtin_shufflevector(x[i], x[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[i + 1] = __builtin_shufflevector(x[i], x[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i += 4)
#pragma clang loop unroll(full)
        for (int j = 0; j < 2; j++) {
            c[i + 2 * j] = __builtin_shufflevector(a[i + j], a[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            c[i + 2 * j + 1] = __builtin_shufflevector(a[i + j], a[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        x[i] = __builtin_shufflevector(c[i], c[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        x[i + 4] = __builtin_shufflevector(c[i], c[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

// tile[i][key] = number i of the key, in FP32: sixteen keys that begin at `places`.
CK_INLINE void transpose_typed(
    float *restrict tile, const void *restrict array, ck_type type, const size_t *restrict places, size_t d) {
    const size_t size = type == CK_BF16 ? sizeof(uint16_t) : sizeof(float), step = sizeof(v8) / size;
    for (size_t half = 0; half < TILE_KEYS; half += 8) {
        size_t i = 0;
        for (; i + step <= d; i += step) {
            v8 x[8];
#pragma clang loop unroll(full)
            for (size_t key = 0; key < 8; key++) memcpy(&x[key], (const char *)array + (places[half + key] + i) * size, sizeof x[key]);
            transpose_8x8(x);  // of numbers, or of pairs of BF16
#pragma clang loop unroll(full)
            for (size_t j = 0; j < 8; j++)
                if (type == CK_BF16) {
                    u8 even = (u8)x[j] << 16, odd = (u8)x[j] & 0xFFFF0000u;
                    memcpy(tile + (i + 2 * j) * TILE_KEYS + half, &even, sizeof even);
                    memcpy(tile + (i + 2 * j + 1) * TILE_KEYS + half, &odd, sizeof odd);
                } else {
                    memcpy(tile + (i + j) * TILE_KEYS + half, &x[j], sizeof x[j]);
                }
        }
        for (; i < d; i++)
            for (size_t key = half; key < half + 8; key++) tile[i * TILE_KEYS + key] = ck_load(array, type, places[key] + i);
    }
}

CK_INLINE void transpose_body(
    float *restrict tile, const void *restrict array, ck_type type, const size_t *restrict places, size_t d) {
    if (type == CK_BF16)
        transpose_typed(tile, array, CK_BF16, places, d);
    else
        transpose_typed(tile, array, CK_F32, places, d);
}
CK_KERNEL(
    transpose, (float *restrict tile, const void *restrict array, ck_type type, const size_t *restrict places, size_t d),
    (tile, array, type, places, d))

void ck_block_scores(const ck_block *b, float *s, const float *x, const void *k, float *scratch) {
    const ck_attention_plan *p = b->plan;
    ck_stretch stretches[CK_MOST_STRETCHES];
    size_t count = ck_block_stretches(b, stretches);
    for (const ck_stretch *t = stretches; t < stretches + count; t++) {
        const ck_keys *keys = p->keys + b->first;
        size_t first = t->row, last = t->row + t->rows;
        for (size_t position = t->from; position < t->to; position += TILE_KEYS) {
            // The keys that are missing in the last tile are the last one again: their scores are nobody's.
            size_t places[TILE_KEYS];
            for (size_t i = 0; i < TILE_KEYS; i++) places[i] = place(b, &keys[t->row], ck_least(position + i, t->to - 1));
            CK_CALL(transpose)(scratch, k, p->type, places, p->d);
            while (ck_key_count(&keys[first]) <= position) first++;
            while (ck_key_count(&keys[last - 1]) <= position) last--;
            ck_product product = {.ldc = p->stride, .row_step = p->wide, .k_step = 1, .ldb = TILE_KEYS, .n = TILE_KEYS, .k = p->d};
            product.b = scratch;
            product.c = s + first * p->group * p->stride + position;
            product.a = x + first * p->group * p->wide;
            product.m = (last - first) * p->group;
            ck_small_product(product);
        }
    }
}

// out[count][wide] = the keys that begin at `places`, in FP32, with zeros behind d.
CK_INLINE void expand_body(
    float *restrict out, const void *restrict array, ck_type type, const size_t *places, size_t count, size_t d, size_t wide) {
    for (size_t j = 0; j < count; j++, out += wide) {
        if (type == CK_BF16)
            for (size_t i = 0; i < d; i++) out[i] = ck_bf16(((const uint16_t *)array)[places[j] + i]);
        else
            memcpy(out, (const float *)array + places[j], d * sizeof *out);
        for (size_t i = d; i < wide; i++) out[i] = 0;
    }
}
CK_KERNEL(
    expand, (float *restrict out, const void *restrict array, ck_type type, const size_t *places, size_t count, size_t d, size_t wide),
    (out, array, type, places, count, d, wide))

void ck_block_sums(const ck_block *b, float *y, const float *p, const void *v, float *scratch) {
    const ck_attention_plan *plan = b->plan;
    const ck_keys *keys = plan->keys + b->first;
    size_t group = plan->group, stride = plan->stride, wide = plan->wide, at_once = ck_most(TILE_KEYS, EXPANDED / wide);
    ck_stretch stretches[CK_MOST_STRETCHES];
    size_t count = ck_block_stretches(b, stretches);
    memset(y, 0, ck_block_queries(b) * wide * sizeof *y);
    for (const ck_stretch *t = stretches; t < stretches + count; t++) {
        for (size_t position = t->from; position < t->to; position += at_once) {
            size_t end = ck_least(position + at_once, t->to), places[EXPANDED / CK_COLUMNS];
            for (size_t j = position; j < end; j++) places[j - position] = place(b, &keys[t->row], j);
            CK_CALL(expand)(scratch, v, plan->type, places, end - position, plan->d, wide);
            // What all rows of the stretch see of them, then what some see beyond.
            size_t shared = end, last = t->row + t->rows;
            for (size_t row = t->row; row < last; row++) shared = ck_most(position, ck_least(shared, ck_key_count(&keys[row])));
            ck_product product = {.ldc = wide, .row_step = stride, .k_step = 1, .ldb = wide, .n = wide, .accumulate = 1};
            product.c = y + t->row * group * wide, product.a = p + t->row * group * stride + position, product.b = scratch;
            product.m = t->rows * group, product.k = shared - position;
            if (product.k > 0) ck_small_product(product);
            product.b += product.k * wide;
            for (size_t row = t->row, next; row < last; row = next) {
                size_t own = ck_least(ck_key_count(&keys[row]), end);
                for (next = row + 1; next < last && ck_least(ck_key_count(&keys[next]), end) == own; next++) {}
                if (own <= shared) continue;
                product.c = y + row * group * wide, product.a = p + row * group * stride + shared;
                product.m = (next - row) * group, product.k = own - shared;
                ck_small_product(product);
            }
        }
    }
}

// One line of n scores, made whole vectors by minus infinities, whose exponential is 0.
CK_INLINE void exponentials_body(float *s, size_t n, float scale, float *inverse) {
    size_t whole = ck_whole_columns(n);
    for (size_t j = n; j < whole; j++) s[j] = -INFINITY;
    float tops[CK_LANES], sums[CK_LANES] = {0};
    for (size_t l = 0; l < CK_LANES; l++) tops[l] = -INFINITY;
    for (size_t j = 0; j < whole; j += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) tops[l] = s[j + l] > tops[l] ? s[j + l] : tops[l];
    for (size_t half = CK_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++) tops[l] = tops[l + half] > tops[l] ? tops[l + half] : tops[l];
    float top = tops[0];
    for (size_t j = 0; j < whole; j += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) sums[l] += s[j + l] = ck_exp((s[j + l] - top) * scale);
    *inverse = n > 0 ? 1.0f / ck_lanes_sum(sums) : 0;
}
CK_KERNEL(exponentials, (float *s, size_t n, float scale, float *inverse), (s, n, scale, inverse))

void ck_block_exponentials(const ck_block *b, float *s, float *inverse) {
    const ck_attention_plan *p = b->plan;
    float scale = 1.0f / sqrtf((float)p->d);
    for (size_t i = 0; i < ck_block_queries(b); i++)
        CK_CALL(exponentials)(s + i * p->stride, ck_key_count(&p->keys[b->first + i / p->group]), scale, inverse + i);
}
