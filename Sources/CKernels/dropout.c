#include "ck_dropout.h"

#include <string.h>

#include "ck_threads.h"
#include "vector.h"

// A task's rows, and the blocks that are made side by side: a block is eight numbers of 16 bits.
enum { TASK_ROWS = 4, BLOCKS = 16, NUMBERS = 8 * BLOCKS };

// The numbers of columns [8 * first, 8 * (first + BLOCKS)) of a row. Words of 32 bits stand in lanes of 64, as the products need them.
CK_INLINE void philox(uint16_t numbers[NUMBERS], uint32_t first, uint32_t row, const ck_dropout_mask *mask) {
    uint64_t c0[BLOCKS], c1[BLOCKS], c2[BLOCKS], c3[BLOCKS];
    for (uint32_t i = 0; i < BLOCKS; i++) c0[i] = first + i, c1[i] = row, c2[i] = mask->layer, c3[i] = mask->pass;
    uint32_t k0 = (uint32_t)mask->seed, k1 = (uint32_t)(mask->seed >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        for (int i = 0; i < BLOCKS; i++) {
            uint64_t a = c0[i] * 0xD2511F53u, b = c2[i] * 0xCD9E8D57u;
            c0[i] = (b >> 32) ^ c1[i] ^ k0, c1[i] = b & 0xFFFFFFFFu;
            c2[i] = (a >> 32) ^ c3[i] ^ k1, c3[i] = a & 0xFFFFFFFFu;
        }
    for (int i = 0; i < BLOCKS; i++) {
        uint64_t halves[2] = {c0[i] | c1[i] << 32, c2[i] | c3[i] << 32};
        memcpy(numbers + 8 * i, halves, sizeof(halves));
    }
}

typedef struct {
    void *out;
    const void *in;
    ck_type type;
    int adds;
    const int32_t *ids;
    size_t rows, n;
    ck_dropout_mask mask;
} dropout;

CK_INLINE void typed(const dropout *a, size_t row, ck_type type, int adds) {
    const void *in = type == CK_F32 ? (const void *)((const float *)a->in + row * a->n) : (const uint16_t *)a->in + row * a->n;
    void *out = type == CK_F32 ? (void *)((float *)a->out + row * a->n) : (uint16_t *)a->out + row * a->n;
    uint32_t id = a->ids ? (uint32_t)a->ids[row] : (uint32_t)row;
    for (size_t first = 0; first < a->n; first += NUMBERS) {
        uint16_t numbers[NUMBERS];
        philox(numbers, (uint32_t)(first / 8), id, &a->mask);
        size_t count = a->n - first < NUMBERS ? a->n - first : NUMBERS;
        for (size_t i = 0; i < count; i++) {
            float kept = numbers[i] < a->mask.threshold ? 0.0f : ck_load(in, type, first + i) * a->mask.scale;
            ck_store(out, type, first + i, adds ? ck_load(out, type, first + i) + kept : kept);
        }
    }
}

CK_INLINE void row_body(const dropout *a, size_t row) {
    if (a->adds)
        typed(a, row, CK_F32, 1);
    else if (a->type == CK_F32)
        typed(a, row, CK_F32, 0);
    else
        typed(a, row, CK_BF16, 0);
}
CK_KERNEL(row, (const dropout *a, size_t row), (a, row))

static void task(void *context, size_t index) {
    const dropout *a = context;
    for (size_t row = index * TASK_ROWS; row < (index + 1) * TASK_ROWS && row < a->rows; row++) CK_CALL(row)(a, row);
}

void ck_dropout(void *out, const void *x, ck_type type, const int32_t *ids, size_t rows, size_t n, ck_dropout_mask mask) {
    dropout a = {out, x, type, 0, ids, rows, n, mask};
    ck_parallel_for((rows + TASK_ROWS - 1) / TASK_ROWS, task, &a);
}

void ck_dropout_backward(float *dx, const float *dy, const int32_t *ids, size_t rows, size_t n, ck_dropout_mask mask) {
    dropout a = {dx, dy, CK_F32, 1, ids, rows, n, mask};
    ck_parallel_for((rows + TASK_ROWS - 1) / TASK_ROWS, task, &a);
}
