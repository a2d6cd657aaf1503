#define _GNU_SOURCE
#include "ck_limits.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ck_threads.h"
#include "isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { CHAINS = 12, ROUNDS = 1 << 18, REPEATS = 8, CHUNK = 1 << 20 };

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
    ((double *)context)[index] = burn_by_isa[ck_isa()](&out);
    __asm__ volatile("" ::"m"(out));
}

double ck_peak_flops(void) {
    size_t tasks = (size_t)ck_threads();
    double *operations = calloc(tasks, sizeof *operations), best = 0;
    if (!operations) return 0;
    for (int i = 0; i < REPEATS; i++) {
        double started = now();
        ck_parallel_for(tasks, burn_task, operations);
        double rate = operations[0] * (double)((size_t)CHAINS * ROUNDS * tasks) / (now() - started);
        best = rate > best ? rate : best;
    }
    free(operations);
    return best;
}

typedef struct {
    const char *memory;
    uint64_t sums[256];
} reading;

CK_INLINE void read_body(const char *memory, uint64_t *sum) {
    uint64_t lanes[32] = {0};
    for (size_t i = 0; i < CHUNK; i += sizeof lanes) {
        uint64_t words[32];
        memcpy(words, memory + i, sizeof words);
        for (size_t l = 0; l < 32; l++) lanes[l] ^= words[l];
    }
    for (size_t l = 0; l < 32; l++) *sum ^= lanes[l];
}
CK_KERNEL(read, (const char *memory, uint64_t *sum), (memory, sum))

static void read_task(void *context, size_t index) {
    reading *r = context;
    uint64_t sum = 0;
    CK_CALL(read)(r->memory + index * CHUNK, &sum);
    r->sums[index] = sum;
}

double ck_read_bandwidth(void) {
    reading r = {0};
    size_t chunks = sizeof r.sums / sizeof *r.sums, bytes = chunks * CHUNK;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 0;
#if defined(MADV_HUGEPAGE)
    madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    memset(memory, 1, bytes);
    r.memory = memory;
    double best = 0;
    for (int i = 0; i < REPEATS; i++) {
        double started = now();
        ck_parallel_for(chunks, read_task, &r);
        double rate = (double)bytes / (now() - started);
        best = rate > best ? rate : best;
    }
    munmap(memory, bytes);
    return best;
}
