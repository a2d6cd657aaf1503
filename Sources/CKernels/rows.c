#include "ck_rows.h"

#include <math.h>

#include "ck_threads.h"
#include "vector.h"

enum { TASK_ROWS = 8, TASK_ELEMENTS = 4096, TASK_COLUMNS = 128 };

static size_t tasks(size_t count, size_t each) { return (count + each - 1) / each; }

static size_t end_of(size_t index, size_t each, size_t count) { return (index + 1) * each < count ? (index + 1) * each : count; }

// Copies

typedef struct {
    void *out;
    const void *in;
    ck_type out_type, in_type;
    size_t out_stride, in_stride, rows, n, task_rows;
    const int32_t *index;
} copies;

CK_INLINE void copy_typed(const copies *a, size_t row, ck_type out_type, ck_type in_type) {
    void *out = (char *)a->out + row * a->out_stride;
    const void *in = (const char *)a->in + (a->index ? (size_t)a->index[row] : row) * a->in_stride;
    for (size_t i = 0; i < a->n; i++)
        if (out_type == CK_BF16 && in_type == CK_BF16)
            ((uint16_t *)out)[i] = ((const uint16_t *)in)[i];
        else
            ck_store(out, out_type, i, ck_load(in, in_type, i));
}

CK_INLINE void copy_body(const copies *a, size_t row) {
    if (a->out_type == CK_F32 && a->in_type == CK_F32)
        copy_typed(a, row, CK_F32, CK_F32);
    else if (a->out_type == CK_F32)
        copy_typed(a, row, CK_F32, CK_BF16);
    else if (a->in_type == CK_F32)
        copy_typed(a, row, CK_BF16, CK_F32);
    else
        copy_typed(a, row, CK_BF16, CK_BF16);
}
CK_KERNEL(copy, (const copies *a, size_t row), (a, row))

static void copy_task(void *context, size_t index) {
    const copies *a = context;
    for (size_t row = index * a->task_rows; row < end_of(index, a->task_rows, a->rows); row++) CK_CALL(copy)(a, row);
}

void ck_copy_rows(
    void *out, ck_type out_type, size_t out_stride, const void *in, ck_type in_type, size_t in_stride, const int32_t *index, size_t rows,
    size_t n) {
    size_t task_rows = n == 0 || n > TASK_ELEMENTS ? 1 : TASK_ELEMENTS / n;  // one of 4864 numbers: a decoding step of few rows is copied by all threads
    copies a = {out, in, out_type, in_type, out_stride, in_stride, rows, n, task_rows, index};
    ck_parallel_for(tasks(rows, a.task_rows), copy_task, &a);
}

// x += delta

typedef struct {
    float *a, *b;
    const float *c;
    void *out;
    ck_type type;
    size_t count;
} elementwise;

CK_INLINE void add_body(float *restrict x, const float *restrict delta, size_t count) {
    for (size_t i = 0; i < count; i++) x[i] += delta[i];
}
CK_KERNEL(add, (float *restrict x, const float *restrict delta, size_t count), (x, delta, count))

static void add_task(void *context, size_t index) {
    const elementwise *e = context;
    size_t first = index * TASK_ELEMENTS;
    CK_CALL(add)(e->a + first, e->c + first, end_of(index, TASK_ELEMENTS, e->count) - first);
}

void ck_add(float *x, const float *delta, size_t count) {
    elementwise e = {.a = x, .c = delta, .count = count};
    ck_parallel_for(tasks(count, TASK_ELEMENTS), add_task, &e);
}

// RMSNorm

typedef struct {
    void *out;
    ck_type type;
    float *dx, *dweight, *scales;
    const float *dy, *x, *weight;
    float eps;
    size_t rows, n;
} norm;

CK_INLINE float inverse_rms(const float *x, float eps, size_t n) {
    float lanes[CK_LANES] = {0};
    size_t i = 0;
    for (; i + CK_LANES <= n; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) lanes[l] += x[i + l] * x[i + l];
    for (size_t l = 0; i < n; i++, l++) lanes[l] += x[i] * x[i];
    return 1.0f / sqrtf(ck_lanes_sum(lanes) / (float)n + eps);
}

CK_INLINE void rmsnorm_body(const norm *a, size_t row) {
    const float *x = a->x + row * a->n;
    float scale = inverse_rms(x, a->eps, a->n);
    if (a->type == CK_BF16) {
        uint16_t *out = (uint16_t *)a->out + row * a->n;
        for (size_t i = 0; i < a->n; i++) out[i] = ck_to_bf16(x[i] * scale * a->weight[i]);
    } else {
        float *out = (float *)a->out + row * a->n;
        for (size_t i = 0; i < a->n; i++) out[i] = x[i] * scale * a->weight[i];
    }
}
CK_KERNEL(rmsnorm, (const norm *a, size_t row), (a, row))

static void rmsnorm_task(void *context, size_t index) {
    const norm *a = context;
    for (size_t row = index * TASK_ROWS; row < end_of(index, TASK_ROWS, a->rows); row++) CK_CALL(rmsnorm)(a, row);
}

void ck_rmsnorm(void *out, ck_type type, const float *x, const float *weight, float eps, size_t rows, size_t n) {
    norm a = {.out = out, .type = type, .x = x, .weight = weight, .eps = eps, .rows = rows, .n = n};
    ck_parallel_for(tasks(rows, TASK_ROWS), rmsnorm_task, &a);
}

// With s the inverse root mean square: dx = s w dy - x s³ / n * sum(w dy x).
CK_INLINE void rmsnorm_dx_body(const norm *a, size_t row) {
    const float *x = a->x + row * a->n, *dy = a->dy + row * a->n;
    float *dx = a->dx + row * a->n, scale = inverse_rms(x, a->eps, a->n);
    float lanes[CK_LANES] = {0};
    size_t i = 0;
    for (; i + CK_LANES <= a->n; i += CK_LANES)
        for (size_t l = 0; l < CK_LANES; l++) lanes[l] += a->weight[i + l] * dy[i + l] * x[i + l];
    for (size_t l = 0; i < a->n; i++, l++) lanes[l] += a->weight[i] * dy[i] * x[i];
    float along = ck_lanes_sum(lanes) * scale * scale * scale / (float)a->n;
    for (i = 0; i < a->n; i++) dx[i] += scale * a->weight[i] * dy[i] - along * x[i];
    a->scales[row] = scale;
}
CK_KERNEL(rmsnorm_dx, (const norm *a, size_t row), (a, row))

static void rmsnorm_dx_task(void *context, size_t index) {
    const norm *a = context;
    for (size_t row = index * TASK_ROWS; row < end_of(index, TASK_ROWS, a->rows); row++) CK_CALL(rmsnorm_dx)(a, row);
}

CK_INLINE void rmsnorm_dweight_body(const norm *a, size_t first, size_t last) {
    for (size_t row = 0; row < a->rows; row++) {
        const float *x = a->x + row * a->n, *dy = a->dy + row * a->n;
        for (size_t i = first; i < last; i++) a->dweight[i] += dy[i] * x[i] * a->scales[row];
    }
}
CK_KERNEL(rmsnorm_dweight, (const norm *a, size_t first, size_t last), (a, first, last))

static void rmsnorm_dweight_task(void *context, size_t index) {
    const norm *a = context;
    CK_CALL(rmsnorm_dweight)(a, index * TASK_COLUMNS, end_of(index, TASK_COLUMNS, a->n));
}

void ck_rmsnorm_backward(
    float *dx, float *dweight, const float *dy, const float *x, const float *weight, float eps, size_t rows, size_t n) {
    norm a = {.dx = dx, .dweight = dweight, .dy = dy, .x = x, .weight = weight, .eps = eps, .rows = rows, .n = n};
    a.scales = ck_scratch(rows * sizeof(float));
    ck_parallel_for(tasks(rows, TASK_ROWS), rmsnorm_dx_task, &a);
    if (dweight) ck_parallel_for(tasks(n, TASK_COLUMNS), rmsnorm_dweight_task, &a);
}

// Rotary embedding

typedef struct {
    float *x;
    const int32_t *position;
    const float *cosine, *sine;
    size_t rows, heads, d;
    float direction;
} rotation;

CK_INLINE void rope_body(const rotation *a, size_t row) {
    size_t half = a->d / 2, angle = (size_t)a->position[row] * half;
    const float *cosine = a->cosine + angle, *sine = a->sine + angle;
    for (size_t head = 0; head < a->heads; head++) {
        float *restrict low = a->x + (row * a->heads + head) * a->d, *restrict high = low + half;
        for (size_t i = 0; i < half; i++) {
            float x = low[i], y = high[i], s = a->direction * sine[i];
            low[i] = x * cosine[i] - y * s;
            high[i] = y * cosine[i] + x * s;
        }
    }
}
CK_KERNEL(rope, (const rotation *a, size_t row), (a, row))

static void rope_task(void *context, size_t index) {
    const rotation *a = context;
    for (size_t row = index * TASK_ROWS; row < end_of(index, TASK_ROWS, a->rows); row++) CK_CALL(rope)(a, row);
}

void ck_rope(
    float *x, const int32_t *position, const float *cosine, const float *sine, size_t rows, size_t heads, size_t d, int direction) {
    rotation a = {x, position, cosine, sine, rows, heads, d, (float)direction};
    ck_parallel_for(tasks(rows, TASK_ROWS), rope_task, &a);
}

// SwiGLU

CK_INLINE void silu_mul_body(void *out, ck_type type, const float *restrict gate, const float *restrict up, size_t count) {
    if (type == CK_BF16)
        for (size_t i = 0; i < count; i++) ((uint16_t *)out)[i] = ck_to_bf16(gate[i] / (1.0f + ck_exp(-gate[i])) * up[i]);
    else
        for (size_t i = 0; i < count; i++) ((float *)out)[i] = gate[i] / (1.0f + ck_exp(-gate[i])) * up[i];
}
CK_KERNEL(silu_mul, (void *out, ck_type type, const float *restrict gate, const float *restrict up, size_t count), (out, type, gate, up, count))

static void silu_mul_task(void *context, size_t index) {
    const elementwise *e = context;
    size_t first = index * TASK_ELEMENTS, size = e->type == CK_BF16 ? sizeof(uint16_t) : sizeof(float);
    CK_CALL(silu_mul)((char *)e->out + first * size, e->type, e->a + first, e->c + first, end_of(index, TASK_ELEMENTS, e->count) - first);
}

void ck_silu_mul(void *out, ck_type type, const float *gate, const float *up, size_t count) {
    elementwise e = {.a = (float *)(uintptr_t)gate, .c = up, .out = out, .type = type, .count = count};
    ck_parallel_for(tasks(count, TASK_ELEMENTS), silu_mul_task, &e);
}

CK_INLINE void silu_mul_backward_body(float *restrict gate, float *restrict up, const float *restrict dout, size_t count) {
    for (size_t i = 0; i < count; i++) {
        float g = gate[i], sigmoid = 1.0f / (1.0f + ck_exp(-g));
        gate[i] = dout[i] * up[i] * sigmoid * (1.0f + g * (1.0f - sigmoid));
        up[i] = dout[i] * g * sigmoid;
    }
}
CK_KERNEL(silu_mul_backward, (float *restrict gate, float *restrict up, const float *restrict dout, size_t count), (gate, up, dout, count))

static void silu_mul_backward_task(void *context, size_t index) {
    const elementwise *e = context;
    size_t first = index * TASK_ELEMENTS;
    CK_CALL(silu_mul_backward)(e->a + first, e->b + first, e->c + first, end_of(index, TASK_ELEMENTS, e->count) - first);
}

void ck_silu_mul_backward(float *gate, float *up, const float *dout, size_t count) {
    elementwise e = {.a = gate, .b = up, .c = dout, .count = count};
    ck_parallel_for(tasks(count, TASK_ELEMENTS), silu_mul_backward_task, &e);
}

// Sums over rows: split by columns, so that each sum has one order

typedef struct {
    float *sums;
    const float *in;
    const int32_t *ids;
    size_t rows, columns;
} row_sums;

CK_INLINE void row_sums_body(const row_sums *a, size_t first, size_t last) {
    for (size_t row = 0; row < a->rows; row++) {
        float *sums = a->sums + (a->ids ? (size_t)a->ids[row] * a->columns : 0);
        for (size_t i = first; i < last; i++) sums[i] += a->in[row * a->columns + i];
    }
}
CK_KERNEL(row_sums, (const row_sums *a, size_t first, size_t last), (a, first, last))

static void row_sums_task(void *context, size_t index) {
    const row_sums *a = context;
    CK_CALL(row_sums)(a, index * TASK_COLUMNS, end_of(index, TASK_COLUMNS, a->columns));
}

void ck_column_sums(float *dbias, const float *dy, size_t rows, size_t columns) {
    row_sums a = {dbias, dy, NULL, rows, columns};
    ck_parallel_for(tasks(columns, TASK_COLUMNS), row_sums_task, &a);
}

void ck_scatter_add(float *table, const int32_t *ids, const float *dx, size_t rows, size_t n) {
    row_sums a = {table, dx, ids, rows, n};
    ck_parallel_for(tasks(n, TASK_COLUMNS), row_sums_task, &a);
}
