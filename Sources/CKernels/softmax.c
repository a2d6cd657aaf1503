#include "ck_softmax.h"

#include <math.h>

#include "ck_threads.h"
#include "vector.h"

// Sums of this many terms are made in FP32 lanes, sums of such sums in FP64: 150,000 terms lose nothing that shows.
enum { BLOCK = 1024 };

typedef struct {
    float *logits;
    size_t n;
    float inverse_temperature;
    const int32_t *targets;
    float *lse, *logprob, *entropy;
    const float *dlogprob, *dentropy;
    const double *uniform;
    int32_t *out;
} rows;

CK_INLINE float largest(const float *x, size_t n) {
    float lanes[CK_LANES];
    for (size_t l = 0; l < CK_LANES; l++) lanes[l] = x[0];
    size_t i = 0;
    for (; i + CK_LANES <= n; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (; i < n; i++) lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    for (size_t l = 1; l < CK_LANES; l++) lanes[0] = lanes[l] > lanes[0] ? lanes[l] : lanes[0];
    return lanes[0];
}

// sum of exp(x * scale - offset) over n <= BLOCK terms, and with `weighted` that of exp(...) * (x * scale - offset).
CK_INLINE float block_sum(const float *x, size_t n, float scale, float offset, float *weighted) {
    float sums[CK_LANES] = {0}, moments[CK_LANES] = {0};
    size_t i = 0;
    for (; i + CK_LANES <= n; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) {
            float z = x[i + l] * scale - offset, e = ck_exp(z);
            sums[l] += e;
            if (weighted) moments[l] += e * z;
        }
    for (size_t l = 0; i < n; i++, l++) {
        float z = x[i] * scale - offset, e = ck_exp(z);
        sums[l] += e;
        if (weighted) moments[l] += e * z;
    }
    if (weighted) *weighted = ck_lanes_sum(moments);
    return ck_lanes_sum(sums);
}

CK_INLINE void log_softmax_body(const rows *a, size_t row) {
    const float *x = a->logits + row * a->n;
    float scale = a->inverse_temperature, top = largest(x, a->n) * scale;
    double sum = 0, moment = 0;
    for (size_t i = 0; i < a->n; i += BLOCK) {
        float weighted = 0;
        size_t count = a->n - i < BLOCK ? a->n - i : BLOCK;
        sum += (double)(a->entropy ? block_sum(x + i, count, scale, top, &weighted) : block_sum(x + i, count, scale, top, NULL));
        moment += (double)weighted;
    }
    double log_sum = log(sum);
    a->lse[row] = (float)((double)top + log_sum);
    if (a->logprob) a->logprob[row] = (float)((double)(x[a->targets[row]] * scale - top) - log_sum);
    if (a->entropy) a->entropy[row] = (float)(log_sum - moment / sum);
}
CK_KERNEL(log_softmax, (const rows *a, size_t row), (a, row))

static void log_softmax_task(void *context, size_t row) { CK_CALL(log_softmax)(context, row); }

void ck_log_softmax(
    const float *logits, size_t count, size_t n, float inverse_temperature, const int32_t *targets, float *lse, float *logprob,
    float *entropy) {
    rows a = {.logits = (float *)(uintptr_t)logits, .n = n, .inverse_temperature = inverse_temperature, .targets = targets};
    a.lse = lse, a.logprob = logprob, a.entropy = entropy;
    ck_parallel_for(count, log_softmax_task, &a);
}

// d logprob / dz_j = [j = target] - p_j; d entropy / dz_j = -p_j (log p_j + entropy).
CK_INLINE void log_softmax_backward_body(const rows *a, size_t row) {
    float *x = a->logits + row * a->n;
    float scale = a->inverse_temperature, lse = a->lse[row], entropy = a->entropy[row];
    float dlogprob = a->dlogprob[row] * scale, dentropy = a->dentropy ? a->dentropy[row] * scale : 0;
    for (size_t i = 0; i < a->n; i++) {
        float logp = x[i] * scale - lse, p = ck_exp(logp);
        x[i] = -p * (dlogprob + dentropy * (logp + entropy));
    }
    x[a->targets[row]] += dlogprob;
}
CK_KERNEL(log_softmax_backward, (const rows *a, size_t row), (a, row))

static void log_softmax_backward_task(void *context, size_t row) { CK_CALL(log_softmax_backward)(context, row); }

void ck_log_softmax_backward(
    float *logits, size_t count, size_t n, float inverse_temperature, const int32_t *targets, const float *lse, const float *entropy,
    const float *dlogprob, const float *dentropy) {
    rows a = {.logits = logits, .n = n, .inverse_temperature = inverse_temperature, .targets = targets};
    a.lse = (float *)(uintptr_t)lse, a.entropy = (float *)(uintptr_t)entropy, a.dlogprob = dlogprob, a.dentropy = dentropy;
    ck_parallel_for(count, log_softmax_backward_task, &a);
}

CK_INLINE void sample_body(const rows *a, size_t row) {
    const float *x = a->logits + row * a->n;
    float scale = a->inverse_temperature, lse = a->lse[row];
    double wanted = a->uniform[row], before = 0;
    for (size_t i = 0; i < a->n; i += BLOCK) {
        size_t count = a->n - i < BLOCK ? a->n - i : BLOCK;
        double after = before + (double)block_sum(x + i, count, scale, lse, NULL);
        for (size_t j = i; after > wanted && j < i + count; j++) {
            before += (double)ck_exp(x[j] * scale - lse);
            if (before > wanted) {
                a->out[row] = (int32_t)j;
                return;
            }
        }
        before = after;
    }
    size_t last = a->n - 1;  // rounding left the total just below `wanted`: the last one that is possible
    while (last > 0 && ck_exp(x[last] * scale - lse) == 0) last--;
    a->out[row] = (int32_t)last;
}
CK_KERNEL(sample, (const rows *a, size_t row), (a, row))

static void sample_task(void *context, size_t row) { CK_CALL(sample)(context, row); }

void ck_sample(
    int32_t *out, const float *logits, size_t count, size_t n, float inverse_temperature, const float *lse, const double *uniform) {
    rows a = {.logits = (float *)(uintptr_t)logits, .n = n, .inverse_temperature = inverse_temperature, .lse = (float *)(uintptr_t)lse};
    a.uniform = uniform, a.out = out;
    ck_parallel_for(count, sample_task, &a);
}

CK_INLINE void argmax_body(const rows *a, size_t row) {
    const float *x = a->logits + row * a->n;
    float top = largest(x, a->n);
    size_t i = 0;
    while (i + 1 < a->n && x[i] != top) i++;
    a->out[row] = (int32_t)i;
}
CK_KERNEL(argmax, (const rows *a, size_t row), (a, row))

static void argmax_task(void *context, size_t row) { CK_CALL(argmax)(context, row); }

void ck_argmax(int32_t *out, const float *logits, size_t count, size_t n) {
    rows a = {.logits = (float *)(uintptr_t)logits, .n = n, .out = out};
    ck_parallel_for(count, argmax_task, &a);
}
