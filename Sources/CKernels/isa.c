#include "isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
static const char *const names[] = {"scalar", "neon"};
#else
static const char *const names[] = {"scalar", "avx2", "avx512", "avx512vnni", "avx512bf16"};
#endif
static atomic_int chosen = -1;

ck_isa_level ck_widest_isa(void) {
#if defined(__x86_64__)
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))) return CK_ISA_SCALAR;
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512dq")))
        return CK_ISA_AVX2;
    if (!__builtin_cpu_supports("avx512vnni")) return CK_ISA_AVX512;
    return __builtin_cpu_supports("avx512bf16") ? CK_ISA_AVX512BF16 : CK_ISA_AVX512VNNI;
#elif defined(__aarch64__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? CK_ISA_NEON : CK_ISA_SCALAR;
#else
    return CK_ISA_SCALAR;
#endif
}

// vdpbf16ps is twice the arithmetic of an FP32 multiply-add. AMD's Zen 4 does as many of it a cycle; Intel's Emerald Rapids does a quarter, so that FP32
// is twice as fast there (docs/performance.md).
static ck_isa_level fastest(void) {
#if defined(__x86_64__)
    if (ck_widest_isa() == CK_ISA_AVX512BF16 && __builtin_cpu_is("intel")) return CK_ISA_AVX512VNNI;
#endif
    return ck_widest_isa();
}

ck_isa_level ck_isa(void) {
    int level = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (level >= 0) return (ck_isa_level)level;
    level = (int)fastest();
    const char *wish = getenv("GRPO_ISA");
    for (int i = 0, most = (int)ck_widest_isa(); wish && i <= most; i++)
        if (strcmp(wish, names[i]) == 0) level = i;
    atomic_store_explicit(&chosen, level, memory_order_relaxed);
    return (ck_isa_level)level;
}

const char *ck_isa_name(ck_isa_level level) { return names[level]; }

int ck_set_isa(ck_isa_level level) {
    if (level > ck_widest_isa()) return 0;
    atomic_store_explicit(&chosen, (int)level, memory_order_relaxed);
    return 1;
}
