// Which instruction set the kernels use, found once at the first call.
#ifndef CK_ISA_H
#define CK_ISA_H

typedef enum {
    CK_ISA_SCALAR = 0,
    // x86-64
    CK_ISA_AVX2 = 1,       // AVX2, FMA and F16C
    CK_ISA_AVX512 = 2,     // AVX-512 F, BW, VL, DQ
    CK_ISA_AVX512VNNI = 3,  // the same and vpdpbusd
    CK_ISA_AVX512BF16 = 4,  // the same and vdpbf16ps
    // AArch64
    CK_ISA_NEON = 1  // with sdot
} ck_isa_level;

// The fastest set this CPU has, or the one that GRPO_ISA=scalar|avx2|avx512|avx512vnni|avx512bf16, on AArch64 scalar|neon, asks for.
ck_isa_level ck_isa(void);

// The last of the sets that this CPU has, whatever is chosen.
ck_isa_level ck_widest_isa(void);

// The name, as GRPO_ISA spells it, of a set that this architecture has.
const char *_Nonnull ck_isa_name(ck_isa_level level);

// Overrides the choice, so that one process can test every path; returns 0 where this CPU lacks the set.
int ck_set_isa(ck_isa_level level);

#endif
