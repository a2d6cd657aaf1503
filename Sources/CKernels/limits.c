#define _POSIX_C_SOURCE 200809L
#include "ck_limits.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ck_threads.h"
#include "isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum {
    CHAINS = 12,
    ROUNDS = 1 << 14,
    TASKS = 512,       // of a thread: many, so that a thread which is held up leaves some to the others, as products do
    CHUNK = 256 << 10  // bytes that a thread reads at least
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Each of these does ROUNDS times CHAINS multiply-adds in chains of their own and returns the operations of one.

static double burn_scalar(float *out) {
    float sum[CHAINS] = {0};
    for (int i = 0; i < ROUNDS; i++)
#pragma clang loop unroll(full)
        for (int c = 0; c < CHAINS; c++) sum[c] = __builtin_fmaf(sum[c], 0.999f, 0.5f);
    for (int c = 0; c < CHAINS; c++) *out += sum[c];
    return 2;
}

// The empty asm keeps the compiler from doing several rounds' arithmetic at once.
#define CK_BURN(type, zero, operation)                                         \
    type sum[CHAINS];                                                          \
    _Pragma("clang loop unroll(full)") for (int c = 0; c < CHAINS; c++) sum[c] = zero; \
    for (int i = 0; i < ROUNDS; i++) {                                         \
        _Pragma("clang loop unroll(full)") for (int c = 0; c < CHAINS; c++) sum[c] = operation; \
        __asm__ volatile("" ::: "memory");                                     \
    }                                                                          \
    float lanes[16];                                                           \
    for (int c = 0; c < CHAINS; c++) {                                         \
        memcpy(lanes, &sum[c], sizeof sum[c]);                                 \
        *out += lanes[0];                                                      \
    }                                                                          \
    return 2.0 * sizeof(type) / sizeof(float);

#if defined(__x86_64__)
CK_TARGET_AVX2 static double burn_avx2(float *out) {
    __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.5f);
    CK_BURN(__m256, _mm256_setzero_ps(), _mm256_fmadd_ps(sum[c], a, b))
}

CK_TARGET_AVX512 static double burn_avx512(float *out) {
    __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.5f);
    CK_BURN(__m512, _mm512_setzero_ps(), _mm512_fmadd_ps(sum[c], a, b))
}

CK_TARGET_AVX512BF16 static double burn_pairs(float *out) {
    __m512bh a = (__m512bh)_mm512_set1_epi32(0x3F003F00), b = (__m512bh)_mm512_set1_epi32(0x3E803E80);
    CK_BURN(__m512, _mm512_setzero_ps(), _mm512_dpbf16_ps(sum[c], a, b))
}

static double burn_avx512bf16(float *out) { return 2 * burn_pairs(out); }

static double (*const burn_by_isa[])(float *) = {burn_scalar, burn_avx2, burn_avx512, burn_avx512, burn_avx512bf16};
#elif defined(__aarch64__)
static double burn_neon(float *out) {
    float32x4_t a = vdupq_n_f32(0.999f), b = vdupq_n_f32(0.5f);
    CK_BURN(float32x4_t, vdupq_n_f32(0), vfmaq_f32(b, sum[c], a))
}

static double (*const burn_by_isa[])(float *) = {burn_scalar, burn_neon};
#else
static double (*const burn_by_isa[])(float *) = {burn_scalar};
#endif

static void burn_task(void *context, size_t index) {
    float out = 0;
    double operations = burn_by_isa[ck_isa()](&out);
    if (index == 0) *(double *)context = operations;
    __asm__ volatile("" ::"m"(out));
}

double ck_peak_flops(void) {
    size_t tasks = TASKS * (size_t)ck_threads();
    double operations = 0, started = now();
    ck_parallel_for(tasks, burn_task, &operations);
    return operations * (double)((size_t)CHAINS * ROUNDS * tasks) / (now() - started);
}

CK_INLINE void read_body(const char *memory, size_t bytes, uint64_t *sum) {
    enum { WORDS = 32 };
    uint64_t lanes[WORDS] = {0};
    for (; bytes >= sizeof lanes; memory += sizeof lanes, bytes -= sizeof lanes) {
        uint64_t words[WORDS];
        memcpy(words, memory, sizeof words);
        for (size_t l = 0; l < WORDS; l++) lanes[l] ^= words[l];
    }
    for (size_t l = 0; l < WORDS; l++) *sum ^= lanes[l];
}
CK_KERNEL(read, (const char *memory, size_t bytes, uint64_t *sum), (memory, bytes, sum))

static void read_range(void *context, size_t first, size_t end) {
    const ck_piece *chunks = context;
    uint64_t sum = 0;
    for (size_t i = first; i < end; i++) CK_CALL(read)(chunks[i].memory, chunks[i].bytes, &sum);
    __asm__ volatile("" ::"r"(sum));
}

double ck_read_bandwidth(const ck_piece *pieces, size_t count) {
    size_t most = count, bytes = 0, chunks = 0;
    for (size_t i = 0; i < count; i++) most += pieces[i].bytes / CHUNK;
    ck_piece *chunk = malloc(most * sizeof *chunk);
    if (!chunk) return 0;
    for (size_t i = 0; i < count; i++)
        for (size_t done = 0; done < pieces[i].bytes; done += CHUNK) {
            size_t left = pieces[i].bytes - done;
            chunk[chunks++] = (ck_piece){(const char *)pieces[i].memory + done, left < CHUNK ? left : CHUNK};
            bytes += chunk[chunks - 1].bytes;
        }
    double started = now();
    ck_parallel_ranges(chunks, chunks, read_range, chunk);
    double seconds = now() - started;
    free(chunk);
    return (double)bytes / seconds;
}
