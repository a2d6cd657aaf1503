#include "ck_softmax.h"

#include <math.h>
#include <string.h>

#include "ck_threads.h"
#include "vector.h"

// Sums of this many terms are made in FP32 lanes, sums of such sums in FP64: 150,000 terms lose nothing that shows.
enum { BLOCK = 1024 };

typedef struct {
    const float *logits, *const *places;  // of the rows of logits, in a backward pass
    float *gradient;
    size_t first, n;
    float inverse_temperature;
    const int32_t *targets;
    float *lse, *logprob, *entropy;
    const float *dlogprob, *dentropy;
    const double *uniform;
    int32_t *out;
} rows;

// The least z that matters: ck_exp is 0 below it. A masked logit, minus infinity, would make 0 * z a NaN.
CK_INLINE float at_least(float z) { return z < -88.0f ? -88.0f : z; }

// sum of exp(x * scale - offset) over n <= BLOCK terms, and with `weighted` that of exp(...) * (x * scale - offset).
CK_INLINE float block_sum(const float *x, size_t n, float scale, float offset, float *weighted) {
    float sums[CK_LANES] = {0}, moments[CK_LANES] = {0};
    size_t i = 0;
    for (; i + CK_LANES <= n; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) {
            float z = x[i + l] * scale - offset, e = ck_exp(z);
            sums[l] += e;
            if (weighted) moments[l] += e * at_least(z);
        }
    for (size_t l = 0; i < n; i++, l++) {
        float z = x[i] * scale - offset, e = ck_exp(z);
        sums[l] += e;
        if (weighted) moments[l] += e * at_least(z);
    }
    if (weighted) *weighted = ck_lanes_sum(moments);
    return ck_lanes_sum(sums);
}

CK_INLINE size_t block_count(const rows *a, size_t block) { return a->n - block * BLOCK < BLOCK ? a->n - block * BLOCK : BLOCK; }

// A row's softmax: its largest z, and over all of them the sums of exp(z - top) and, where entropies are asked for, of exp(z - top) * (z - top).
typedef struct {
    float top;
    double sum, moment;
} softmax;

// Also the sum of each block, unless block_sums is null.
CK_INLINE softmax row_softmax(const rows *a, size_t row, double *block_sums) {
    const float *x = a->logits + row * a->n;
    softmax s = {ck_largest(x, a->n) * a->inverse_temperature, 0, 0};
    for (size_t b = 0; b * BLOCK < a->n; b++) {
        const float *from = x + b * BLOCK;
        float weighted = 0, sum = block_sum(from, block_count(a, b), a->inverse_temperature, s.top, a->entropy ? &weighted : NULL);
        s.sum += (double)sum, s.moment += (double)weighted;
        if (block_sums) block_sums[b] = (double)sum;
    }
    return s;
}

CK_INLINE void write_statistics(const rows *a, size_t row, softmax s, const int32_t *target) {
    double log_sum = log(s.sum);
    a->lse[row] = (float)((double)s.top + log_sum);
    if (a->logprob) a->logprob[row] = (float)((double)(a->logits[row * a->n + (size_t)*target] * a->inverse_temperature - s.top) - log_sum);
    if (a->entropy) a->entropy[row] = (float)(log_sum - s.moment / s.sum);
}

CK_INLINE void log_softmax_body(const rows *a, size_t row) {
    write_statistics(a, row, row_softmax(a, row, NULL), a->targets ? a->targets + row : NULL);
}
CK_KERNEL(log_softmax, (const rows *a, size_t row), (a, row))

static void log_softmax_task(void *context, size_t row) { CK_CALL(log_softmax)(context, row); }

void ck_log_softmax(
    const float *logits, size_t count, size_t n, float inverse_temperature, const int32_t *targets, float *lse, float *logprob,
    float *entropy) {
    rows a = {.logits = logits, .n = n, .inverse_temperature = inverse_temperature, .targets = targets};
    a.lse = lse, a.logprob = logprob, a.entropy = entropy;
    ck_parallel_for(count, log_softmax_task, &a);
}

// d logprob / dz_j = [j = target] - p_j; d entropy / dz_j = -p_j (log p_j + entropy).
CK_INLINE void log_softmax_backward_body(const rows *a, size_t row) {
    const float *x = a->places[row];
    float *out = a->gradient + row * a->n;
    size_t target = (size_t)a->targets[row] - a->first;
    float scale = a->inverse_temperature, lse = a->lse[row], entropy = a->entropy[row];
    float dlogprob = a->dlogprob[row] * scale, dentropy = a->dentropy ? a->dentropy[row] * scale : 0;
    // By blocks that stay in the first-level cache, in place: two arrays that may be one are no vector loop.
    for (size_t b = 0; b * BLOCK < a->n; b++) {
        float *z = out + b * BLOCK;
        size_t count = block_count(a, b);
        memmove(z, x + b * BLOCK, count * sizeof *z);
        for (size_t i = 0; i < count; i++) {
            float logp = at_least(z[i] * scale - lse), p = ck_exp(logp);
            z[i] = -p * (dlogprob + dentropy * (logp + entropy));
        }
    }
    if (target < a->n) out[target] += dlogprob;
}
CK_KERNEL(log_softmax_backward, (const rows *a, size_t row), (a, row))

static void log_softmax_backward_task(void *context, size_t row) { CK_CALL(log_softmax_backward)(context, row); }

void ck_log_softmax_backward(
    float *gradient, const float *const *logits, size_t count, size_t first, size_t n, float inverse_temperature, const int32_t *targets,
    const float *lse, const float *entropy, const float *dlogprob, const float *dentropy) {
    rows a = {.places = logits, .gradient = gradient, .first = first, .n = n, .inverse_temperature = inverse_temperature, .targets = targets};
    a.lse = (float *)(uintptr_t)lse, a.entropy = (float *)(uintptr_t)entropy, a.dlogprob = dlogprob, a.dentropy = dentropy;
    ck_parallel_for(count, log_softmax_backward_task, &a);
}

// The uniform number is scaled by the row's own sum: the last tokens get no more than their share.
CK_INLINE void sample_body(const rows *a, size_t row) {
    const float *x = a->logits + row * a->n;
    size_t blocks = (a->n + BLOCK - 1) / BLOCK, chosen = 0;
    double *sums = ck_scratch(blocks * sizeof(double));
    softmax s = row_softmax(a, row, sums);
    double wanted = a->uniform[row] * s.sum, before = 0, sum = 0;
    for (size_t b = 0; b < blocks && sum <= wanted; b++)
        if (sums[b] > 0) chosen = b, before = sum, sum += sums[b];
    // In the block the sum runs in another order and may end just below `wanted`: then it is the last token that is possible.
    size_t first = chosen * BLOCK, token = first;
    for (size_t i = first; i < first + block_count(a, chosen) && before <= wanted; i++) {
        double p = (double)ck_exp(x[i] * a->inverse_temperature - s.top);
        if (p > 0) token = i, before += p;
    }
    a->out[row] = (int32_t)token;
    write_statistics(a, row, s, a->out + row);
}
CK_KERNEL(sample, (const rows *a, size_t row), (a, row))

static void sample_task(void *context, size_t row) { CK_CALL(sample)(context, row); }

void ck_sample(
    int32_t *out, const float *logits, size_t count, size_t n, float inverse_temperature, const double *uniform, float *lse, float *logprob,
    float *entropy) {
    rows a = {.logits = logits, .n = n, .inverse_temperature = inverse_temperature, .uniform = uniform, .out = out};
    a.lse = lse, a.logprob = logprob, a.entropy = entropy;
    ck_parallel_for(count, sample_task, &a);
}

CK_INLINE void argmax_body(const rows *a, size_t row) {
    const float *x = a->logits + row * a->n;
    float top = ck_largest(x, a->n);
    size_t i = 0;
    while (i + 1 < a->n && x[i] != top) i++;
    a->out[row] = (int32_t)i;
}
CK_KERNEL(argmax, (const rows *a, size_t row), (a, row))

static void argmax_task(void *context, size_t row) { CK_CALL(argmax)(context, row); }

void ck_argmax(int32_t *out, const float *logits, size_t count, size_t n) {
    rows a = {.logits = logits, .n = n, .out = out};
    ck_parallel_for(count, argmax_task, &a);
}
