#include "convert.h"

#include "ck_threads.h"

// Long arrays are converted by all threads, this many elements at a time.
enum { TASK_ELEMENTS = 1 << 16 };

CK_INLINE void bf16_to_f32_body(float *restrict out, const uint16_t *restrict in, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = ck_bf16(in[i]);
}
CK_KERNEL(bf16_to_f32, (float *restrict out, const uint16_t *restrict in, size_t count), (out, in, count))

CK_INLINE void f32_to_bf16_body(uint16_t *restrict out, const float *restrict in, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = ck_to_bf16(in[i]);
}
CK_KERNEL(f32_to_bf16, (uint16_t *restrict out, const float *restrict in, size_t count), (out, in, count))

CK_INLINE void round_to_bf16_body(float *out, const float *in, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = ck_bf16(ck_to_bf16(in[i]));
}
CK_KERNEL(round_to_bf16, (float *out, const float *in, size_t count), (out, in, count))

typedef struct {
    void *out;
    const void *in;
    size_t count;
} arrays;

static size_t count_from(const arrays *a, size_t first) { return a->count - first < TASK_ELEMENTS ? a->count - first : TASK_ELEMENTS; }

static void bf16_to_f32_task(void *context, size_t index) {
    const arrays *a = context;
    size_t first = index * TASK_ELEMENTS;
    CK_CALL(bf16_to_f32)((float *)a->out + first, (const uint16_t *)a->in + first, count_from(a, first));
}

static void f32_to_bf16_task(void *context, size_t index) {
    const arrays *a = context;
    size_t first = index * TASK_ELEMENTS;
    CK_CALL(f32_to_bf16)((uint16_t *)a->out + first, (const float *)a->in + first, count_from(a, first));
}

static void round_to_bf16_task(void *context, size_t index) {
    const arrays *a = context;
    size_t first = index * TASK_ELEMENTS;
    CK_CALL(round_to_bf16)((float *)a->out + first, (const float *)a->in + first, count_from(a, first));
}

static void convert(void *out, const void *in, size_t count, ck_task task) {
    arrays a = {out, in, count};
    ck_parallel_for((count + TASK_ELEMENTS - 1) / TASK_ELEMENTS, task, &a);
}

void ck_bf16_to_f32(float *out, const uint16_t *in, size_t count) { convert(out, in, count, bf16_to_f32_task); }

void ck_f32_to_bf16(uint16_t *out, const float *in, size_t count) { convert(out, in, count, f32_to_bf16_task); }

void ck_round_to_bf16(float *out, const float *in, size_t count) { convert(out, in, count, round_to_bf16_task); }

void ck_f16_to_f32(float *out, const uint16_t *in, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = ck_f16(in[i]);
}

size_t ck_f32_to_f16(uint16_t *out, const float *in, size_t count) {
    size_t overflowed = 0;
    for (size_t i = 0; i < count; i++) {
        out[i] = ck_to_f16(in[i]);
        int finite = (ck_bits_from_float(in[i]) & 0x7F800000u) != 0x7F800000u;
        overflowed += (size_t)(finite && (out[i] & 0x7FFFu) == 0x7C00u);
    }
    return overflowed;
}
