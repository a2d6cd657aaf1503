#include "quantize.h"

#include <stdatomic.h>
#include <string.h>

#include "ck_blocks.h"
#include "ck_threads.h"

// Weights that a thread takes at a time.
enum { TASK_WEIGHTS = 1 << 14 };

typedef void (*rounder)(uint8_t *restrict out, const float *restrict x);
typedef void (*searcher)(uint8_t *restrict out, const float *restrict x, const float *restrict w);

static rounder find_rounder(ck_block_type type) {
    switch (type) {
        case CK_Q4_0: return ck_quantize_q4_0;
        case CK_Q4_1: return ck_quantize_q4_1;
        case CK_Q5_0: return ck_quantize_q5_0;
        case CK_Q5_1: return ck_quantize_q5_1;
        case CK_Q8_0: return ck_quantize_q8_0;
        default: return NULL;
    }
}

static searcher find_searcher(ck_block_type type) {
    switch (type) {
        case CK_Q4_0: return ck_search_q4_0;
        case CK_Q4_1: return ck_search_q4_1;
        case CK_Q5_0: return ck_search_q5_0;
        case CK_Q5_1: return ck_search_q5_1;
        case CK_Q4_K: return ck_search_q4_k;
        case CK_Q5_K: return ck_search_q5_k;
        case CK_Q6_K: return ck_search_q6_k;
        case CK_IQ4_NL: return ck_search_iq4_nl;
        default: return NULL;
    }
}

typedef struct {
    rounder round;
    searcher search;
    ck_block_type type;
    uint8_t *out;
    const float *in, *importance;
    size_t blocks, columns;
    atomic_size_t refused;
} job;

// Past a magnitude of 1e12 sums of squares overflow, and no FP16 scale reaches such weights anyway. A NaN is refused as well.
static int usable(const float *x, size_t count) {
    int fine = 1;
    for (size_t i = 0; i < count; i++) fine &= __builtin_fabsf(x[i]) < 1e12f;
    return fine;
}

// The sum does not depend on the machine: no fused multiply-add.
#pragma STDC FP_CONTRACT OFF
static float mean_square(const float *x, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    return (float)(sum / (double)count);
}

// The importance of a block's columns; none where no column matters, since then all would fit alike.
static const float *importance_at(const job *j, size_t first, size_t count) {
    if (!j->importance) return NULL;
    const float *w = j->importance + first % j->columns;
    for (size_t i = 0; i < count; i++)
        if (w[i] > 0) return w;
    return NULL;
}

static void quantize_task(void *context, size_t index) {
    job *j = context;
    size_t weights = ck_block_weights(j->type), bytes = ck_block_bytes(j->type), per_task = TASK_WEIGHTS / weights, refused = 0;
    size_t row = SIZE_MAX;
    float row_square = 0, weighed[256];  // K types have the largest blocks
    size_t end = (index + 1) * per_task < j->blocks ? (index + 1) * per_task : j->blocks;
    for (size_t block = index * per_task; block < end; block++) {
        const float *x = j->in + block * weights;
        uint8_t *out = j->out + block * bytes;
        int fine = usable(x, weights);
        const float *w = importance_at(j, block * weights, weights);
        if (w && block * weights / j->columns != row) {
            row = block * weights / j->columns;
            row_square = mean_square(j->in + row * j->columns, j->columns);
        }
        // As llama.cpp weighs them: errors of large weights count more, by up to their size.
        for (size_t i = 0; w && i < weights; i++) weighed[i] = w[i] * __builtin_sqrtf(row_square + x[i] * x[i]);
        if (fine && j->search)
            j->search(out, x, w ? weighed : NULL);
        else if (fine)
            j->round(out, x);
        else
            memset(out, 0, bytes);
        refused += !fine || ck_first_nonfinite_block(j->type, out, 1) == 0;
    }
    if (refused) atomic_fetch_add(&j->refused, refused);
}

size_t ck_quantize(ck_block_type type, uint8_t *out, const float *in, size_t blocks, const float *importance, size_t columns) {
    job j = {.round = find_rounder(type), .type = type, .out = out, .in = in, .importance = importance, .blocks = blocks, .columns = columns};
    if (importance || !j.round) j.search = find_searcher(type);
    if (!j.round && !j.search) return 0;
    size_t per_task = TASK_WEIGHTS / ck_block_weights(type);
    ck_parallel_for((blocks + per_task - 1) / per_task, quantize_task, &j);
    return atomic_load(&j.refused);
}
