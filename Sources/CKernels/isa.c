#include "isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
static const char *const names[] = {"scalar", "neon"};
#else
static const char *const names[] = {"scalar", "avx2", "avx512", "avx512bf16"};
#endif
static atomic_int chosen = -1;

static ck_isa_level widest(void) {
#if defined(__x86_64__)
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))) return CK_ISA_SCALAR;
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
          __builtin_cpu_supports("avx512dq")))
        return CK_ISA_AVX2;
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") ? CK_ISA_AVX512BF16 : CK_ISA_AVX512;
#elif defined(__aarch64__)
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? CK_ISA_NEON : CK_ISA_SCALAR;
#else
    return CK_ISA_SCALAR;
#endif
}

ck_isa_level ck_isa(void) {
    int level = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (level >= 0) return (ck_isa_level)level;
    level = (int)widest();
    const char *wish = getenv("GRPO_ISA");
    for (int i = 0; wish && i < level; i++)
        if (strcmp(wish, names[i]) == 0) level = i;
    atomic_store_explicit(&chosen, level, memory_order_relaxed);
    return (ck_isa_level)level;
}

const char *ck_isa_name(ck_isa_level level) { return names[level]; }

int ck_set_isa(ck_isa_level level) {
    if (level > widest()) return 0;
    atomic_store_explicit(&chosen, (int)level, memory_order_relaxed);
    return 1;
}
