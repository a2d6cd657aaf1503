// How one plain C body becomes a kernel per instruction set (private to the core).
#ifndef CK_ISA_PRIVATE_H
#define CK_ISA_PRIVATE_H

#include "ck_isa.h"

#define CK_INLINE static inline __attribute__((always_inline))

#if defined(CK_EMULATED)  // scripts/check-avx512: the intrinsics are plain C, and no wider instruction may be generated
#define CK_TARGET_AVX2
#define CK_TARGET_AVX512
#define CK_TARGET_AVX512VNNI
#define CK_TARGET_AVX512BF16
#elif defined(__x86_64__)
#define CK_TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define CK_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")))
#define CK_TARGET_AVX512VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2,fma,f16c")))
#define CK_TARGET_AVX512BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c")))
#else  // AArch64 has its vectors everywhere: the plain bodies use them, only products need more
#define CK_TARGET_NEON __attribute__((target("dotprod")))
#define CK_TARGET_AVX2
#define CK_TARGET_AVX512
#define CK_TARGET_AVX512VNNI
#define CK_TARGET_AVX512BF16
#endif

// CK_KERNEL(f, (params), (args)) compiles the inline function f_body once per instruction set and defines f_table, indexed by ck_isa().
// The bodies keep sixteen partial sums whatever the vector width, so that the width does not decide the order of a sum.
#define CK_KERNEL(name, params, args)                                      \
    static void name##_scalar params { name##_body args; }                 \
    CK_TARGET_AVX2 static void name##_avx2 params { name##_body args; }     \
    CK_TARGET_AVX512 static void name##_avx512 params { name##_body args; } \
    static void(*const name##_table[]) params = {name##_scalar, name##_avx2, name##_avx512, name##_avx512, name##_avx512};

#define CK_CALL(name) name##_table[ck_isa()]

#endif
