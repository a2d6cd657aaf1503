#include "ck_attention.h"

#include "attention_block.h"
#include "ck_threads.h"
#include "vector.h"

typedef struct {
    void *out;
    const float *q;
    const void *k, *v;
    ck_attention_plan plan;
} attention;

// Rounds a block's outputs, each times its query's factor, to their type.
CK_INLINE void store_body(const ck_block *b, void *out, const float *y, const float *factor) {
    const ck_attention_plan *p = b->plan;
    for (size_t row = 0; row < b->rows; row++)
        for (size_t head = 0; head < p->group; head++, y += p->wide, factor++) {
            size_t at = ((b->first + row) * p->heads + b->kv_head * p->group + head) * p->d;
            if (p->type == CK_BF16)
                for (size_t i = 0; i < p->d; i++) ck_store(out, CK_BF16, at + i, y[i] * *factor);
            else
                for (size_t i = 0; i < p->d; i++) ck_store(out, CK_F32, at + i, y[i] * *factor);
        }
}
CK_KERNEL(store, (const ck_block *b, void *out, const float *y, const float *factor), (b, out, y, factor))

static void forward_task(void *context, size_t index) {
    const attention *a = context;
    const ck_attention_plan *p = &a->plan;
    ck_block b = {.plan = p, .first = index / p->kv_heads * p->block_rows, .kv_head = index % p->kv_heads};
    b.rows = p->rows - b.first < p->block_rows ? p->rows - b.first : p->block_rows;
    size_t queries = ck_block_queries(&b);
    float *x = ck_scratch((queries * (p->wide + p->stride + 1) + ck_block_scratch(p)) * sizeof *x);
    float *s = x + queries * p->wide, *scratch = s + queries * p->stride, *inverse = scratch + ck_block_scratch(p);
    ck_block_gather(&b, x, a->q);
    ck_block_scores(&b, s, x, a->k, scratch);
    ck_block_exponentials(&b, s, inverse);
    ck_block_sums(&b, x, s, a->v, scratch);  // the queries have done their part
    CK_CALL(store)(&b, a->out, x, inverse);
}

void ck_attention(
    void *out, const float *q, const void *k, const void *v, ck_type type, const ck_keys *keys, size_t rows, size_t heads, size_t kv_heads,
    size_t d) {
    attention a = {.out = out, .q = q, .k = k, .v = v, .plan = ck_plan_attention(keys, type, rows, heads, kv_heads, d, 1)};
    ck_parallel_for((rows + a.plan.block_rows - 1) / a.plan.block_rows * kv_heads, forward_task, &a);
}
