// Stands in for the compiler's <immintrin.h> in scripts/check-avx512: SIMDe's portable definitions of the intrinsics, under their own names.
#ifndef EMULATED_IMMINTRIN_H
#define EMULATED_IMMINTRIN_H

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
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

#endif
