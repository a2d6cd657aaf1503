// Runs the C core on arrays of exactly their size, odd shapes first, and compares its products with a chain of multiply-adds of its own, its
// attention with FP64: what scripts/check-avx512 (CK_EMULATED: the AVX-512 tiles over SIMDe), scripts/check-neon (under QEMU) and
// scripts/sanitize-c (what this CPU has, under sanitizers) compile. Emulated, the comparisons only.
#include "check.h"

#if defined(CK_EMULATED)
// In the place of isa.c, which would refuse what this CPU lacks.
static ck_isa_level emulated_level;
ck_isa_level ck_isa(void) { return emulated_level; }
int ck_set_isa(ck_isa_level level) { return level < CK_ISA_AVX512 ? 0 : (emulated_level = level, 1); }  // the others run as they are
const char *ck_isa_name(ck_isa_level level) { return (const char *[]){"scalar", "avx2", "avx512", "avx512vnni", "avx512bf16"}[level]; }
#endif

int main(int argc, char **argv) {
    int quick = argc > 1 && strcmp(argv[1], "quick") == 0;
    for (ck_isa_level level = CK_ISA_SCALAR; level <= CK_ISA_AVX512BF16; level++) {
        if (!ck_set_isa(level)) {
#if !defined(__aarch64__)
            printf("%s: skipped\n", ck_isa_name(level));
#endif
            continue;
        }
        long before = compared;
        check_products(level, quick);
        check_attention(level);
        printf("%s: %ld outputs compared\n", ck_isa_name(level), compared - before);
#if !defined(CK_EMULATED)
        exercise_kernels();
#endif
    }
#if !defined(CK_EMULATED)
    exercise_threads();
#endif
    printf(failures ? "FAILED: %ld\n" : "all as they should be\n", failures);
    return failures != 0;
}
