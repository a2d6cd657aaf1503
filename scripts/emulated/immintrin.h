// Stands in for the compiler's <immintrin.h> in scripts/check-avx512: SIMDe's portable definitions of the intrinsics, under their own names.
#ifndef EMULATED_IMMINTRIN_H
#define EMULATED_IMMINTRIN_H

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <string.h>

// SIMDe adds the two products before it adds the sum, which is not what the instruction does. Intel's manual (SDM, VDPBF16PS): the product of the
// odd elements is added first, then that of the even ones, each rounded to nearest even, subnormal inputs and outputs being zeros whatever
// MXCSR says. (The product of two BF16 numbers is exact in FP32 unless it is subnormal, so fused and separate roundings agree.)
static inline float emulated_flush(float x) { return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0, x) : x; }

static inline float emulated_bf16(unsigned bits) {
    bits <<= 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return emulated_flush(x);
}

static inline __m512 emulated_dpbf16_ps(__m512 sums, __m512bh a, __m512bh b) {
    float s[16];
    unsigned x[16], w[16];
    memcpy(s, &sums, sizeof s), memcpy(x, &a, sizeof x), memcpy(w, &b, sizeof w);
    for (int i = 0; i < 16; i++) {
        s[i] = emulated_flush(__builtin_fmaf(emulated_bf16(x[i] >> 16), emulated_bf16(w[i] >> 16), emulated_flush(s[i])));
        s[i] = emulated_flush(__builtin_fmaf(emulated_bf16(x[i] & 0xFFFF), emulated_bf16(w[i] & 0xFFFF), s[i]));
    }
    memcpy(&sums, s, sizeof s);
    return sums;
}

#ifndef EMULATED_SIMDE_DPBF16  // -D keeps SIMDe's own
#undef _mm512_dpbf16_ps
#define _mm512_dpbf16_ps(sums, a, b) emulated_dpbf16_ps(sums, a, b)
#endif

// SIMDe multiplies and adds, rounding twice.
static inline __m256 emulated_fmadd_ps(__m256 a, __m256 b, __m256 c) {
    float x[8], y[8], sum[8];
    memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y), memcpy(sum, &c, sizeof sum);
    for (int i = 0; i < 8; i++) sum[i] = __builtin_fmaf(x[i], y[i], sum[i]);
    memcpy(&c, sum, sizeof sum);
    return c;
}
#undef _mm256_fmadd_ps
#define _mm256_fmadd_ps(a, b, c) emulated_fmadd_ps(a, b, c)

// What SIMDe 0.7 lacks.
#ifndef _mm512_stream_ps
#define _mm512_stream_ps(out, vector) simde_mm512_store_ps(out, vector)
#endif

#ifndef _mm512_cvtepi32_ps
static inline __m512 emulated_cvtepi32_ps(__m512i integers) {
    int32_t in[16];
    float out[16];
    memcpy(in, &integers, sizeof in);
    for (int i = 0; i < 16; i++) out[i] = (float)in[i];
    return simde_mm512_loadu_ps(out);
}
#define _mm512_cvtepi32_ps(integers) emulated_cvtepi32_ps(integers)
#endif

#ifndef _mm512_cvtph_ps
static inline __m512 emulated_cvtph_ps(__m256i halves) {
    __m128i in[2];
    float out[16];
    memcpy(in, &halves, sizeof in);
    for (int i = 0; i < 2; i++) simde_mm256_storeu_ps(out + 8 * i, simde_mm256_cvtph_ps(in[i]));
    return simde_mm512_loadu_ps(out);
}
#define _mm512_cvtph_ps(halves) emulated_cvtph_ps(halves)
#endif

#endif
