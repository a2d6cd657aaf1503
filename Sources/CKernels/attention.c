#include "ck_attention.h"

#include <math.h>

#include "ck_threads.h"
#include "vector.h"

typedef struct {
    void *out;
    float *dq, *dk, *dv;
    const float *dout, *q;
    const void *k, *v;
    ck_type type;
    const ck_keys *keys;
    const size_t *sets;
    size_t rows, heads, kv_heads, d;
} attention;

// Where key j of a query lies, in elements.
CK_INLINE size_t key_at(const ck_keys *keys, size_t j, size_t stride) {
    return (j < keys->n0 ? keys->start0 + j : keys->start1 + (j - keys->n0)) * stride;
}

CK_INLINE float dot(const float *a, const void *b, size_t offset, ck_type type, size_t d) {
    float lanes[CK_LANES] = {0};
    size_t i = 0;
    for (; i + CK_LANES <= d; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) lanes[l] += a[i + l] * ck_load(b, type, offset + i + l);
    for (size_t l = 0; i < d; i++, l++) lanes[l] += a[i] * ck_load(b, type, offset + i);
    return ck_lanes_sum(lanes);
}

// p[j] = softmax over j of q . k[j] * d^-1/2; returns the number of keys.
CK_INLINE size_t probabilities(float *p, const attention *a, ck_type type, const ck_keys *keys, const float *q, size_t kv_head) {
    size_t n = keys->n0 + keys->n1, stride = a->kv_heads * a->d;
    float scale = 1.0f / sqrtf((float)a->d), top = -INFINITY;
    for (size_t j = 0; j < n; j++) {
        p[j] = dot(q, a->k, key_at(keys, j, stride) + kv_head * a->d, type, a->d) * scale;
        top = p[j] > top ? p[j] : top;
    }
    float lanes[CK_LANES] = {0};
    size_t j = 0;
    for (; j + CK_LANES <= n; j += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) lanes[l] += p[j + l] = ck_exp(p[j + l] - top);
    for (size_t l = 0; j < n; j++, l++) lanes[l] += p[j] = ck_exp(p[j] - top);
    float inverse = 1.0f / ck_lanes_sum(lanes);
    for (j = 0; j < n; j++) p[j] *= inverse;
    return n;
}

// y[i] += factor * x[offset + i].
CK_INLINE void axpy(float *restrict y, float factor, const void *restrict x, size_t offset, ck_type type, size_t d) {
    for (size_t i = 0; i < d; i++) y[i] += factor * ck_load(x, type, offset + i);
}

CK_INLINE void forward_typed(const attention *a, size_t row, size_t kv_head, ck_type type) {
    const ck_keys *keys = &a->keys[row];
    size_t n = keys->n0 + keys->n1, group = a->heads / a->kv_heads, stride = a->kv_heads * a->d;
    float *p = ck_scratch((n + a->d) * sizeof(float)), *sum = p + n;
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
        probabilities(p, a, type, keys, a->q + (row * a->heads + head) * a->d, kv_head);
        for (size_t i = 0; i < a->d; i++) sum[i] = 0;
        for (size_t j = 0; j < n; j++) axpy(sum, p[j], a->v, key_at(keys, j, stride) + kv_head * a->d, type, a->d);
        for (size_t i = 0; i < a->d; i++) ck_store(a->out, type, (row * a->heads + head) * a->d + i, sum[i]);
    }
}

CK_INLINE void forward_body(const attention *a, size_t row, size_t kv_head) {
    if (a->type == CK_BF16)
        forward_typed(a, row, kv_head, CK_BF16);
    else
        forward_typed(a, row, kv_head, CK_F32);
}
CK_KERNEL(forward, (const attention *a, size_t row, size_t kv_head), (a, row, kv_head))

static void forward_task(void *context, size_t index) {
    const attention *a = context;
    CK_CALL(forward)(a, index / a->kv_heads, index % a->kv_heads);
}

void ck_attention(
    void *out, const float *q, const void *k, const void *v, ck_type type, const ck_keys *keys, size_t rows, size_t heads, size_t kv_heads,
    size_t d) {
    attention a = {.out = out, .q = q, .k = k, .v = v, .type = type, .keys = keys, .rows = rows, .heads = heads, .kv_heads = kv_heads, .d = d};
    ck_parallel_for(rows * kv_heads, forward_task, &a);
}

// With dp[j] = dout . v[j] and D = sum p dp: ds[j] = p[j] (dp[j] - D) d^-1/2, dq = sum ds k, dk[j] += ds q, dv[j] += p dout.
CK_INLINE void backward_typed(const attention *a, size_t row, size_t kv_head, ck_type type) {
    const ck_keys *keys = &a->keys[row];
    size_t n = keys->n0 + keys->n1, group = a->heads / a->kv_heads, stride = a->kv_heads * a->d;
    float *p = ck_scratch(2 * n * sizeof(float)), *ds = p + n;
    float scale = 1.0f / sqrtf((float)a->d);
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
        const float *q = a->q + (row * a->heads + head) * a->d, *dout = a->dout + (row * a->heads + head) * a->d;
        float *dq = a->dq + (row * a->heads + head) * a->d;
        probabilities(p, a, type, keys, q, kv_head);
        double mean = 0;
        for (size_t j = 0; j < n; j++) {
            ds[j] = dot(dout, a->v, key_at(keys, j, stride) + kv_head * a->d, type, a->d);
            mean += (double)(p[j] * ds[j]);
        }
        for (size_t i = 0; i < a->d; i++) dq[i] = 0;
        for (size_t j = 0; j < n; j++) {
            size_t at = key_at(keys, j, stride) + kv_head * a->d;
            float gradient = p[j] * (ds[j] - (float)mean) * scale;
            axpy(dq, gradient, a->k, at, type, a->d);
            axpy(a->dk + at, gradient, q, 0, CK_F32, a->d);
            axpy(a->dv + at, p[j], dout, 0, CK_F32, a->d);
        }
    }
}

CK_INLINE void backward_body(const attention *a, size_t row, size_t kv_head) {
    if (a->type == CK_BF16)
        backward_typed(a, row, kv_head, CK_BF16);
    else
        backward_typed(a, row, kv_head, CK_F32);
}
CK_KERNEL(backward, (const attention *a, size_t row, size_t kv_head), (a, row, kv_head))

static void backward_task(void *context, size_t index) {
    const attention *a = context;
    size_t set = index / a->kv_heads;
    for (size_t row = a->sets[set]; row < a->sets[set + 1]; row++) CK_CALL(backward)(a, row, index % a->kv_heads);
}

void ck_attention_backward(
    float *dq, float *dk, float *dv, const float *dout, const float *q, const void *k, const void *v, ck_type type, const ck_keys *keys,
    const size_t *sets, size_t set_count, size_t heads, size_t kv_heads, size_t d) {
    attention a = {.dq = dq, .dk = dk, .dv = dv, .dout = dout, .q = q, .k = k, .v = v, .type = type, .keys = keys, .sets = sets};
    a.heads = heads, a.kv_heads = kv_heads, a.d = d;
    ck_parallel_for(set_count * kv_heads, backward_task, &a);
}
