#include "ck_softmax.h"
#include "ck_threads.h"
#include "vector.h"

// Sums of this many terms are made in FP32 lanes, sums of such sums in FP64.
enum { BLOCK = 1024 };

typedef struct {
    const float *p, *p_lse, *q, *q_lse;
    size_t n;
    float *divergence;
    uint8_t *agrees;
} pair;

static size_t best(const float *x, size_t n) {
    size_t found = 0;
    for (size_t i = 1; i < n; i++) found = x[i] > x[found] ? i : found;
    return found;
}

// Sum of p (log p - log q) over one block.
CK_INLINE float block_body(const float *restrict p, const float *restrict q, size_t n, float p_lse, float q_lse) {
    float sums[CK_LANES] = {0};
    size_t i = 0;
    for (; i + CK_LANES <= n; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) {
            float log_p = p[i + l] - p_lse;
            sums[l] += ck_exp(log_p) * (log_p - (q[i + l] - q_lse));
        }
    for (size_t l = 0; i < n; i++, l++) {
        float log_p = p[i] - p_lse;
        sums[l] += ck_exp(log_p) * (log_p - (q[i] - q_lse));
    }
    return ck_lanes_sum(sums);
}

CK_INLINE void divergence_body(const pair *a, size_t row) {
    const float *p = a->p + row * a->n, *q = a->q + row * a->n;
    double sum = 0;
    for (size_t first = 0; first < a->n; first += BLOCK)
        sum += (double)block_body(p + first, q + first, a->n - first < BLOCK ? a->n - first : BLOCK, a->p_lse[row], a->q_lse[row]);
    a->divergence[row] = sum < 0 ? 0 : (float)sum;
    a->agrees[row] = best(p, a->n) == best(q, a->n);
}
CK_KERNEL(divergence, (const pair *a, size_t row), (a, row))

static void divergence_task(void *context, size_t row) { CK_CALL(divergence)(context, row); }

void ck_divergence(
    const float *p, const float *p_lse, const float *q, const float *q_lse, size_t rows, size_t n, float *divergence, uint8_t *agrees) {
    pair a = {p, p_lse, q, q_lse, n, divergence, agrees};
    ck_parallel_for(rows, divergence_task, &a);
}
